import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16, isFiniteF16 } from '#core/kernels/finite.ts'
import type { BlockShape } from '#core/quantizers/quantizer.ts'
import { halvesOf } from '#core/quantizers/streams.ts'
import { select } from './select.ts'
import { defineTransform } from './transform.ts'

/** Places are U16. */
const MAX_VALUES = 65_536

/**
 * Dense and sparse: of the values of a token, those of all heads of a layer, the ceil(values · p / 1000) farthest from the token's median, the first of
 * equally far ones, are kept in F16 with their places, and the median stands for them before the quantizer; after it they are put back. The median
 * is the lower one of two. KVQuant takes what lies outside of two percentiles and puts the median there for values; GEAR as many on either side.
 * Streams: `outliers` F16 and `places` U16, ascending, h · headDim + channel, both [tokens, outliers of a token].
 */
export const outliers = defineTransform({
  id: 'outliers',
  label: 'The outliers of each token kept apart in F16',
  source: 'Hooper et al., "KVQuant", arXiv 2401.18079, dense-and-sparse; Kang et al., "GEAR", arXiv 2403.05527',
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
    const token = new Float32Array(kvHeads * headDim)
    const order = new Float32Array(token.length)
    for (let t = 0; t < tokens; t++) {
      for (let head = 0; head < kvHeads; head++) token.set(rowOf(values, shape, head, t), head * headDim)
      order.set(token)
      const median = select(order, (token.length - 1) >> 1)
      for (let i = 0; i < token.length; i++) order[i] = Math.abs(token[i]! - median)
      markFarthest(order, count, places.subarray(t * count, (t + 1) * count))
      for (let k = t * count; k < (t + 1) * count; k++) {
        const at = indexOf(shape, places[k]!, t)
        kept[k] = finiteF16(values[at]!, 'outlier')
        values[at] = median
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

/** Writes the places of the `count` values with the largest distances, the first of equal ones, ascending. */
function markFarthest(distances: Float32Array, count: number, places: Uint16Array): void {
  const limit = largest(distances, count)
  let atLimit = count
  for (let i = 0; i < distances.length; i++) if (distances[i]! > limit) atLimit--
  let next = 0
  for (let i = 0; next < count; i++) if (distances[i]! > limit || (distances[i]! === limit && atLimit-- > 0)) places[next++] = i
}

/** The least of the `count` largest numbers, none of them below zero. They are held in ascending order, and few numbers of many get among them. */
function largest(numbers: Float32Array, count: number): number {
  const top = new Float32Array(count).fill(-1)
  for (let i = 0; i < numbers.length; i++) {
    const x = numbers[i]!
    if (x <= top[0]!) continue
    let at = 1
    for (; at < count && top[at]! < x; at++) top[at - 1] = top[at]!
    top[at - 1] = x
  }
  return top[0]!
}
