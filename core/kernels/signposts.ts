import { f16ToF32, f32ToF16 } from '#core/bytes/float.ts'
import { Ascending, type Below } from './ascending.ts'
import { middles } from './codebook.ts'

const ITERATIONS = 50

/** What a codebook was learned to be: levels that values are rounded to, and, by code, what they are decoded to. Both F16 as F32. */
export type Codebook = { readonly levels: Float32Array; readonly decoded: Float32Array }

/**
 * `count` levels of some numbers, a power of two: k-means in one dimension, each number of one weight, begun at the (k + 1/2) / count quantiles and ended when no
 * number changes its mean or after 50 rounds; a number in the middle of two belongs to the upper one, and means of nothing stay. With `normalised`, decoded levels
 * are moved and scaled so that the rounded numbers have mean and deviation of the numbers (Q-Norm).
 */
export function learnCodebook(numbers: Float32Array, count: number, normalised: boolean): Codebook {
  const n = numbers.length
  if (n === 0) return { levels: new Float32Array(count), decoded: new Float32Array(count) }
  const order = new Ascending(numbers)
  const means = Float64Array.from({ length: count }, (_, k) => order.at(Math.floor(((2 * k + 1) * n) / (2 * count))))
  const below = Array.from({ length: count }, () => order.all)
  for (let round = 0, moved = true; moved && round < ITERATIONS; round++) {
    moved = false
    for (let k = 0; k < count - 1; k++) {
      const next = order.below((means[k]! + means[k + 1]!) / 2)
      moved ||= next.count !== below[k]!.count
      below[k] = next
    }
    for (let k = 0, from: Below = { count: 0, sum: 0 }; k < count; from = below[k++]!) {
      const to = below[k]!
      if (to.count > from.count) means[k] = (to.sum - from.sum) / (to.count - from.count)
    }
  }
  const levels = Float32Array.from(means, (mean) => f16ToF32(f32ToF16(mean)))
  return { levels, decoded: normalised ? normalise(numbers, order, levels) : levels }
}

/** Levels scaled by the ratio of deviations and moved from mean to mean; as they are where all numbers have one level. */
function normalise(numbers: Float32Array, order: Ascending, levels: Float32Array): Float32Array {
  const n = numbers.length
  const mean = order.all.sum / n
  const begins = [0, ...Array.from(middles(levels), (bound) => order.below(bound).count), n]
  const share = (k: number): number => (begins[k + 1]! - begins[k]!) / n
  const rounded = levels.reduce((sum, level, k) => sum + share(k) * level, 0)
  const variance = levels.reduce((sum, level, k) => sum + share(k) * (level - rounded) ** 2, 0)
  if (variance === 0) return levels
  let squares = 0
  for (let i = 0; i < n; i++) squares += (numbers[i]! - mean) ** 2
  const scale = Math.sqrt(squares / n / variance)
  return levels.map((level) => f16ToF32(f32ToF16(level * scale + (mean - rounded * scale))))
}
