import type { Interval } from '#core/contract/run.ts'
import { clusterMean } from './clusters.ts'
import { normalQuantile } from './quantile.ts'

/**
 * The interval while a run goes on, cheap enough to be asked every second: mean per token ± z times the cluster-robust standard error,
 * from the sum of each finished window of `tokensPerWindow` tokens. Null under two windows: one says nothing of how windows differ.
 */
export function liveInterval(sums: ArrayLike<number>, tokensPerWindow: number, level: number): Interval | null {
  if (sums.length < 2) return null
  const { mean, standardError } = clusterMean(sums, tokensPerWindow)
  const half = normalQuantile((1 + level) / 2) * standardError
  return { mean, low: mean - half, high: mean + half, standardError, level }
}
