import { decodeF8e4m3, f32ToF8e4m3 } from '#core/bytes/float.ts'
import { LabError } from '#core/contract/errors.ts'
import { packRounded, unpackScaled } from './packing.ts'

/** A layer [heads, tokens, headDim] and how many clusters its channels, of all heads, fall into. */
export type ClusteredShape = { readonly heads: number; readonly tokens: number; readonly headDim: number; readonly count: number }

/** The cluster of each channel [heads, headDim]; E4M3 scales and zero points [tokens, count]; codes of `bits` in the order of the values, as a little-endian string. */
export type ClusteredStreams = { readonly codes: Uint8Array; readonly scales: Uint8Array; readonly zeros: Uint8Array; readonly clusters: Uint16Array }

/** The least scale, as SKVQ's released code has it. */
const LEAST_SCALE = Math.fround(1e-5)
/** From here on E4M3 has only NaN. */
const E4M3_END = 464

/**
 * Codes of a layer by token and cluster: z = min p, s = max((max p - z) / top, 1e-5), q = rne(clamp((x - z) / s, 0, top)), top = 2^bits - 1, all in F32; scale and zero point are
 * then stored in E4M3. `p`: the part of the range that has codes. A cluster without channels has scale and zero point 0. Throws LabError OUT_OF_RANGE above E4M3's 448.
 */
export function quantizeClustered(values: Float32Array, shape: ClusteredShape, bits: number, p: number, { codes, scales, zeros, clusters }: ClusteredStreams): void {
  const { heads, tokens, headDim, count } = shape
  const top = (1 << bits) - 1
  const { channels, places, ends } = membersOf(clusters, shape)
  // One token's values in the order of the clusters, and its quotients in that of the channels; what is stored here is rounded to F32.
  const [row, quotients] = [new Float32Array(places.length), new Float32Array(places.length)]
  for (let token = 0; token < tokens; token++) {
    for (let k = 0, from = 0; k < count; from = ends[k++]!) {
      const at = token * count + k
      scales[at] = zeros[at] = 0
      const end = ends[k]!
      if (end === from) continue
      let low = Infinity
      let high = -Infinity
      for (let i = from; i < end; i++) {
        const x = values[places[i]! + token * headDim]!
        row[i] = x
        if (x < low) low = x
        if (x > high) high = x
      }
      const zero = Math.fround(low * p)
      const scale = Math.max(Math.fround(Math.fround(Math.fround(high * p) - zero) / top), LEAST_SCALE)
      scales[at] = finiteE4m3(scale, 'scale')
      zeros[at] = finiteE4m3(zero, 'zero point')
      for (let i = from; i < end; i++) {
        const q = Math.fround(row[i]! - zero) / scale
        quotients[channels[i]!] = q > top ? top : q > 0 ? q : 0
      }
    }
    for (let head = 0; head < heads; head++) packRounded(quotients, head * headDim, headDim, 1, 0, bits, codes, ((head * tokens + token) * headDim * bits) / 8)
  }
}

/** x' = fround(fround(q s) + z). Returns whether all scales and zero points are numbers and all clusters such as there are. */
export function dequantizeClustered({ codes, scales, zeros, clusters }: ClusteredStreams, shape: ClusteredShape, bits: number, out: Float32Array): boolean {
  const { heads, tokens, headDim, count } = shape
  if (clusters.some((cluster) => cluster >= count)) return false
  unpackScaled(codes, 0, bits, 0, 1, 0, out, 0, out.length)
  const [factors, offsets] = [new Float32Array(scales.length), new Float32Array(zeros.length)]
  decodeF8e4m3(scales, factors)
  decodeF8e4m3(zeros, offsets)
  for (let head = 0, at = 0; head < heads; head++) {
    for (let token = 0; token < tokens; token++) {
      for (let c = head * headDim; c < (head + 1) * headDim; c++, at++) {
        const k = token * count + clusters[c]!
        out[at] = Math.fround(out[at]! * factors[k]!) + offsets[k]!
      }
    }
  }
  return [scales, zeros].every((codes) => codes.every((code) => (code & 0x7f) < 0x7f))
}

/** The channels of each cluster in turn, where they have their values of the first token, and where each cluster's end among them: the order that the channels are put in. */
function membersOf(clusters: Uint16Array, { tokens, headDim, count }: ClusteredShape): { channels: Uint32Array; places: Uint32Array; ends: Uint32Array } {
  const ends = new Uint32Array(count)
  for (const cluster of clusters) ends[cluster]! += 1
  for (let k = 1; k < count; k++) ends[k]! += ends[k - 1]!
  const next = Uint32Array.from(ends, (_, k) => (k === 0 ? 0 : ends[k - 1]!))
  const channels = new Uint32Array(clusters.length)
  clusters.forEach((cluster, c) => (channels[next[cluster]!++] = c))
  return { channels, places: channels.map((c) => Math.floor(c / headDim) * tokens * headDim + (c % headDim)), ends }
}

/** E4M3 bits of a scale or zero point. */
function finiteE4m3(value: number, what: string): number {
  if (Math.abs(value) <= E4M3_END) return f32ToF8e4m3(value)
  throw new LabError('OUT_OF_RANGE', `${what} ${value} does not fit E4M3, whose largest value is 448: keep these values with none, or use int`, { value })
}
