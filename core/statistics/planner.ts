import { normalQuantile } from './quantile.ts'

/** Per-token standard deviation of Δ loss of an 8-bit cache, from the errors that llama.cpp publishes. A lower bound: tokens are correlated. */
const DEVIATION_8_BIT = 0.055
const LEVEL = 0.95

/** Half-width of the 95 % interval of Δ ln PPL that `tokens` scored tokens can be expected to give; an estimate. */
export function resolvableLnRatio(tokens: number, deviation = DEVIATION_8_BIT): number {
  return (normalQuantile((1 + LEVEL) / 2) * deviation) / Math.sqrt(tokens)
}
