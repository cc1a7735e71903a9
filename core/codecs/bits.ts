/** Longest run of zeros in front of a number: more stands for no number that is written here. */
const MAX_ZEROS = 16

/** Writes bits, the highest first, and numbers by Exp-Golomb codes. */
export class BitWriter {
  readonly #bytes: number[] = []
  #free = 0

  bits(value: number, count: number): void {
    for (let bit = count - 1; bit >= 0; bit--) {
      if (this.#free === 0) {
        this.#bytes.push(0)
        this.#free = 8
      }
      this.#free--
      const last = this.#bytes.length - 1
      this.#bytes[last] = (this.#bytes[last] ?? 0) | (((value >>> bit) & 1) << this.#free)
    }
  }

  /** n + 2^order in binary, behind as many zeros as it is longer than order + 1 bits. */
  golomb(n: number, order: number): void {
    this.bits(n + 2 ** order, golombBits(n, order))
  }

  /** What was written, the last byte filled up with zeros. */
  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes)
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
    let value = 0
    for (let i = 0; i < count; i++, this.#at++) value = 2 * value + (((this.#bytes[this.#at >>> 3] ?? 0) >>> (7 - (this.#at & 7))) & 1)
    return value
  }

  golomb(order: number): number {
    let zeros = 0
    let bit = this.bits(1)
    for (; bit === 0 && zeros < MAX_ZEROS; zeros++) bit = this.bits(1)
    if (bit !== 1) return -1
    const rest = this.bits(zeros + order)
    return rest < 0 ? -1 : 2 ** (zeros + order) + rest - 2 ** order
  }

  /** The rest of the last byte, or -1 where it is not zeros; then the next byte's place. */
  end(): number {
    while (this.#at % 8 !== 0) if (this.bits(1) !== 0) return -1
    return this.#at / 8
  }
}
