import { crc32, deflateRawSync } from 'node:zlib'

/** An entry of a zip file; what is given beside its name and content is written as it is, true or not. */
export type ZipEntry = { name: string | Uint8Array; content?: Uint8Array | string; stored?: boolean; mode?: number; flags?: number; method?: number; crc?: number; size?: number; localName?: string; offset?: number }

/** A zip file by hand, so that it can be wrong in any way. */
export function zipBytes(entries: readonly ZipEntry[], { count = entries.length }: { count?: number } = {}): Buffer {
  const pieces: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const entry of entries) {
    const name = Buffer.from(entry.name)
    const content = Buffer.from(entry.content ?? '')
    const data = entry.stored ? content : deflateRawSync(content)
    const method = entry.method ?? (entry.stored ? 0 : 8)
    const flags = entry.flags ?? 0x800
    const [crc, size] = [entry.crc ?? crc32(content), entry.size ?? content.length]
    const localName = Buffer.from(entry.localName ?? name)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(20, 4)
    local.writeUInt16LE(flags, 6)
    local.writeUInt16LE(method, 8)
    local.writeUInt32LE(crc, 14)
    local.writeUInt32LE(data.length, 18)
    local.writeUInt32LE(size, 22)
    local.writeUInt16LE(localName.length, 26)
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50, 0)
    central.writeUInt16LE(0x031e, 4)
    central.writeUInt16LE(20, 6)
    central.writeUInt16LE(flags, 8)
    central.writeUInt16LE(method, 10)
    central.writeUInt32LE(crc, 16)
    central.writeUInt32LE(data.length, 20)
    central.writeUInt32LE(size, 24)
    central.writeUInt16LE(name.length, 28)
    central.writeUInt32LE(((entry.mode ?? 0o100644) << 16) >>> 0, 38)
    central.writeUInt32LE(entry.offset ?? at, 42)
    pieces.push(local, localName, data)
    directory.push(central, name)
    at += 30 + localName.length + data.length
  }
  const listing = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(count, 8)
  end.writeUInt16LE(count, 10)
  end.writeUInt32LE(listing.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...pieces, listing, end])
}

/** An entry of a tar file. `type`: the character of its header; `size`: what the header says. */
export type TarEntry = { name: string | Uint8Array; content?: Uint8Array | string; type?: string; link?: string; size?: number }

/** A tar file by hand; `end`: with its end mark. */
export function tarBytes(entries: readonly TarEntry[], { end = true }: { end?: boolean } = {}): Buffer {
  const pieces: Buffer[] = []
  for (const { name, content = '', type = '0', link = '', size } of entries) {
    const data = Buffer.from(content)
    const block = Buffer.alloc(512)
    Buffer.from(name).copy(block, 0)
    block.write('0000644\0' + '0000000\0' + '0000000\0' + (size ?? data.length).toString(8).padStart(11, '0') + '\0' + '00000000000\0' + '        ' + type + link, 100)
    block.write('ustar\0' + '00', 257)
    block.write(block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0') + '\0 ', 148)
    pieces.push(block, data, Buffer.alloc((512 - (data.length % 512)) % 512))
  }
  return Buffer.concat([...pieces, ...(end ? [Buffer.alloc(1024)] : [])])
}

/** A pax header for the entry that follows it. */
export function paxEntry(records: Record<string, string>): TarEntry {
  const lines = Object.entries(records).map(([key, value]) => {
    let length = 0
    for (let next = 1; next !== length; ) [length, next] = [next, Buffer.byteLength(`${next} ${key}=${value}\n`)]
    return `${length} ${key}=${value}\n`
  })
  return { name: 'pax', type: 'x', content: lines.join('') }
}
