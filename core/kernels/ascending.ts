/** A power of two. */
const BINS = 4096

export type Below = { readonly count: number; readonly sum: number }

/**
 * Finite numbers as if they were sorted, for some hundreds of questions: they are only put into bins of equal width, and the bin that a question falls into is
 * looked through. The numbers themselves stay as they are.
 */
export class Ascending {
  readonly #least: number
  readonly #factor: number
  readonly #numbers: Float32Array
  /** Where each bin begins, and the sum of all before. */
  readonly #begins = new Uint32Array(BINS + 1)
  readonly #sums = new Float64Array(BINS + 1)

  constructor(numbers: Float32Array) {
    const { least, most } = extent(numbers)
    const width = most - least
    const factor = width > 0 ? Math.min((BINS - 1) / width, Number.MAX_VALUE) : 0
    const bins = new Uint16Array(numbers.length)
    const counts = new Uint32Array(BINS)
    const totals = new Float64Array(BINS)
    count(numbers, least, factor, bins, counts, totals)
    for (let bin = 0; bin < BINS; bin++) {
      this.#begins[bin + 1] = this.#begins[bin]! + counts[bin]!
      this.#sums[bin + 1] = this.#sums[bin]! + totals[bin]!
    }
    this.#least = least
    this.#factor = factor
    this.#numbers = moved(numbers, bins, this.#begins.slice(0, BINS))
  }

  /** How many there are, and their sum. */
  get all(): Below {
    return { count: this.#numbers.length, sum: this.#sums[BINS]! }
  }

  /** The number at an index. */
  at(index: number): number {
    let bin = 0
    for (let step = BINS >> 1; step > 0; step >>= 1) if (this.#begins[bin + step]! <= index) bin += step
    return this.#numbers.slice(this.#begins[bin], this.#begins[bin + 1]).sort()[index - this.#begins[bin]!]!
  }

  /** How many are below x, which is finite, and their sum. */
  below(x: number): Below {
    const bin = Math.max(0, Math.min(BINS - 1, (x - this.#least) * this.#factor)) | 0
    let count = this.#begins[bin]!
    let sum = this.#sums[bin]!
    const [numbers, end] = [this.#numbers, this.#begins[bin + 1]!]
    for (let i = count; i < end; i++) {
      const y = numbers[i]!
      if (y >= x) continue
      count++
      sum += y
    }
    return { count, sum }
  }
}

function extent(numbers: Float32Array): { least: number; most: number } {
  let least = Infinity
  let most = -Infinity
  for (let i = 0; i < numbers.length; i++) {
    const x = numbers[i]!
    if (x < least) least = x
    if (x > most) most = x
  }
  return { least, most }
}

/** Finds the bin of each number, and of each bin how many there are and their sum. */
function count(numbers: Float32Array, least: number, factor: number, bins: Uint16Array, counts: Uint32Array, totals: Float64Array): void {
  for (let i = 0; i < numbers.length; i++) {
    const x = numbers[i]!
    const bin = ((x - least) * factor) | 0
    bins[i] = bin
    counts[bin]!++
    totals[bin]! += x
  }
}

/** The numbers bin by bin; `next` is where each begins. */
function moved(numbers: Float32Array, bins: Uint16Array, next: Uint32Array): Float32Array {
  const out = new Float32Array(numbers.length)
  for (let i = 0; i < numbers.length; i++) out[next[bins[i]!]!++] = numbers[i]!
  return out
}
