import { refuseNonFinite } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import { defineQuantizer } from './quantizer.ts'
import { bytesOf } from './streams.ts'

const MAX_FINITE = 448
/** Half the step between subnormals, 2^-9. */
const HALF_STEP = 2 ** -10

/**
 * FP8 E4M3 (`fn`: no infinities) with scale 1, rounded to nearest even, saturated at ±448: vLLM's `fp8_e4m3` without calibration.
 * Stream `codes` U8 [kvHeads, tokens, headDim].
 */
export const fp8E4m3 = defineQuantizer({
  id: 'fp8-e4m3',
  label: 'FP8 E4M3, scale 1, saturating at 448',
  source: 'Micikevicius et al., "FP8 Formats for Deep Learning", arXiv 2209.05433; torch.float8_e4m3fn',
  lossy: true,
  params: {},
  bits: () => 8,
  refuse: () => null,
  layout: ({ kvHeads, tokens, headDim }) => ({ codes: { dtype: 'U8', shape: [kvHeads, tokens, headDim] } }),
  encode(values, _shape, _params, out) {
    if (!kernels.encodeFloats('F8_E4M3', values, bytesOf(out, 'codes', values.length))) refuseNonFinite(values)
  },
  decode: (streams, _shape, _params, out) => kernels.decodeFloats('F8_E4M3', bytesOf(streams, 'codes', out.length), out),
  errorBound(row, _params, bound) {
    row.forEach((x, i) => (bound[i] = Math.max(HALF_STEP, Math.abs(x) / 16, Math.abs(x) - MAX_FINITE)))
  },
})
