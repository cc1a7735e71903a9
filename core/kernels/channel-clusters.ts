import { kernels } from './index.ts'

const ROUNDS = 50

/** Least and largest value of each channel of each head of a layer [heads, tokens, headDim], by head and channel. */
export function channelEnds(values: Float32Array, heads: number, tokens: number, headDim: number): { low: Float32Array; high: Float32Array } {
  const [low, high] = [new Float32Array(heads * headDim), new Float32Array(heads * headDim)]
  kernels.findRanges(values, { byChannel: true, heads, tokens, headDim }, low, high)
  return { low, high }
}

/**
 * The cluster, 0 to count - 1, of each point (low, high): k-means in the plane, the best of four starts. A start takes as means the points at the (k + 1/2) / count quantiles of
 * the order by low, by high, by their sum and by their difference, equals in the order of their index; it ends when no point changes its cluster or after 50 rounds. A point as near
 * to two means belongs to the first, means of nothing stay, and of starts with equal sums of squared distances the first is taken.
 */
export function clusterChannels(low: Float32Array, high: Float32Array, count: number): Uint16Array {
  let best: { clusters: Uint16Array; spread: number } | null = null
  for (const rank of [(c: number) => low[c]!, (c: number) => high[c]!, (c: number) => low[c]! + high[c]!, (c: number) => high[c]! - low[c]!]) {
    const order = Array.from(low, (_, c) => c).sort((a, b) => rank(a) - rank(b) || a - b)
    const found = lloyd(low, high, Array.from({ length: count }, (_, k) => order[Math.floor(((2 * k + 1) * low.length) / (2 * count))]!))
    if (best === null || found.spread < best.spread) best = found
  }
  return best?.clusters ?? new Uint16Array(low.length)
}

/** K-means from these points on, and the sum of squared distances that is left. */
function lloyd(low: Float32Array, high: Float32Array, starts: readonly number[]): { clusters: Uint16Array; spread: number } {
  const means = { low: Float64Array.from(starts, (c) => low[c]!), high: Float64Array.from(starts, (c) => high[c]!) }
  const sums = { low: new Float64Array(starts.length), high: new Float64Array(starts.length), points: new Float64Array(starts.length) }
  const clusters = new Uint16Array(low.length)
  let spread = 0
  for (let round = 0, moved = true; moved && round < ROUNDS; round++) {
    moved = round === 0
    spread = 0
    for (const numbers of Object.values(sums)) numbers.fill(0)
    for (let c = 0; c < low.length; c++) {
      let nearest = 0
      let least = Infinity
      for (let k = 0; k < starts.length; k++) {
        const distance = (low[c]! - means.low[k]!) ** 2 + (high[c]! - means.high[k]!) ** 2
        if (distance < least) {
          least = distance
          nearest = k
        }
      }
      moved ||= nearest !== clusters[c]
      clusters[c] = nearest
      spread += least
      sums.low[nearest]! += low[c]!
      sums.high[nearest]! += high[c]!
      sums.points[nearest]! += 1
    }
    for (let k = 0; k < starts.length; k++) {
      if (sums.points[k] === 0) continue
      means.low[k] = sums.low[k]! / sums.points[k]!
      means.high[k] = sums.high[k]! / sums.points[k]!
    }
  }
  return { clusters, spread }
}
