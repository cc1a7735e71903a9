import type { ErrorTotals } from './kernels.ts'

/** Lanes that values go to in turn, each summed for itself. */
export const LANES = 4
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

/** What all lanes make together: (first + second) + (third + fourth). */
export function totalsOf(sums: Float64Array): ErrorTotals {
  const of = (sum: number): number => sums[sum * LANES]! + sums[sum * LANES + 1]! + (sums[sum * LANES + 2]! + sums[sum * LANES + 3]!)
  const most = Math.max(...sums.subarray(4 * LANES, SUMS * LANES))
  return { original: of(0), restored: of(1), product: of(2), error: of(3), maxError: most }
}
