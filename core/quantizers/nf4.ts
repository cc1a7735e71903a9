import { bitsUnder, f16ToF32 } from '#core/bytes/float.ts'
import { largestMagnitude } from '#core/kernels/extremes.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import { NF4_LEVELS } from '#core/kernels/normal-float.ts'
import { groupSize, refuseGroup } from './groups.ts'
import { distanceToNearest } from './levels.ts'
import { defineQuantizer } from './quantizer.ts'
import { bytesOf, halvesOf } from './streams.ts'

const BITS = 4

/**
 * NF4 by groups along headDim; of two levels as near the lower one.
 * Streams: `codes` U8, 4 bits a value; `scales` F16 [kvHeads, tokens, groups].
 */
export const nf4 = defineQuantizer({
  id: 'nf4',
  label: 'NF4: 4 bits of normal quantiles by group',
  source: 'Dettmers et al., "QLoRA", arXiv 2305.14314, appendix E; boundaries as in bitsandbytes',
  formula: ["s = f16(absmax), q = the nearest to x / s of sixteen quantiles of the normal distribution from -1 to 1, x' = q s"],
  caveats: [
    'The stored F16 scale is the one used to quantise; QLoRA keeps F32, or quantises the scales once more.',
    'In groups below 64 int4 with asym has the smaller error (22.1 against 21.2 dB at 32 on normal values), for 16 bits more a group.',
  ],
  lossy: true,
  params: { groupSize },
  bits: (params) => BITS + 16 / params.groupSize,
  refuse: (params, headDim) => refuseGroup(params.groupSize, headDim),
  layout: ({ kvHeads, tokens, headDim }, params) => ({
    codes: { dtype: 'U8', shape: [kvHeads, tokens, (headDim * BITS) / 8] },
    scales: { dtype: 'F16', shape: [kvHeads, tokens, headDim / params.groupSize] },
  }),
  encode: (values, _shape, params, out) => kernels.quantizeNormalFloat(values, params.groupSize, bytesOf(out, 'codes', (values.length * BITS) / 8), halvesOf(out, 'scales', values.length / params.groupSize)),
  decode: (streams, _shape, params, out) => kernels.dequantizeNormalFloat(bytesOf(streams, 'codes', (out.length * BITS) / 8), halvesOf(streams, 'scales', out.length / params.groupSize), params.groupSize, out),
  errorBound(row, params, bound) {
    const bits = bitsUnder(row)
    for (let at = 0; at < row.length; at += params.groupSize) {
      const s = f16ToF32(finiteF16(largestMagnitude(bits, at, params.groupSize), 'scale'))
      for (let i = at; i < at + params.groupSize; i++) bound[i] = s === 0 ? Math.abs(row[i]!) : s * (distanceToNearest(row[i]! / s, NF4_LEVELS) + 2 ** -22) + 2 ** -149
    }
  },
})
