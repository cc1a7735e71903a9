/** The size of everything in a tar file. */
export const TAR_BLOCK_BYTES = 512
/** Two empty blocks end an archive. */
export const TAR_END = new Uint8Array(2 * TAR_BLOCK_BYTES)
/** What eleven octal digits hold; larger sizes stand in a pax record. */
const MAX_OCTAL_BYTES = 0o77777777777

/**
 * The blocks before a plain file's content in a tar file: a ustar header, and before it a pax header where the name is long or not ASCII or the size is over 8 GiB.
 * The same for the same file, whoever owns it and whenever it was written. Source: POSIX.1-2024, pax interchange format.
 */
export function tarHeader(name: string, bytes: number): Uint8Array {
  const records: string[] = []
  if (name.length > 100 || !/^[\x20-\x7e]*$/.test(name)) records.push(paxRecord('path', name))
  if (bytes > MAX_OCTAL_BYTES) records.push(paxRecord('size', `${bytes}`))
  if (records.length === 0) return ustar(name, bytes, '0')
  const content = Buffer.from(records.join(''))
  return Buffer.concat([ustar('pax', content.length, 'x'), content, tarPadding(content.length), ustar('file', bytes > MAX_OCTAL_BYTES ? 0 : bytes, '0')])
}

/** What fills the last block of so many bytes. */
export function tarPadding(bytes: number): Uint8Array {
  return new Uint8Array((TAR_BLOCK_BYTES - (bytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES)
}

/** `length key=value` and a line break, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest
  while (length !== rest + `${length}`.length) length = rest + `${length}`.length
  return `${length} ${key}=${value}\n`
}

function ustar(name: string, bytes: number, type: '0' | 'x'): Uint8Array {
  const block = Buffer.alloc(TAR_BLOCK_BYTES)
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`
  block.write(name, 0)
  block.write(octal(0o644, 7) + octal(0, 7) + octal(0, 7) + octal(bytes, 11) + octal(0, 11), 100)
  // The checksum counts its own field as spaces.
  block.write(`        ${type}`, 148)
  block.write('ustar\0' + '00', 257)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
