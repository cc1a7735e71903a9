import { f16ToF32, f32ToF16 } from '#core/bytes/float.ts'
import { middles } from './codebook.ts'
import { sortFloats } from './sort.ts'

const ITERATIONS = 50

/** What a codebook was learned to be: levels that values are rounded to, and, by code, what they are decoded to. Both F16 as F32. */
export type Codebook = { readonly levels: Float32Array; readonly decoded: Float32Array }

/**
 * `count` levels of some numbers, a power of two: k-means in one dimension, each number of one weight, begun at the (k + 1/2) / count quantiles and ended when no
 * number changes its mean or after 50 rounds; a number in the middle of two belongs to the upper one, and means of nothing stay. With `normalised`, decoded levels
 * are moved and scaled so that the rounded numbers have mean and deviation of the numbers (Q-Norm). Sorts `numbers`.
 */
export function learnCodebook(numbers: Float32Array, count: number, normalised: boolean): Codebook {
  const n = numbers.length
  if (n === 0) return { levels: new Float32Array(count), decoded: new Float32Array(count) }
  sortFloats(numbers)
  const sums = new Float64Array(n + 1)
  for (let i = 0; i < n; i++) sums[i + 1] = sums[i]! + numbers[i]!
  const means = Float64Array.from({ length: count }, (_, k) => numbers[Math.floor(((2 * k + 1) * n) / (2 * count))]!)
  const ends = new Float64Array(count).fill(n)
  for (let round = 0, moved = true; moved && round < ITERATIONS; round++) {
    moved = false
    for (let k = 0; k < count - 1; k++) {
      const end = firstFrom(numbers, (means[k]! + means[k + 1]!) / 2)
      moved ||= end !== ends[k]
      ends[k] = end
    }
    for (let k = 0, from = 0; k < count; from = ends[k++]!) if (ends[k]! > from) means[k] = (sums[ends[k]!]! - sums[from]!) / (ends[k]! - from)
  }
  const levels = Float32Array.from(means, (mean) => f16ToF32(f32ToF16(mean)))
  return { levels, decoded: normalised ? normalise(numbers, sums[n]! / n, levels) : levels }
}

/** Index of the first of ascending numbers that is not below x. */
function firstFrom(numbers: Float32Array, x: number): number {
  let low = 0
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (numbers[middle]! < x) low = middle + 1
    else high = middle
  }
  return low
}

/** Levels scaled by the ratio of deviations and moved from mean to mean; as they are where all numbers have one level. */
function normalise(numbers: Float32Array, mean: number, levels: Float32Array): Float32Array {
  const begins = [0, ...Array.from(middles(levels), (bound) => firstFrom(numbers, bound)), numbers.length]
  const share = (k: number): number => (begins[k + 1]! - begins[k]!) / numbers.length
  const rounded = levels.reduce((sum, level, k) => sum + share(k) * level, 0)
  const variance = levels.reduce((sum, level, k) => sum + share(k) * (level - rounded) ** 2, 0)
  if (variance === 0) return levels
  let squares = 0
  for (let i = 0; i < numbers.length; i++) squares += (numbers[i]! - mean) ** 2
  const scale = Math.sqrt(squares / numbers.length / variance)
  return levels.map((level) => f16ToF32(f32ToF16(level * scale + (mean - rounded * scale))))
}
