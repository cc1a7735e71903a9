/**
 * The quantile at `share` (0..1) of ascending values, linear between the two nearest: position share * (n - 1), as `numpy.percentile`
 * does by default. NaN where there are no values.
 */
export function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1)
  const below = Math.floor(position)
  const low = sorted[below] ?? NaN
  const high = sorted[below + 1] ?? low
  return low + (high - low) * (position - below)
}

/**
 * The z with Φ(z) = share, share in (0.5, 1). Φ by Marsaglia's series ("Evaluating the normal distribution", 2004), solved by Newton's
 * method, which climbs to the root from 0 because Φ is concave there.
 */
export function normalQuantile(share: number): number {
  let z = 0
  for (let step = 0; step < 200; step++) {
    const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI)
    let term = z
    let sum = z
    for (let odd = 3; term > sum * 1e-17; odd += 2) {
      term *= (z * z) / odd
      sum += term
    }
    const next = z + (share - 0.5 - sum * density) / density
    if (!(next - z > 1e-14)) break
    z = next
  }
  return z
}
