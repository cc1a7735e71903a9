import { decodeF16 } from '#core/bytes/float.ts'
import { dequantizeNonUniform, learnable, normaliseRanges, type NonUniformStreams, quantizeNonUniform, rangeCount, type Ranges } from '#core/kernels/non-uniform.ts'
import { learnCodebook } from '#core/kernels/signposts.ts'
import { type BlockShape, defineQuantizer, type Quantizer, type Streams } from './quantizer.ts'
import { bytesOf, halvesOf } from './streams.ts'

/**
 * KVQuant's non-uniform codes: each value as a part of a range, x_n = (x - z) / r with z = f16((max + min) / 2) and r = f16((max - min) / 2), becomes the nearest of
 * 2^bits levels that a whole layer and side has in common. Keys have a range for each channel of each head, values one for each token over all heads.
 * Here levels and ranges of keys are learned on the cache itself that is encoded: the paper learns both on another text, weighs its k-means by Fisher information
 * and does not count them; ours is k-means without weights, from quantiles on, and what it learns is stored and counted. All tokens of a layer depend on one another.
 * With 2 bits decoded levels are moved and scaled to give mean and deviation of what was rounded (Q-Norm). Keys before their rotation by position: say `pre-rope`;
 * dense and sparse: say `outliers1`, which takes the outliers of keys by token, where the paper takes them by channel; the first token whole: say `@sinks1`.
 * Streams: `codes` U8, `bits` bits a value; `scales` and `zeros` F16, of keys [kvHeads, 1, headDim], of values [1, tokens, 1]; `levels` F16 [1, 1, 2^bits].
 */
export function nuqQuantizer(bits: 2 | 3 | 4): Quantizer<Record<never, never>> {
  const normalised = bits === 2
  return defineQuantizer({
    id: `nuq${bits}`,
    label: `KVQuant: ${bits}-bit codes of levels learned on the cache itself, keys by channel and values by token`,
    source: 'Hooper et al., "KVQuant", arXiv 2401.18079; its quant/kvquant/simquant_module_quantizer.py, without Fisher weights',
    lossy: true,
    params: {},
    axis: () => 'layer',
    bits: (_, shape) => bits + (32 * rangeCount(rangesOf(shape)) + 16 * 2 ** bits) / (shape.kvHeads * shape.tokens * shape.headDim),
    refuse: (_, headDim) => (headDim % 8 === 0 ? null : { reason: `the codes of a token fill whole bytes only where 8 divides the head size, not ${headDim}`, nearest: {} }),
    layout(shape) {
      const { side, kvHeads, tokens, headDim } = shape
      const ranges = { dtype: 'F16', shape: side === 'key' ? [kvHeads, 1, headDim] : [1, tokens, 1] } as const
      return { codes: { dtype: 'U8', shape: [kvHeads, tokens, (headDim * bits) / 8] }, scales: ranges, zeros: ranges, levels: { dtype: 'F16', shape: [1, 1, 2 ** bits] } }
    },
    encode: (values, shape, _params, out) => quantizeNonUniform(values, rangesOf(shape), bits, normalised, streamsOf(out, shape, bits)),
    decode: (streams, shape, _params, out) => dequantizeNonUniform(streamsOf(streams, shape, bits), rangesOf(shape), bits, out),
    errorBound(values, _params, bound, shape) {
      const ranges = rangesOf(shape)
      const [scales, zeros] = [new Uint16Array(rangeCount(ranges)), new Uint16Array(rangeCount(ranges))]
      const normal = new Float32Array(values.length)
      normaliseRanges(values, ranges, scales, zeros, normal)
      const { levels, decoded } = learnCodebook(learnable(normal, ranges, scales), 1 << bits, normalised)
      const [factors, offsets] = [scales, zeros].map(floats) as [Float32Array, Float32Array]
      for (let i = 0; i < values.length; i++) {
        const range = rangeOf(i, ranges)
        const distances = levels.map((level) => Math.abs(level - normal[i]!))
        const least = Math.min(...distances)
        const errors = [...decoded].map((level, code) => (distances[code]! <= least + 2 ** -22 ? Math.abs(level * factors[range]! + offsets[range]! - values[i]!) : 0))
        bound[i] = Math.max(...errors) + (Math.abs(offsets[range]!) + 2 * factors[range]!) * 2 ** -22 + 2 ** -149
      }
    },
  })
}

function rangesOf({ side, kvHeads, tokens, headDim }: BlockShape): Ranges {
  return { byChannel: side === 'key', heads: kvHeads, tokens, headDim }
}

/** The range of the value at an index of a layer. */
function rangeOf(index: number, { byChannel, tokens, headDim }: Ranges): number {
  const row = Math.floor(index / headDim)
  return byChannel ? Math.floor(row / tokens) * headDim + (index % headDim) : row % tokens
}

function floats(halves: Uint16Array): Float32Array {
  const numbers = new Float32Array(halves.length)
  decodeF16(halves, numbers)
  return numbers
}

function streamsOf(streams: Streams, shape: BlockShape, bits: number): NonUniformStreams {
  const ranges = rangeCount(rangesOf(shape))
  return {
    codes: bytesOf(streams, 'codes', (shape.kvHeads * shape.tokens * shape.headDim * bits) / 8),
    scales: halvesOf(streams, 'scales', ranges),
    zeros: halvesOf(streams, 'zeros', ranges),
    levels: halvesOf(streams, 'levels', 2 ** bits),
  }
}
