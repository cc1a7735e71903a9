import { f16ToF32 } from '#core/bytes/float.ts'
import type { ParamValues } from '#core/contract/method.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import { lowRank } from '#core/kernels/low-rank.ts'
import { takeOutliers, type Vectors, vectorsOf } from '#core/kernels/vector-outliers.ts'
import { refuseGroup } from './groups.ts'
import { integerQuantizer } from './integer.ts'
import { type BlockShape, defineQuantizer, type Quantizer, type Side, type Streams } from './quantizer.ts'
import { halvesOf } from './streams.ts'

/** Indices of sparse values are 16 bits wide. */
const MAX_VECTOR = 2 ** 16

const gearParams = {
  group: { kind: 'int', label: 'Tokens of a key channel, or channels of a value, per scale', option: 'g', default: 64, min: 16, max: 256, multipleOf: 8 },
  rank: { kind: 'int', label: 'Rank of the correction of each head', option: 'k', default: 4, min: 1, max: 64 },
  sparse: { kind: 'int', label: 'Percent of values kept apart, half of them the least, half the largest', option: 's', default: 2, min: 0, max: 50 },
} as const
type GearParams = typeof gearParams

/**
 * GEAR on KIVI's groups. A vector is a channel of keys over all tokens, a token of values over all heads. The correction comes from three turns of power iteration and is
 * added to the values that were kept apart as well, as the released code does. Its code starts the iteration from random numbers, ours from fixed signs; it counts sparse values of a channel by the width of a token, ours by the paper;
 * and it has bits² - 1 steps, which are 2^bits - 1 for 2 and 4 bits alone. Not here: its buffer of last tokens (say `@recent`) and other backbones than KIVI's.
 * Streams: those of int<b>:asym; `left` F16 [kvHeads, tokens, k] and `right` F16 [kvHeads, 1, headDim k], k at most tokens and headDim; where there are sparse
 * values, `sparse` F16 and `places` U16, of keys [kvHeads, 1, headDim 2n], of values [1, tokens, 2n].
 */
export function gearQuantizer(bits: 2 | 4): Quantizer<GearParams> {
  const integers = integerQuantizer(bits)
  const own = ({ group }: ParamValues<GearParams>, side: Side) => ({ groupSize: group, asym: true, axisChannel: side === 'key', clip: 100 })
  return defineQuantizer({
    id: `gear${bits}`,
    label: `GEAR: ${bits}-bit integers by group, a low-rank correction of each head and sparse values`,
    source: 'Kang et al., "GEAR", arXiv 2403.05527; its GEARLM/Simulated/compress_function.py, gearslkivi',
    formula: [
      'floor(s / 200 of a vector) least and as many largest values apart in F16, their places filled by the mean of the vector',
      `the rest: integers of ${bits} bits with scale and zero point, keys by channel and values by token, as int${bits}:asym`,
      'x\' = that + L R of each head: [tokens, k] [k, headDim] in F16 nearest to what is missing',
    ],
    caveats: [
      'The two factors take 16 k (tokens + headDim) / (tokens headDim) bits a value, one bit and more at a head size of 64, and help only where what is missing has a direction.',
      'All tokens of a layer depend on one another.',
      'The released code has bits² - 1 steps, which are 2^bits - 1 for 2 and 4 bits alone; other bits are not offered.',
    ],
    lossy: true,
    params: gearParams,
    axis: () => 'layer',
    bits(params, shape) {
      const { kvHeads, tokens, headDim } = shape
      const apart = 2 * eachSide(shape, params) * vectors(shape).count
      return integers.bits(own(params, shape.side), shape) + (16 * rankOf(shape, params) * kvHeads * (tokens + headDim) + 32 * apart) / (kvHeads * tokens * headDim)
    },
    refuse({ group }, headDim, run) {
      if (run?.side === 'key' && run.tokens > MAX_VECTOR) return { reason: `places of sparse values of a channel end at ${MAX_VECTOR} tokens, and there are ${run.tokens}`, nearest: {} }
      const misfit = refuseGroup(group, headDim)
      if (!misfit) return null
      const fitting = misfit.nearest.groupSize
      return { reason: misfit.reason, nearest: fitting === undefined ? {} : { group: fitting } }
    },
    layout(shape, params) {
      const { side, kvHeads, tokens, headDim } = shape
      const rank = rankOf(shape, params)
      const apart = 2 * eachSide(shape, params)
      const places = side === 'key' ? [kvHeads, 1, headDim * apart] : [1, tokens, apart]
      return {
        ...integers.layout(shape, own(params, side)),
        left: { dtype: 'F16', shape: [kvHeads, tokens, rank] },
        right: { dtype: 'F16', shape: [kvHeads, 1, headDim * rank] },
        ...(apart === 0 ? {} : { sparse: { dtype: 'F16', shape: places }, places: { dtype: 'U16', shape: places } }),
      }
    },
    encode(values, shape, params, out) {
      refuseNonFinite(values)
      const filled = values.slice()
      const { sparse, places, left, right } = streamsOf(out, shape, params)
      takeOutliers(values, vectors(shape), eachSide(shape, params), places, filled)
      eachSparse(shape, params, places, (at, k) => (sparse[k] = finiteF16(values[at]!, 'sparse value')))
      integers.encode(filled, shape, own(params, shape.side), out)
      // Once it is encoded, what comes of it takes its place.
      const back = filled
      integers.decode(out, shape, own(params, shape.side), back)
      eachSparse(shape, params, places, (at, k) => (back[at] = f16ToF32(sparse[k]!)))
      const { kvHeads, tokens, headDim } = shape
      const rank = rankOf(shape, params)
      const missing = new Float64Array(tokens * headDim)
      const [thin, wide] = [new Float64Array(tokens * rank), new Float64Array(headDim * rank)]
      for (let head = 0; head < kvHeads; head++) {
        for (let i = 0, at = head * missing.length; i < missing.length; i++, at++) missing[i] = values[at]! - back[at]!
        lowRank(missing, tokens, headDim, rank, thin, wide)
        for (let i = 0; i < thin.length; i++) left[head * thin.length + i] = finiteF16(thin[i]!, 'correction')
        for (let i = 0; i < wide.length; i++) right[head * wide.length + i] = finiteF16(wide[i]!, 'correction')
      }
    },
    decode(streams, shape, params, out) {
      const { kvHeads, tokens, headDim } = shape
      const rank = rankOf(shape, params)
      const { sparse, places, left, right } = streamsOf(streams, shape, params)
      const finite = integers.decode(streams, shape, own(params, shape.side), out)
      const { length } = vectors(shape)
      if (places.some((index) => index >= length)) return false
      eachSparse(shape, params, places, (at, k) => (out[at] = f16ToF32(sparse[k]!)))
      const [thin, wide] = [new Float32Array(left.length), new Float32Array(right.length)]
      const whole = [kernels.decodeFloats('F16', left, thin), kernels.decodeFloats('F16', right, wide)]
      for (let head = 0; head < kvHeads; head++) {
        const of = (array: Float32Array, size: number): Float32Array => array.subarray(head * size, (head + 1) * size)
        kernels.addProduct(of(out, tokens * headDim), of(thin, tokens * rank), of(wide, headDim * rank), rank)
      }
      return finite && !whole.includes(false) && sparse.every(isFiniteF16)
    },
    errorBound(values, params, bound, shape) {
      const filled = values.slice()
      const indices = new Uint16Array(2 * eachSide(shape, params) * vectors(shape).count)
      takeOutliers(values, vectors(shape), eachSide(shape, params), indices, filled)
      const runs = shape.side === 'key' ? vectorsOf(true, shape.kvHeads, shape.tokens, shape.headDim) : rowsOf(shape)
      for (let v = 0; v < runs.count; v++) {
        const limits = new Float32Array(runs.length)
        integers.errorBound(Float32Array.from(limits, (_, i) => filled[runs.place(v, i)]!), own(params, shape.side), limits, shape)
        limits.forEach((limit, i) => (bound[runs.place(v, i)] = limit))
      }
      eachSparse(shape, params, indices, (at) => (bound[at] = Math.abs(values[at]!) * 2 ** -11 + 2 ** -25))
      // A projection on orthonormal columns leaves of each channel of a head no more than its length; F16 rounds the factors.
      const channels = vectorsOf(true, shape.kvHeads, shape.tokens, shape.headDim)
      const rank = rankOf(shape, params)
      for (let v = 0; v < channels.count; v++) {
        const places = Array.from({ length: channels.length }, (_, i) => channels.place(v, i))
        const length = Math.hypot(...places.map((at) => bound[at]!))
        for (const at of places) bound[at] = length * (1 + rank * 2 ** -9) + rank * 2 ** -23 + Math.abs(values[at]!) * 2 ** -22
      }
    },
  })
}

function vectors({ side, kvHeads, tokens, headDim }: BlockShape): Vectors {
  return vectorsOf(side === 'key', kvHeads, tokens, headDim)
}

/** Rows of one token of one head as vectors. */
function rowsOf({ kvHeads, tokens, headDim }: BlockShape): Pick<Vectors, 'count' | 'length' | 'place'> {
  return { count: kvHeads * tokens, length: headDim, place: (row, channel) => row * headDim + channel }
}

/** How many least, and as many largest, values of a vector are kept apart. */
function eachSide(shape: BlockShape, { sparse }: ParamValues<GearParams>): number {
  return Math.floor((vectors(shape).length * sparse) / 200)
}

function rankOf({ tokens, headDim }: BlockShape, { rank }: ParamValues<GearParams>): number {
  return Math.min(rank, tokens, headDim)
}

/** Calls `use` with the place in the layer and the index in its stream of each sparse value. */
function eachSparse(shape: BlockShape, params: ParamValues<GearParams>, indices: Uint16Array, use: (at: number, k: number) => void): void {
  const { place } = vectors(shape)
  const apart = 2 * eachSide(shape, params)
  for (let k = 0, vector = 0; k < indices.length; vector++) {
    for (const end = k + apart; k < end; k++) use(place(vector, indices[k]!), k)
  }
}

function streamsOf(streams: Streams, shape: BlockShape, params: ParamValues<GearParams>): Record<'sparse' | 'places' | 'left' | 'right', Uint16Array> {
  const { kvHeads, tokens, headDim } = shape
  const apart = 2 * eachSide(shape, params) * vectors(shape).count
  const rank = rankOf(shape, params)
  const own = (name: string): Uint16Array => (apart === 0 ? new Uint16Array() : halvesOf(streams, name, apart))
  return { sparse: own('sparse'), places: own('places'), left: halvesOf(streams, 'left', kvHeads * tokens * rank), right: halvesOf(streams, 'right', kvHeads * headDim * rank) }
}
