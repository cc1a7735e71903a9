import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16, isFiniteF16 } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import type { BlockShape } from '#core/quantizers/quantizer.ts'
import { halvesOf } from '#core/quantizers/streams.ts'
import { defineTransform } from './transform.ts'

/** Places are U16. */
const MAX_VALUES = 65_536
/** Values of the tokens that are looked at together. */
const TURN = 16_384

/**
 * Dense and sparse, for the values of all heads of a token; of equally far ones the first, of two medians the lower.
 * Streams: `outliers` F16 and `places` U16, ascending, h · headDim + channel, both [tokens, outliers of a token].
 */
export const outliers = defineTransform({
  id: 'outliers',
  label: 'The outliers of each token kept apart in F16',
  source: 'Hooper et al., "KVQuant", arXiv 2401.18079, dense-and-sparse; Kang et al., "GEAR", arXiv 2403.05527',
  formula: [
    'of the values of a token, all heads, the ceil(values · p / 1000) farthest from their median are kept in F16 with their places; the median stands for them before the quantizer',
  ],
  caveats: [
    'Each takes 32 bits: 10 per mille are 0.32 bits a value and more in small models.',
    'KVQuant takes what lies outside of two percentiles, of keys by channel, where this takes keys by token; GEAR takes as many on either side.',
  ],
  lossy: true,
  params: { perMille: { kind: 'int', label: 'Values of a token that are kept, per mille: 10 are 1 %', option: 'outliers', default: 10, min: 1, max: 100 } },
  refuse(_, { kvHeads, headDim }) {
    return kvHeads * headDim <= MAX_VALUES ? null : `a token has ${kvHeads * headDim} values in a layer, and places of 16 bits tell ${MAX_VALUES} apart`
  },
  bits: ({ perMille }, shape) => (32 * countOf(shape, perMille)) / (shape.kvHeads * shape.headDim),
  layout(shape, { perMille }) {
    const sizes = [shape.tokens, countOf(shape, perMille)]
    return { outliers: { dtype: 'F16', shape: sizes }, places: { dtype: 'U16', shape: sizes } }
  },
  forward(values, shape, { perMille }, _, out) {
    const { kvHeads, tokens, headDim } = shape
    const count = countOf(shape, perMille)
    const kept = halvesOf(out, 'outliers', tokens * count)
    const places = halvesOf(out, 'places', tokens * count)
    const length = kvHeads * headDim
    const most = Math.max(1, Math.floor(TURN / length))
    const [gathered, medians, limits] = [new Float32Array(most * length), new Float32Array(most), new Float32Array(most)]
    for (let from = 0; from < tokens; from += most) {
      const rows = Math.min(most, tokens - from)
      const part = gathered.subarray(0, rows * length)
      for (let t = 0; t < rows; t++) for (let head = 0; head < kvHeads; head++) part.set(rowOf(values, shape, head, from + t), t * length + head * headDim)
      kernels.selectRows(part, length, (length - 1) >> 1, medians.subarray(0, rows))
      for (let t = 0; t < rows; t++) {
        const median = medians[t]!
        for (let i = t * length; i < (t + 1) * length; i++) part[i] = Math.abs(part[i]! - median)
      }
      kernels.selectRows(part, length, length - count, limits.subarray(0, rows))
      for (let t = 0; t < rows; t++) {
        const begin = (from + t) * count
        markFarthest(part.subarray(t * length, (t + 1) * length), limits[t]!, places.subarray(begin, begin + count))
        for (let k = begin; k < begin + count; k++) {
          const at = indexOf(shape, places[k]!, from + t)
          kept[k] = finiteF16(values[at]!, 'outlier')
          values[at] = medians[t]!
        }
      }
    }
  },
  inverse(values, shape, { perMille }, _, streams) {
    const { tokens, kvHeads, headDim } = shape
    const count = countOf(shape, perMille)
    const kept = halvesOf(streams, 'outliers', tokens * count)
    const places = halvesOf(streams, 'places', tokens * count)
    for (let k = 0; k < kept.length; k++) {
      const place = places[k]!
      const ascends = k % count === 0 || place > places[k - 1]!
      if (!ascends || place >= kvHeads * headDim || !isFiniteF16(kept[k]!)) return false
      values[indexOf(shape, place, Math.floor(k / count))] = f16ToF32(kept[k]!)
    }
    return true
  },
})

function countOf({ kvHeads, headDim }: Pick<BlockShape, 'kvHeads' | 'headDim'>, perMille: number): number {
  return Math.ceil((kvHeads * headDim * perMille) / 1000)
}

function rowOf(values: Float32Array, { tokens, headDim }: BlockShape, head: number, token: number): Float32Array {
  const at = (head * tokens + token) * headDim
  return values.subarray(at, at + headDim)
}

/** Where a token's value of that place lies among a layer's. */
function indexOf({ tokens, headDim }: BlockShape, place: number, token: number): number {
  return (Math.floor(place / headDim) * tokens + token) * headDim + (place % headDim)
}

/** Writes the places of the largest distances, as many as there is room for, ascending: all above `limit`, the least of them, and of those at it the first. */
function markFarthest(distances: Float32Array, limit: number, places: Uint16Array): void {
  let above = 0
  for (let i = 0; i < distances.length; i++) if (distances[i]! > limit) above++
  let atLimit = places.length - above
  let next = 0
  for (let i = 0; next < places.length; i++) if (distances[i]! >= limit && (distances[i]! > limit || atLimit-- > 0)) places[next++] = i
}
