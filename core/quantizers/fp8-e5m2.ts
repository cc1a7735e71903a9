import { refuseNonFinite } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import { defineQuantizer } from './quantizer.ts'
import { bytesOf } from './streams.ts'

const MAX_FINITE = 57344
/** Half the step between subnormals, 2^-16. */
const HALF_STEP = 2 ** -17

/**
 * FP8 E5M2 with scale 1, rounded to nearest even, saturated at ±57344, where torch's conversion gives infinities from 61440 on: vLLM's `fp8_e5m2`.
 * Stream `codes` U8 [kvHeads, tokens, headDim].
 */
export const fp8E5m2 = defineQuantizer({
  id: 'fp8-e5m2',
  label: 'FP8 E5M2, scale 1, saturating at 57344',
  source: 'Micikevicius et al., "FP8 Formats for Deep Learning", arXiv 2209.05433; torch.float8_e5m2',
  lossy: true,
  params: {},
  bits: () => 8,
  refuse: () => null,
  layout: ({ kvHeads, tokens, headDim }) => ({ codes: { dtype: 'U8', shape: [kvHeads, tokens, headDim] } }),
  encode(values, _shape, _params, out) {
    if (!kernels.encodeFloats('F8_E5M2', values, bytesOf(out, 'codes', values.length))) refuseNonFinite(values)
  },
  decode: (streams, _shape, _params, out) => kernels.decodeFloats('F8_E5M2', bytesOf(streams, 'codes', out.length), out),
  errorBound(row, _params, bound) {
    row.forEach((x, i) => (bound[i] = Math.max(HALF_STEP, Math.abs(x) / 8, Math.abs(x) - MAX_FINITE)))
  },
})
