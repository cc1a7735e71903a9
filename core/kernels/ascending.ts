import { kernels } from './index.ts'
import { BIN_TILE, BINS } from './sorted-bins.ts'

/** Least and largest are found in so many lanes. */
const LANES = 64

export type Below = { readonly count: number; readonly sum: number }

/**
 * Finite numbers as if they were sorted, for some hundreds of questions: they are only put into bins of equal width, tile by tile, and the bin that a question
 * falls into is looked through. The numbers themselves stay as they are.
 */
export class Ascending {
  readonly #least: number
  readonly #factor: number
  /** The numbers tile by tile in the order of their bins, and where each bin of a tile ends in it. */
  readonly #sorted: Float32Array
  readonly #ends: Uint16Array
  /** Where each bin would begin if all were sorted, and the sum of all before. */
  readonly #begins = new Uint32Array(BINS + 1)
  readonly #sums = new Float64Array(BINS + 1)
  /** Bins that were asked for: one question is often in the bin of one before. */
  readonly #known = new Map<number, Float32Array>()

  constructor(numbers: Float32Array) {
    const { least, most } = extent(numbers)
    const width = most - least
    this.#least = least
    this.#factor = width > 0 ? Math.min((BINS - 1) / width, Number.MAX_VALUE) : 0
    this.#sorted = new Float32Array(numbers.length)
    this.#ends = new Uint16Array(Math.ceil(numbers.length / BIN_TILE) * BINS)
    const totals = new Float64Array(BINS)
    kernels.sortIntoBins(numbers, least, this.#factor, this.#sorted, this.#ends, totals)
    for (let at = 0; at < this.#ends.length; at += BINS) for (let bin = 0; bin < BINS; bin++) this.#begins[bin + 1]! += this.#ends[at + bin]!
    for (let bin = 0; bin < BINS; bin++) this.#sums[bin + 1] = this.#sums[bin]! + totals[bin]!
  }

  /** How many there are, and their sum. */
  get all(): Below {
    return { count: this.#sorted.length, sum: this.#sums[BINS]! }
  }

  /** The number at an index. */
  at(index: number): number {
    let bin = 0
    for (let step = BINS >> 1; step > 0; step >>= 1) if (this.#begins[bin + step]! <= index) bin += step
    return this.#numbersOf(bin).slice().sort()[index - this.#begins[bin]!]!
  }

  /** How many are below x, which is finite, and their sum. */
  below(x: number): Below {
    const bin = Math.max(0, Math.min(BINS - 1, (x - this.#least) * this.#factor)) | 0
    let count = this.#begins[bin]!
    let sum = this.#sums[bin]!
    const numbers = this.#numbersOf(bin)
    for (let i = 0; i < numbers.length; i++) {
      const y = numbers[i]!
      if (y >= x) continue
      count++
      sum += y
    }
    return { count, sum }
  }

  /** The numbers of a bin in their own order. */
  #numbersOf(bin: number): Float32Array {
    const known = this.#known.get(bin)
    if (known) return known
    const [sorted, ends] = [this.#sorted, this.#ends]
    const numbers = new Float32Array(this.#begins[bin + 1]! - this.#begins[bin]!)
    for (let tile = 0, at = bin, count = 0; count < numbers.length; tile += BIN_TILE, at += BINS) {
      const end = tile + ends[at]!
      for (let i = bin === 0 ? tile : tile + ends[at - 1]!; i < end; i++) numbers[count++] = sorted[i]!
    }
    this.#known.set(bin, numbers)
    return numbers
  }
}

function extent(numbers: Float32Array): { least: number; most: number } {
  const rest = numbers.length % LANES
  const [low, high] = [new Float32Array(LANES), new Float32Array(LANES)]
  kernels.findRanges(numbers.subarray(rest), { byChannel: true, heads: 1, tokens: (numbers.length - rest) / LANES, headDim: LANES }, low, high)
  const others = numbers.subarray(0, rest)
  return { least: Math.min(...low, ...others), most: Math.max(...high, ...others) }
}
