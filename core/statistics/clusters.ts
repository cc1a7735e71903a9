/** Sum of a per-token series over each window of `tokensPerWindow`. */
export function windowSums(series: Float64Array, tokensPerWindow: number): Float64Array {
  const sums = new Float64Array(series.length / tokensPerWindow)
  for (let window = 0, at = 0; window < sums.length; window++) {
    let sum = 0
    for (const end = at + tokensPerWindow; at < end; at++) sum += series[at]!
    sums[window] = sum
  }
  return sums
}

/**
 * Mean per token and its cluster-robust standard error from the sums of at least two equal windows: tokens of one window may be
 * correlated in any way, windows are taken as independent. Var = C/(C-1) Σ (S_c - mean T)² / (C T)² for C windows of T tokens.
 */
export function clusterMean(sums: ArrayLike<number>, tokensPerWindow: number): { mean: number; standardError: number } {
  const windows = sums.length
  let total = 0
  for (let c = 0; c < windows; c++) total += sums[c]!
  const mean = total / (windows * tokensPerWindow)
  let squares = 0
  for (let c = 0; c < windows; c++) squares += (sums[c]! - mean * tokensPerWindow) ** 2
  return { mean, standardError: Math.sqrt((squares * windows) / (windows - 1)) / (windows * tokensPerWindow) }
}
