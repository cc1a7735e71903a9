import { LabError } from '#core/contract/errors.ts'

/** Error of a file that breaks the rules of its format, with the place. */
export function malformed(path: string, format: string, reason: string, at: number, advice = 'get the file again'): LabError {
  return new LabError('MALFORMED_FILE', `${path} is damaged or no ${format} (${reason}): ${advice}`, { format, reason, at })
}

/** A place in bytes that moves only within them. Whatever it cannot give it throws as `Broken`. */
export class Cursor {
  readonly bytes: Uint8Array
  at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  /** The next `count` bytes, as a view. */
  take(count: number): Uint8Array {
    if (!(count >= 0 && count <= this.left)) throw new Broken('CutShort')
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  byte(): number {
    if (this.left === 0) throw new Broken('CutShort')
    return this.bytes[this.at++] ?? 0
  }

  /** Unsigned, 32 bits, little-endian. */
  uint32(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.take(4)
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0
  }

  /** Seven bits a byte, the lowest first, ten bytes at most; exact where it is a safe integer, which who uses it checks. */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new Broken('EndlessNumber')
  }

  /** A signed varint: 0, -1, 1, -2, … */
  zigzag(): number {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}

/** Bytes that are not what they must be; the reader of a file makes a LabError of it. */
export class Broken extends Error {}
