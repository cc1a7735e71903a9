import { Broken, type Cursor } from './cursor.ts'
import { MAX_ROWS } from './table.ts'

/**
 * `count` numbers of the hybrid of runs and bit-packed groups of eight (Encodings.md of Apache Parquet, RLE), `width` bits each. A run longer than what is due is cut:
 * writers pad the last group. Throws `Broken`.
 */
export function hybrid(cursor: Cursor, width: number, count: number): Uint32Array {
  checkCount(count)
  if (width > 32) throw new Broken('WideNumbers')
  const values = new Uint32Array(count)
  if (width === 0) return values
  for (let at = 0; at < count; ) {
    const head = cursor.varint()
    if (head % 2 === 1) {
      const due = Math.min(count - at, ((head - 1) / 2) * 8)
      unpack(cursor.take(Math.min(((head - 1) / 2) * width, cursor.left)), width, values.subarray(at, at + due))
      at += due
    } else {
      const bytes = cursor.take((width + 7) >> 3)
      const due = Math.min(count - at, head / 2)
      values.fill(bytes.reduceRight((value, byte) => value * 256 + byte, 0), at, at + due)
      at += due
    }
    // A run of nothing would be for ever.
    if (head < 2) throw new Broken('EmptyRun')
  }
  return values
}

/** Numbers of `width` bits, the lowest bit first. */
function unpack(bytes: Uint8Array, width: number, values: Uint32Array): void {
  if (bytes.length * 8 < values.length * width) throw new Broken('CutShort')
  for (let i = 0; i < values.length; i++) {
    let value = 0
    for (let done = 0, bit = i * width; done < width; ) {
      const taken = Math.min(8 - (bit & 7), width - done)
      value += (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & ((1 << taken) - 1)) * 2 ** done
      done += taken
      bit += taken
    }
    values[i] = value
  }
}

/** `count` byte strings, each after its length: PLAIN of byte arrays. */
export function plainStrings(cursor: Cursor, count: number): Uint8Array[] {
  // Each has four bytes of length.
  if (count > cursor.left / 4) throw new Broken('CutShort')
  return Array.from({ length: count }, () => cursor.take(cursor.uint32()))
}

/** `count` byte strings after all their lengths: DELTA_LENGTH_BYTE_ARRAY. */
export function deltaLengthStrings(cursor: Cursor, count: number): Uint8Array[] {
  const lengths = deltas(cursor, count)
  return Array.from(lengths, (length) => cursor.take(length))
}

/** `count` byte strings, each after how much of the one before it begins with: DELTA_BYTE_ARRAY; `most` bytes together. */
export function deltaStrings(cursor: Cursor, count: number, most: number): Uint8Array[] {
  const prefixes = deltas(cursor, count)
  const suffixes = deltaLengthStrings(cursor, count)
  let last = new Uint8Array()
  let bytes = 0
  return suffixes.map((suffix, i) => {
    const prefix = prefixes[i] ?? 0
    if (prefix < 0 || prefix > last.length) throw new Broken('LongPrefix')
    bytes += prefix + suffix.length
    if (bytes > most) throw new Broken('TooLarge')
    last = Buffer.concat([last.subarray(0, prefix), suffix])
    return last
  })
}

/** `count` 32-bit numbers as differences in blocks of miniblocks (DELTA_BINARY_PACKED). */
function deltas(cursor: Cursor, count: number): Int32Array {
  checkCount(count)
  const values = new Int32Array(count)
  const block = cursor.varint()
  const miniblocks = cursor.varint()
  const size = block / miniblocks
  if (!(block <= 2 ** 20 && block % 128 === 0 && Number.isInteger(size) && size > 0 && size % 32 === 0)) throw new Broken('OddBlock')
  if (cursor.varint() !== count) throw new Broken('WrongCount')
  let value = cursor.zigzag()
  if (count > 0) values[0] = value
  for (let at = 1; at < count; ) {
    const least = cursor.zigzag()
    const widths = cursor.take(miniblocks)
    for (const width of widths) {
      if (at >= count) break
      if (width > 32) throw new Broken('WideNumbers')
      const packed = new Uint32Array(Math.min(size, count - at))
      unpack(cursor.take((size * width) / 8), width, packed)
      for (const delta of packed) values[at++] = value = (value + least + delta) | 0
    }
  }
  return values
}

function checkCount(count: number): void {
  if (!(Number.isInteger(count) && count >= 0 && count <= MAX_ROWS)) throw new Broken('TooManyValues')
}
