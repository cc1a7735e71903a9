import { LabError } from '#core/contract/errors.ts'
import { refuseNonFinite } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import { defineQuantizer } from './quantizer.ts'
import { floatsOf, halvesOf } from './streams.ts'

/** The cache as it is: stream `values` in the cache's own dtype [kvHeads, tokens, headDim]. The reference that every lossy method is held against. */
export const none = defineQuantizer({
  id: 'none',
  label: 'No quantisation: the dtype of the cache itself',
  source: 'IEEE 754 binary32 and binary16, bfloat16',
  formula: ["x' = x"],
  caveats: ['What a transform in front of it makes of a value is rounded to the dtype of the cache.'],
  lossy: false,
  params: {},
  bits: (_, { dtype }) => (dtype === 'F32' ? 32 : 16),
  refuse: () => null,
  layout: ({ kvHeads, tokens, headDim, dtype }) => ({ values: { dtype, shape: [kvHeads, tokens, headDim] } }),
  encode(values, shape, _, out) {
    const { dtype } = shape
    if (dtype === 'F32') {
      if (kernels.firstNonFinite(values) >= 0) refuseNonFinite(values)
      floatsOf(out, 'values', values.length).set(values)
      return
    }
    const halves = halvesOf(out, 'values', values.length)
    if (kernels.encodeFloats(dtype, values, halves)) return
    refuseNonFinite(values)
    refuseInfinities(values, halves, dtype)
  },
  decode(streams, { dtype }, _, out) {
    if (dtype !== 'F32') return kernels.decodeFloats(dtype, halvesOf(streams, 'values', out.length), out)
    out.set(floatsOf(streams, 'values', out.length))
    return kernels.firstNonFinite(out) < 0
  },
  errorBound(_row, _params, bound) {
    bound.fill(0)
  },
})

/** A cache's own values fit its dtype; those that a transform made need not. */
function refuseInfinities(values: Float32Array, halves: Uint16Array, dtype: 'F16' | 'BF16'): void {
  const infinity = dtype === 'F16' ? 0x7c00 : 0x7f80
  const at = halves.findIndex((bits) => (bits & infinity) === infinity)
  if (at < 0) return
  const value = values[at]!
  throw new LabError('OUT_OF_RANGE', `value ${value} does not fit ${dtype}: use none without transforms`, { at, value })
}
