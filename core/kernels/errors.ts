import type { ErrorTotals } from './kernels.ts'
import { laneTotal } from './logits.ts'

/** Lanes that values go to in turn, each summed for itself. */
const LANES = 4
const SUMS = 5

/** Sums of every lane, [5][4]: squares of the originals, of the restored, products, squares of the errors; the largest error. */
const lanes = new Float64Array(SUMS * LANES)

/** Kernels.errorTotals in TypeScript. */
export function errorTotals(original: Float32Array, restored: Float32Array): ErrorTotals {
  lanes.fill(0)
  for (let i = 0; i < original.length; i++) {
    const lane = i % LANES
    const before = original[i]!
    const after = restored[i]!
    const error = before - after
    lanes[lane]! += before * before
    lanes[LANES + lane]! += after * after
    lanes[2 * LANES + lane]! += before * after
    lanes[3 * LANES + lane]! += error * error
    const magnitude = Math.abs(error)
    if (magnitude > lanes[4 * LANES + lane]!) lanes[4 * LANES + lane] = magnitude
  }
  return totalsOf(lanes)
}

/** What the lanes make together. */
export function totalsOf(sums: Float64Array): ErrorTotals {
  const most = Math.max(...sums.subarray(4 * LANES, SUMS * LANES))
  return { original: laneTotal(sums, 0), restored: laneTotal(sums, 1), product: laneTotal(sums, 2), error: laneTotal(sums, 3), maxError: most }
}
