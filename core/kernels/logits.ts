import type { RowSums } from './kernels.ts'

/*
 * e^x = 2^k e^r with k = rne(x log2 e), |r| at most ln2 / 2 and a polynomial of degree 8 for e^r, interpolated at Chebyshev's points:
 * relative error below 5e-12, and e^0 is exactly 1.
 */
const PER_OCTAVE = 1.4426950408889634
const OCTAVE = 0.6931471805599453
/** 1.5 * 2^52: added to a number it rounds that to an integer. */
const ROUNDING = 6755399441055744
/** What is below is taken as this: beside a term of 1 neither counts. */
const LOWEST = -700
const MOST_OCTAVES = 1010
const POWERS = Float64Array.from({ length: MOST_OCTAVES + 1 }, (_, k) => 2 ** (k - MOST_OCTAVES))

function exp(given: number): number {
  const x = given > LOWEST ? given : LOWEST
  const k = x * PER_OCTAVE + ROUNDING - ROUNDING
  const r = x - k * OCTAVE
  const square = r * r
  const low = 0.5 + 0.166666667191548 * r + square * (0.04166666671913807 + 0.008333298413941455 * r)
  const high = 0.0013888853979832356 + 0.00019899332056564083 * r + square * 2.485963629410833e-5
  return (1 + r + square * (low + square * square * high)) * POWERS[k + MOST_OCTAVES]!
}

/** Kernels.largestLogit in TypeScript. */
export function largestLogit(row: Float32Array): number {
  let most = -Infinity
  let total = 0
  for (let i = 0; i < row.length; i++) {
    const z = row[i]!
    // 0, or NaN for what is not finite.
    total += z - z
    if (z > most) most = z
  }
  // A zero loses its sign by that.
  return most + total
}

/** Kernels.sumExps in TypeScript. */
export function sumExps(row: Float32Array, shift: number): number {
  const sums = new Float64Array(4)
  addExps(sums, row, shift)
  return laneTotal(sums, 0)
}

/** Adds to the four lanes of `sums`. */
export function addExps(sums: Float64Array, row: Float32Array, shift: number): void {
  for (let i = 0; i < row.length; i++) sums[i & 3]! += exp(row[i]! - shift)
}

/** Kernels.compareRows in TypeScript. */
export function compareRows(row: Float32Array, shift: number, known: Float32Array, knownShift: number): RowSums {
  const sums = new Float64Array(8)
  addComparison(sums, row, shift, known, knownShift)
  return rowSums(sums)
}

/** Adds to the lanes of `sums`, [2][4]. */
export function addComparison(sums: Float64Array, row: Float32Array, shift: number, known: Float32Array, knownShift: number): void {
  for (let i = 0; i < row.length; i++) {
    const lane = i & 3
    sums[lane]! += exp(row[i]! - shift)
    sums[lane + 4]! += exp(known[i]! - knownShift) * (known[i]! - row[i]!)
  }
}

/** The sums that their lanes, [2][4], make. */
export function rowSums(sums: Float64Array): RowSums {
  return { sum: laneTotal(sums, 0), cross: laneTotal(sums, 1) }
}

/** (0 + 1) + (2 + 3) of the lanes of one sum. */
export function laneTotal(sums: Float64Array, which: number): number {
  const at = 4 * which
  return sums[at]! + sums[at + 1]! + (sums[at + 2]! + sums[at + 3]!)
}
