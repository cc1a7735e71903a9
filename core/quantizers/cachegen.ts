import { f16ToF32 } from '#core/bytes/float.ts'
import { dequantizeBins, quantizeBins } from '#core/kernels/bins.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { type BlockShape, defineQuantizer } from './quantizer.ts'
import { bytesOf, halvesOf } from './streams.ts'

/**
 * CacheGen as its code is released, up to the arithmetic coder. `+rans-channel` has a table for each of headDim channels, of all heads and layers, where its coder has
 * one for each of them apart, which take as much as they save on a short text. Its m has the model's dtype, ours F16, and the stored one is used to quantise.
 * Streams: `codes` U8 [kvHeads, tokens, headDim]; `scales` F16 [1, tokens, 1].
 */
export const cachegen = defineQuantizer({
  id: 'cachegen',
  label: 'CacheGen: bins by absmax of a token over all heads, one byte a code for an entropy coder',
  source: 'Liu et al., "CacheGen", arXiv 2310.07240; the encoder of its LMCache, lmcache/storage_backend/serde/cachegen_encoder.py',
  formula: ["top = b / 2 - 1, m = f16(absmax of a token over all heads), q = rne(x top / m + top) of 0..2 top, x' = (q - top) m / top"],
  caveats: [
    'A code is a byte, for an entropy coder to shrink: without a codec a value takes 8 bits for any number of bins, so read sizes with +rans-channel alone.',
    'Differences to the first of ten tokens, of which the paper tells, are in no released code and not here.',
    'Its code takes 32 bins in first layers and 16 in the others: here a rule for layers says so, cachegen:b16@layers0,1=cachegen:b32.',
  ],
  lossy: true,
  params: { bins: { kind: 'int', label: 'Bins, of which the last is never used', option: 'b', default: 32, min: 4, max: 256, multipleOf: 2 } },
  axis: () => 'layer',
  bits: (_, { kvHeads, headDim }) => 8 + 16 / (kvHeads * headDim),
  refuse: () => null,
  layout: ({ kvHeads, tokens, headDim }) => ({ codes: { dtype: 'U8', shape: [kvHeads, tokens, headDim] }, scales: { dtype: 'F16', shape: [1, tokens, 1] } }),
  encode: (values, shape, { bins }, out) => quantizeBins(values, scalesOf(shape), topOf(bins), bytesOf(out, 'codes', values.length), halvesOf(out, 'scales', shape.tokens)),
  decode: (streams, shape, { bins }, out) => dequantizeBins(bytesOf(streams, 'codes', out.length), halvesOf(streams, 'scales', shape.tokens), scalesOf(shape), topOf(bins), out),
  errorBound(values, { bins }, bound, { tokens, headDim }) {
    const top = topOf(bins)
    const tokenOf = (index: number): number => Math.floor(index / headDim) % tokens
    const most = new Float32Array(tokens)
    for (const [i, x] of values.entries()) most[tokenOf(i)] = Math.max(most[tokenOf(i)]!, Math.abs(x))
    const scales = most.map((x) => f16ToF32(finiteF16(x, 'scale')))
    for (const [i, x] of values.entries()) {
      const m = scales[tokenOf(i)]!
      // Half a step, or what a scale that F16 rounded inwards cuts off.
      bound[i] = Math.max(m / (2 * top), Math.abs(x) - m) + m * 2 ** -22
    }
  },
})

/** Codes to either side of that of 0. */
function topOf(bins: number): number {
  return bins / 2 - 1
}

function scalesOf({ kvHeads, tokens, headDim }: BlockShape): { heads: number; tokens: number; headDim: number } {
  return { heads: kvHeads, tokens, headDim }
}
