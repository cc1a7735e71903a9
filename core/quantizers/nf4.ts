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
 * NF4: the nearest of sixteen quantiles of the normal distribution under one scale, s = f16(absmax), per group of values along headDim; of two as near
 * the lower one. The stored scale is the one used to quantise; QLoRA keeps it in F32 or quantises it once more.
 * Streams: `codes` U8, 4 bits a value; `scales` F16 [kvHeads, tokens, groups].
 */
export const nf4 = defineQuantizer({
  id: 'nf4',
  label: 'NF4: 4 bits of normal quantiles by group',
  source: 'Dettmers et al., "QLoRA", arXiv 2305.14314, appendix E; boundaries as in bitsandbytes',
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
