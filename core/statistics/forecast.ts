import { studentQuantile } from './student.ts'

/** Bounds of a mean, and how far it may lie from the mean of a series: what a part of the windows says about all of them. */
export type Forecast = { readonly mean: number; readonly low: number; readonly high: number; readonly deviation: number }

/**
 * Where the mean over all `windows` will lie, from the values of the first n >= 2 of them, wrong on either side with at most `error`.
 * Windows are taken as exchangeable: the mean of all differs from the mean of n by s sqrt(1/n - 1/N) times Student's t with n - 1 degrees of
 * freedom (the finite-population correction: what is left to measure is all that can still move the mean).
 */
export function forecast(values: Float64Array, windows: number, error: number): Forecast {
  const n = values.length
  let sum = 0
  for (const value of values) sum += value
  const mean = sum / n
  let squares = 0
  for (const value of values) squares += (value - mean) ** 2
  const deviation = Math.sqrt(squares / (n - 1))
  const half = deviation === 0 ? 0 : studentQuantile(1 - error, n - 1) * deviation * Math.sqrt(Math.max(0, 1 / n - 1 / windows))
  return { mean, low: mean - half, high: mean + half, deviation }
}

/**
 * P(X <= count) for X the marked among `drawn` of `size`, `marked` of which are marked: hypergeometric. All whole numbers, drawn <= size.
 */
export function hypergeometricAtMost(count: number, drawn: number, marked: number, size: number): number {
  const least = Math.max(0, drawn + marked - size)
  if (count < least) return 0
  if (count >= Math.min(drawn, marked)) return 1
  // P(X = least), then by the ratio of neighbours; in logarithms, where the first may be far too small for a number.
  let log = logChoose(marked, least) + logChoose(size - marked, drawn - least) - logChoose(size, drawn)
  let sum = Math.exp(log)
  for (let k = least; k < count; k++) {
    log += Math.log(((marked - k) / (k + 1)) * ((drawn - k) / (size - marked - drawn + k + 1)))
    sum += Math.exp(log)
  }
  return Math.min(1, sum)
}

function logChoose(from: number, take: number): number {
  return logFactorial(from) - logFactorial(take) - logFactorial(from - take)
}

/** ln n!, by Stirling's series from 20 on: exact to 1e-13 of itself. */
function logFactorial(n: number): number {
  if (n < 20) {
    let product = 1
    for (let k = 2; k <= n; k++) product *= k
    return Math.log(product)
  }
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * n) - 1 / (360 * n ** 3) + 1 / (1260 * n ** 5)
}
