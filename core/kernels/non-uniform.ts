import { decodeF16, encodeF16, f16ToF32 } from '#core/bytes/float.ts'
import { levelOf, middles } from './codebook.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from './finite.ts'
import { packRounded, unpackScaled } from './packing.ts'
import { learnCodebook } from './signposts.ts'

/** What values of one layer [heads, tokens, headDim] share a range: those of a channel of a head over all tokens, or those of a token over all heads. */
export type Ranges = { readonly byChannel: boolean; readonly heads: number; readonly tokens: number; readonly headDim: number }

/** F16 ranges (half of largest minus least) and middles of what shares them, [heads, headDim] or [tokens]; F16 levels that codes are decoded to; codes of `bits` as a little-endian string. */
export type NonUniformStreams = { readonly codes: Uint8Array; readonly scales: Uint16Array; readonly zeros: Uint16Array; readonly levels: Uint16Array }

/** How many ranges there are. */
export function rangeCount({ byChannel, heads, tokens, headDim }: Ranges): number {
  return byChannel ? heads * headDim : tokens
}

/**
 * The ranges of a layer and, into `normal`, its values as parts of them: fround(fround(x - z) / r), 0 where r is 0 in F16.
 * Throws LabError OUT_OF_RANGE where F16 cannot hold a range or a middle.
 */
export function normaliseRanges(values: Float32Array, ranges: Ranges, scales: Uint16Array, zeros: Uint16Array, normal: Float32Array): void {
  const count = rangeCount(ranges)
  const low = new Float32Array(count).fill(Infinity)
  const high = new Float32Array(count).fill(-Infinity)
  eachRun(ranges, (at, length, first, step) => {
    for (let i = 0, range = first; i < length; i++, range += step) {
      const x = values[at + i]!
      if (x < low[range]!) low[range] = x
      if (x > high[range]!) high[range] = x
    }
  })
  for (let i = 0; i < count; i++) {
    scales[i] = finiteF16(Math.fround(high[i]! - low[i]!) / 2, 'range')
    zeros[i] = finiteF16(Math.fround(high[i]! + low[i]!) / 2, 'middle')
    low[i] = f16ToF32(zeros[i]!)
    // Of a range that is 0 in F16 every quotient is 0.
    high[i] = scales[i] === 0 ? Infinity : f16ToF32(scales[i]!)
  }
  eachRun(ranges, (at, length, first, step) => {
    for (let i = 0, range = first; i < length; i++, range += step) normal[at + i] = Math.fround(values[at + i]! - low[range]!) / high[range]!
  })
}

/** Codes of a layer by a codebook learned on the layer itself, as parts of ranges. Throws LabError NOT_FINITE for the first NaN or infinity, OUT_OF_RANGE as normaliseRanges. */
export function quantizeNonUniform(values: Float32Array, ranges: Ranges, bits: number, normalised: boolean, { codes, scales, zeros, levels }: NonUniformStreams): void {
  refuseNonFinite(values)
  const normal = new Float32Array(values.length)
  normaliseRanges(values, ranges, scales, zeros, normal)
  const book = learnCodebook(learnable(normal, ranges, scales), 1 << bits, normalised)
  encodeF16(book.decoded, levels)
  const bounds = middles(book.levels)
  for (let i = 0; i < normal.length; i++) normal[i] = levelOf(bounds, normal[i]!)
  packRounded(normal, 0, normal.length, 1, 0, bits, codes, 0)
}

/** A copy of the parts whose range is not 0: what a codebook is learned from. */
export function learnable(normal: Float32Array, ranges: Ranges, scales: Uint16Array): Float32Array {
  const chosen = new Float32Array(normal.length)
  let count = 0
  eachRun(ranges, (at, length, first, step) => {
    for (let i = 0, range = first; i < length; i++, range += step) if (scales[range] !== 0) chosen[count++] = normal[at + i]!
  })
  return chosen.subarray(0, count)
}

/** x' = fround(fround(level r) + z). Returns whether all ranges, middles and levels are finite. */
export function dequantizeNonUniform({ codes, scales, zeros, levels }: NonUniformStreams, ranges: Ranges, bits: number, out: Float32Array): boolean {
  const [book, factors, offsets] = [levels, scales, zeros].map((halves) => {
    const numbers = new Float32Array(halves.length)
    decodeF16(halves, numbers)
    return numbers
  }) as [Float32Array, Float32Array, Float32Array]
  unpackScaled(codes, 0, bits, 0, 1, 0, out, 0, out.length)
  eachRun(ranges, (at, length, first, step) => {
    for (let i = 0, range = first; i < length; i++, range += step) out[at + i] = Math.fround(book[out[at + i]!]! * factors[range]!) + offsets[range]!
  })
  return [levels, scales, zeros].every((halves) => halves.every(isFiniteF16))
}

/** Calls `run` for each row of the layer: where it begins, its length, the range of its first value, and 1 where each value has the next range, 0 where all have one. */
function eachRun({ byChannel, heads, tokens, headDim }: Ranges, run: (at: number, length: number, first: number, step: 0 | 1) => void): void {
  for (let head = 0; head < heads; head++) {
    for (let token = 0; token < tokens; token++) run((head * tokens + token) * headDim, headDim, byChannel ? head * headDim : token, byChannel ? 1 : 0)
  }
}
