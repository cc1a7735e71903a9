import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { openFile, type FileSource } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { malformed } from './cursor.ts'

/** Larger than any evaluation text in use, and well within what one JavaScript string can hold (512 Mi units). */
export const MAX_TEXT_BYTES = 256 * 1024 * 1024
/** Sixteen of the largest text: a table has other columns too. What unpacks to more keeps a machine busy for minutes and is no text. */
export const MAX_UNPACKED_BYTES = 16 * MAX_TEXT_BYTES
/** Read at once: a few milliseconds' work for whoever splits it into rows. */
const PIECE_BYTES = 256 * 1024

/** Error of a text that is too large to be held. */
export function tooLarge(path: string, what: string, limit: number): LabError {
  return new LabError('INVALID_INPUT', `${path} ${what}, over the limit of ${limit} for a text: give a part of it`, { limit })
}

/** The bytes of a file in pieces, those of a `.gz` unpacked. Throws LabError INVALID_INPUT after `limit` bytes, MALFORMED_FILE of format `gzip`, and those of `openFile`. */
export async function* pieces(path: string, limit: number): AsyncGenerator<Uint8Array> {
  const packed = path.endsWith('.gz')
  const file = await openFile(path)
  try {
    if (!packed && file.size > limit) throw tooLarge(path, `has ${file.size} bytes`, limit)
    let bytes = 0
    for await (const piece of packed ? gunzipped(file, path) : stored(file)) {
      bytes += piece.length
      if (bytes > limit) throw tooLarge(path, 'unpacks to more bytes', limit)
      yield piece
    }
  } finally {
    await file.close()
  }
}

async function* stored(file: FileSource): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.size; at += PIECE_BYTES) yield await file.read(at, Math.min(at + PIECE_BYTES, file.size))
}

async function* gunzipped(file: FileSource, path: string): AsyncGenerator<Uint8Array> {
  const source = Readable.from(stored(file))
  const unpacked = pipeline(source, createGunzip({ chunkSize: PIECE_BYTES }), () => undefined)
  try {
    for await (const piece of unpacked) yield piece as Uint8Array
  } catch (error) {
    throw error instanceof LabError ? error : malformed(path, 'gzip', error instanceof Error ? error.message : String(error), 0)
  } finally {
    unpacked.destroy()
    source.destroy()
  }
}

/** The UTF-8 text of a file in pieces, whole characters each, a byte order mark kept. Throws as `pieces` and `utf8`. */
export async function* textPieces(path: string, limit: number): AsyncGenerator<string> {
  let rest = new Uint8Array()
  let at = 0
  for await (const piece of pieces(path, limit)) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    const whole = bytes.length - unfinished(bytes)
    yield utf8(bytes.subarray(0, whole), path, at)
    rest = bytes.slice(whole)
    at += whole
  }
  if (rest.length > 0) yield utf8(rest, path, at)
}

/** Bytes at the end that begin a character and do not end it; of an invalid end, which `utf8` refuses, any few. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if (byte < 0x80) return 0
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0
  }
  return 0
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The text of bytes that begin at byte `at` of a file. Throws LabError MALFORMED_FILE of format `text` with the place: InvalidUtf8, Utf16 by its byte order mark,
 * or ZeroByte, which is valid UTF-8 and in no text: programs, images and UTF-16 have it.
 */
export function utf8(bytes: Uint8Array, path: string, at: number): string {
  const mark = at === 0 ? `${bytes[0]},${bytes[1]}` : ''
  if (mark === '255,254' || mark === '254,255') {
    throw new LabError('MALFORMED_FILE', `${path} is UTF-16: convert it to UTF-8 first, such as with: iconv -f UTF-16 -t UTF-8`, { format: 'text', reason: 'Utf16', at: 0 })
  }
  const zero = bytes.indexOf(0)
  if (zero >= 0) throw new LabError('MALFORMED_FILE', `${path} has zero bytes, the first at byte ${at + zero}: it is no text, or UTF-16; convert it to UTF-8 first`, { format: 'text', reason: 'ZeroByte', at: at + zero })
  try {
    return decoder.decode(bytes)
  } catch {
    const place = at + firstInvalid(bytes)
    throw new LabError('MALFORMED_FILE', `${path} is not UTF-8 at byte ${place}: convert it first`, { format: 'text', reason: 'InvalidUtf8', at: place })
  }
}

/** Offset of the first byte that cannot continue a valid text, by bisection on prefixes. */
function firstInvalid(bytes: Uint8Array): number {
  let valid = 0
  let invalid = bytes.length + 1
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1
    if (isBeginning(bytes.subarray(0, middle))) valid = middle
    else invalid = middle
  }
  return valid
}

/** Whether bytes are UTF-8 that may end within a character. */
function isBeginning(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true })
    return true
  } catch {
    return false
  }
}
