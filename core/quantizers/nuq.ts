import { floats, dequantizeNonUniform, learnNonUniform, measureRanges, type NonUniformStreams, type NonUniformTables, partsOf, quantizeNonUniform } from '#core/kernels/non-uniform.ts'
import { rangeCount, type Ranges } from '#core/kernels/ranges.ts'
import { type BlockShape, defineQuantizer, type Quantizer, type Streams, type Tables } from './quantizer.ts'
import { bytesOf, halvesOf } from './streams.ts'

const nuqParams = { cal: { kind: 'flag', label: 'Levels, and ranges of keys, learned on a calibration text', option: 'cal' } } as const
type NuqParams = typeof nuqParams

/**
 * KVQuant's non-uniform codes. With `cal`, as the paper has it, levels and the ranges of keys come from another text: what lies beyond a range gets the outermost level, and
 * no token depends on another; ranges of values are those of the token. Without it all is learned on the cache that is encoded. The k-means is without weights, from quantiles
 * on. The paper does not count what it learns; here it is stored and counted.
 * Streams: `codes` U8, `bits` bits a value; `scales` and `zeros` F16, of keys [kvHeads, 1, headDim], of values [1, tokens, 1]; `levels` F16 [1, 1, 2^bits].
 */
export function nuqQuantizer(bits: 2 | 3 | 4): Quantizer<NuqParams> {
  const normalised = bits === 2
  return defineQuantizer({
    id: `nuq${bits}`,
    label: `KVQuant: ${bits}-bit codes of learned levels, keys by channel and values by token`,
    source: 'Hooper et al., "KVQuant", arXiv 2401.18079; its quant/kvquant/simquant_module_quantizer.py, without Fisher weights',
    formula: [
      'x_n = (x - z) / r, z = f16((max + min) / 2), r = f16((max - min) / 2), of keys by channel of a head, of values by token over all heads',
      `code = the nearest of ${2 ** bits} levels, which k-means puts among all x_n of a layer and side; x' = level r + z`,
      ...(normalised ? ['decoded levels are moved and scaled to the mean and deviation of what was rounded (Q-Norm)'] : []),
    ],
    caveats: [
      'Without Fisher weights, by which the paper weighs its k-means: they take gradients, and an ONNX graph that only infers has none.',
      'Levels and ranges of keys are learned on the cache itself, unless `cal` asks for another text; so learned, all tokens of a layer depend on one another.',
      'The paper quantises keys before their rotation by position (`pre-rope`), keeps 1 % of values apart (`outliers10`, here by token) and the first token whole (`@sinks1`).',
    ],
    lossy: true,
    params: nuqParams,
    axis: () => 'layer',
    bits: (_, shape) => bits + (32 * rangeCount(rangesOf(shape)) + 16 * 2 ** bits) / (shape.kvHeads * shape.tokens * shape.headDim),
    refuse: (_, headDim) => (headDim % 8 === 0 ? null : { reason: `the codes of a token fill whole bytes only where 8 divides the head size, not ${headDim}`, nearest: {} }),
    layout(shape) {
      const { side, kvHeads, tokens, headDim } = shape
      const ranges = { dtype: 'F16', shape: side === 'key' ? [kvHeads, 1, headDim] : [1, tokens, 1] } as const
      return { codes: { dtype: 'U8', shape: [kvHeads, tokens, (headDim * bits) / 8] }, scales: ranges, zeros: ranges, levels: { dtype: 'F16', shape: [1, 1, 2 ** bits] } }
    },
    learner: {
      asked: ({ cal }) => cal,
      learn: (values, shape) => learnNonUniform(values, rangesOf(shape), bits, normalised),
    },
    encode: (values, shape, _params, out, tables) => quantizeNonUniform(values, rangesOf(shape), bits, normalised, streamsOf(out, shape, bits), tables && tablesOf(tables, shape, bits)),
    decode: (streams, shape, _params, out) => dequantizeNonUniform(streamsOf(streams, shape, bits), rangesOf(shape), bits, out),
    errorBound(values, _params, bound, shape, tables) {
      const ranges = rangesOf(shape)
      const learned = tables ? tablesOf(tables, shape, bits) : learnNonUniform(values, ranges, bits, normalised)
      const [scales, zeros] = [learned.scales ?? new Uint16Array(rangeCount(ranges)), learned.zeros ?? new Uint16Array(rangeCount(ranges))]
      if (!learned.scales) measureRanges(values, ranges, scales, zeros)
      const parts = partsOf(values, ranges, scales, zeros)
      const [levels, decoded, factors, offsets] = [learned.levels, learned.decoded, scales, zeros].map(floats) as [Float32Array, Float32Array, Float32Array, Float32Array]
      for (let i = 0; i < values.length; i++) {
        const range = rangeOf(i, ranges)
        const distances = levels.map((level) => Math.abs(level - parts[i]!))
        const least = Math.min(...distances)
        const near = least + Math.max(1, Math.abs(parts[i]!)) * 2 ** -22
        const errors = [...decoded].map((level, code) => (distances[code]! <= near ? Math.abs(level * factors[range]! + offsets[range]! - values[i]!) : 0))
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

function tablesOf(tables: Tables, shape: BlockShape, bits: number): NonUniformTables {
  const book = { levels: halvesOf(tables, 'levels', 2 ** bits), decoded: halvesOf(tables, 'decoded', 2 ** bits) }
  if (shape.side === 'value') return book
  const ranges = rangeCount(rangesOf(shape))
  return { ...book, scales: halvesOf(tables, 'scales', ranges), zeros: halvesOf(tables, 'zeros', ranges) }
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
