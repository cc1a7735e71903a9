/** Longest run of zeros in front of a number: more stands for no number that is written here. */
const MAX_ZEROS = 16

/** Bits that are written or read at once: with those of a begun byte they fit into 32. */
const PIECE = 24

/** Writes bits, the highest first, and numbers by Exp-Golomb codes. */
export class BitWriter {
  readonly #bytes: number[] = []
  /** Bits that do not fill a byte yet. */
  #held = 0
  #count = 0

  bits(value: number, count: number): void {
    if (count > PIECE) {
      this.bits(value >>> PIECE, count - PIECE)
      return this.bits(value & (2 ** PIECE - 1), PIECE)
    }
    let held = (this.#held << count) | value
    let left = this.#count + count
    for (; left >= 8; left -= 8) this.#bytes.push((held >>> (left - 8)) & 255)
    held &= (1 << left) - 1
    this.#held = held
    this.#count = left
  }

  /** n + 2^order in binary, behind as many zeros as it is longer than order + 1 bits. */
  golomb(n: number, order: number): void {
    this.bits(n + 2 ** order, golombBits(n, order))
  }

  /** What was written, the last byte filled up with zeros. */
  bytes(): Uint8Array {
    return Uint8Array.from(this.#count === 0 ? this.#bytes : [...this.#bytes, this.#held << (8 - this.#count)])
  }
}

/** Bits of the Exp-Golomb code of n. */
export function golombBits(n: number, order: number): number {
  return 2 * (31 - Math.clz32(n + 2 ** order)) + 1 - order
}

/** Reads what BitWriter writes; -1 for what lies beyond the end or is no code. */
export class BitReader {
  readonly #bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, from: number) {
    this.#bytes = bytes
    this.#at = 8 * from
  }

  bits(count: number): number {
    if (this.#at + count > 8 * this.#bytes.length) return -1
    if (count > PIECE) return this.bits(count - PIECE) * 2 ** PIECE + this.bits(PIECE)
    const value = count === 0 ? 0 : this.#next() >>> (32 - count)
    this.#at += count
    return value
  }

  golomb(order: number): number {
    const zeros = Math.clz32(this.#next())
    if (zeros > MAX_ZEROS || this.bits(zeros + 1) !== 1) return -1
    const rest = this.bits(zeros + order)
    return rest < 0 ? -1 : 2 ** (zeros + order) + rest - 2 ** order
  }

  /** The next 25 bits or more at the top of 32, zeros beyond the end. */
  #next(): number {
    const at = this.#at >>> 3
    const bytes = this.#bytes
    return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) << (this.#at & 7)
  }

  /** The rest of the last byte, or -1 where it is not zeros; then the next byte's place. */
  end(): number {
    while (this.#at % 8 !== 0) if (this.bits(1) !== 0) return -1
    return this.#at / 8
  }
}
