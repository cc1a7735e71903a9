import { bitsUnder, f8e4m3ToF32 } from '#core/bytes/float.ts'
import { largestMagnitude } from '#core/kernels/extremes.ts'
import { refuseNonFinite } from '#core/kernels/finite.ts'
import { FLOAT4_LEVELS, NV_QUARTERED, nvfp4Scale } from '#core/kernels/float4.ts'
import { kernels } from '#core/kernels/index.ts'
import { LEVEL_BLOCKS } from '#core/kernels/levels.ts'
import { distanceToNearest, levelQuantizer } from './levels.ts'
import { type BlockShape, defineQuantizer } from './quantizer.ts'
import { bytesOf, floatsOf } from './streams.ts'

const SUB_BLOCK = 16
const { values: BLOCK, bytes: BLOCK_BYTES } = LEVEL_BLOCKS.nvfp4
/** What the absmax of a layer becomes: 6 of E2M1 times 448 of E4M3, or with 4over6 times 256, of which 3/2 are an E4M3 number too. */
const TOP = { plain: 6 * 448, fourOverSix: 6 * 256 }
/** No scale of a layer is smaller: the smallest normal F32. */
const LEAST_SCALE = 2 ** -126

const blocks = levelQuantizer('nvfp4', {
  label: 'NVFP4: E2M1 numbers, one E4M3 scale per 16',
  source: 'ggml/src/ggml-quants.c of llama.cpp: quantize_row_nvfp4_ref; 4over6: Cook et al., "Four Over Six", arXiv 2512.02010, vLLM nvfp4_4over6; two-level: NVIDIA, "Pretraining Large Language Models with NVFP4", arXiv 2509.25149',
  formula: [
    "d = e4m3(absmax / 6) of each 16 values, q = the nearest to x / d of 0, ±0.5, ±1, ±1.5, ±2, ±3, ±4, ±6, x' = q d",
    '4over6: of d = e4m3(absmax / 6) and e4m3(absmax / 4) the one of less squared error',
    "two-level: first S = f32(absmax of the layer and side / 2688), with 4over6 / 1536; then the same of x / S, x' = q d S",
  ],
  caveats: [
    'Without two-level scales are as in ggml: 448 for all of 256 and more; absmax above 2688 is refused, where ggml saturates; below about 0.1 a scale has fewer than its four bits.',
    'The scale of two-level comes from the cache itself, so that all tokens of a layer depend on one another; servers fix it beforehand.',
    'Ties are rounded as ggml does it, of levels and of E4M3 scales; NVIDIA rounds them to even.',
  ],
  params: {
    fourOverSix: { kind: 'flag', label: 'Scale absmax / 6 or absmax / 4, by squared error', option: '4over6' },
    twoLevel: { kind: 'flag', label: 'An F32 scale of the whole layer and side above the others', option: 'two-level' },
  },
  format: ({ fourOverSix }) => (fourOverSix ? 'nvfp4:4over6' : 'nvfp4'),
  errorBound(row, { fourOverSix }, bound) {
    const bits = bitsUnder(row)
    for (let at = 0; at < row.length; at += SUB_BLOCK) {
      const most = largestMagnitude(bits, at, SUB_BLOCK)
      const scales = (fourOverSix ? [6, 4] : [6]).map((top) => nvfp4Scale(most, top)).filter((code) => code >= 0).map(f8e4m3ToF32)
      for (let i = at; i < at + SUB_BLOCK; i++) bound[i] = Math.max(...scales.map((d) => (d === 0 ? Math.abs(row[i]!) : d * distanceToNearest(Math.abs(row[i]!) / d, FLOAT4_LEVELS)))) * (1 + 2 ** -40)
    }
  },
})

/** NVFP4 in ggml's block of 64, with NVIDIA's scale of a whole tensor as an option. Streams: `blocks`, and with `two-level` `scale` F32 [1, 1, 1]. */
export const nvfp4 = defineQuantizer({
  ...blocks,
  axis: ({ twoLevel }) => (twoLevel ? 'layer' : 'token'),
  bits: (params, shape) => blocks.bits(params, shape) + (params.twoLevel ? 32 / valuesOf(shape) : 0),
  layout: (shape, params) => ({ ...blocks.layout(shape, params), ...(params.twoLevel ? { scale: { dtype: 'F32', shape: [1, 1, 1] } } : {}) }),
  encode(values, shape, params, out) {
    if (!params.twoLevel) return blocks.encode(values, shape, params, out)
    const scale = layerScale(values, params.fourOverSix)
    floatsOf(out, 'scale', 1)[0] = scale
    kernels.quantizeScaledNvfp4(values, scale, params.fourOverSix, bytesOf(out, 'blocks', (values.length / BLOCK) * BLOCK_BYTES))
  },
  decode(streams, shape, params, out) {
    const finite = blocks.decode(streams, shape, params, out)
    if (!params.twoLevel) return finite
    const scale = floatsOf(streams, 'scale', 1)[0]!
    for (let i = 0; i < out.length; i++) out[i] = out[i]! * scale
    // Finite blocks have no magnitude above the plain top.
    return finite && scale >= LEAST_SCALE && (Number.isFinite(Math.fround(TOP.plain * scale)) || kernels.firstNonFinite(out) < 0)
  },
  errorBound(values, params, bound, shape) {
    if (!params.twoLevel) return blocks.errorBound(values, params, bound, shape)
    const scale = layerScale(values, params.fourOverSix)
    const scaled = divided(values, scale)
    const part = quarters(scaled)
    blocks.errorBound(scaled.map((x, i) => x * part(i)), params, bound, shape)
    for (let i = 0; i < bound.length; i++) bound[i] = (bound[i]! / part(i)) * scale + Math.abs(values[i]!) * 2 ** -22 + (1 + scale) * 2 ** -148
  },
})

/** By what the value at an index is multiplied before it is encoded: 1/4 in sixteen with a large one. */
function quarters(scaled: Float32Array): (index: number) => number {
  const bits = bitsUnder(scaled)
  return (index) => (largestMagnitude(bits, index - (index % SUB_BLOCK), SUB_BLOCK) >= NV_QUARTERED ? 1 / 4 : 1)
}

function valuesOf({ kvHeads, tokens, headDim }: BlockShape): number {
  return kvHeads * tokens * headDim
}

/** The F32 nearest to absmax / top, the next one where rounding would take the largest value beyond the top. NOT_FINITE where a value is not. */
function layerScale(values: Float32Array, fourOverSix: boolean): number {
  const top = fourOverSix ? TOP.fourOverSix : TOP.plain
  const most = largestMagnitude(bitsUnder(values), 0, values.length)
  if (!Number.isFinite(most)) refuseNonFinite(values)
  const scale = Math.max(LEAST_SCALE, Math.fround(most / top))
  return Math.fround(most / scale) > top ? Math.fround(scale * (1 + 2 ** -23)) : scale
}

function divided(values: Float32Array, scale: number): Float32Array {
  return values.map((x) => x / scale)
}
