/** What values of one layer [heads, tokens, headDim] share a range: those of a channel of a head over all tokens, or those of a token over all heads. */
export type Ranges = { readonly byChannel: boolean; readonly heads: number; readonly tokens: number; readonly headDim: number }

/** How many ranges there are: [heads, headDim] or [tokens]. */
export function rangeCount({ byChannel, heads, tokens, headDim }: Ranges): number {
  return byChannel ? heads * headDim : tokens
}

/** Calls `run` for each row of the layer: where it begins, its length, the range of its first value, and 1 where each value has the next range, 0 where all have one. */
export function eachRun({ byChannel, heads, tokens, headDim }: Ranges, run: (at: number, length: number, first: number, step: 0 | 1) => void): void {
  for (let head = 0; head < heads; head++) {
    for (let token = 0; token < tokens; token++) run((head * tokens + token) * headDim, headDim, byChannel ? head * headDim : token, byChannel ? 1 : 0)
  }
}

/** Kernels.findRanges in TypeScript. */
export function findRanges(values: Float32Array, ranges: Ranges, low: Float32Array, high: Float32Array): void {
  low.fill(Infinity)
  high.fill(-Infinity)
  eachRun(ranges, (at, length, first, step) => {
    for (let i = 0, range = first; i < length; i++, range += step) {
      const x = values[at + i]!
      if (x < low[range]!) low[range] = x
      if (x > high[range]!) high[range] = x
    }
  })
  clearSigns(low, high)
}

/** Takes the sign of each 0, but where both ends of a range are 0. */
export function clearSigns(low: Float32Array, high: Float32Array): void {
  for (let i = 0; i < low.length; i++) {
    if (low[i] === 0 && high[i] === 0) continue
    low[i]! += 0
    high[i]! += 0
  }
}

/** Kernels.divideByRanges in TypeScript. */
export function divideByRanges(values: Float32Array, ranges: Ranges, offsets: Float32Array, factors: Float32Array, parts: Float32Array): void {
  eachRun(ranges, (at, length, first, step) => {
    for (let i = 0, range = first; i < length; i++, range += step) parts[at + i] = Math.fround(values[at + i]! - offsets[range]!) / factors[range]!
  })
}
