import { refuseNonFinite } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import { defineQuantizer, type Quantizer } from './quantizer.ts'
import { bytesOf } from './streams.ts'

/** Of each format its largest number, the step between subnormals, and how many steps there are from one power of two to the next. */
const FORMATS = {
  e4m3: { dtype: 'F8_E4M3', torch: 'float8_e4m3fn', largest: 448, least: 2 ** -9, steps: 8, db: '31.5' },
  e5m2: { dtype: 'F8_E5M2', torch: 'float8_e5m2', largest: 57344, least: 2 ** -16, steps: 4, db: '25.5' },
} as const

/**
 * FP8 with scale 1, as vLLM's `fp8_e4m3` and `fp8_e5m2` without calibration. It saturates, where torch's conversion to E5M2 gives infinities from 61440 on.
 * Stream `codes` U8 [kvHeads, tokens, headDim].
 */
export function fp8Quantizer(format: keyof typeof FORMATS): Quantizer<Record<never, never>> {
  const { dtype, torch, largest, least, steps, db } = FORMATS[format]
  return defineQuantizer({
    id: `fp8-${format}`,
    label: `FP8 ${format.toUpperCase()}, scale 1, saturating at ${largest}`,
    source: `Micikevicius et al., "FP8 Formats for Deep Learning", arXiv 2209.05433; torch.${torch}`,
    formula: [`x' = the nearest ${format.toUpperCase()} number, of two as near the even one, within ±${largest}`],
    caveats: [
      `There is no scale: magnitudes below ${least / 2} become 0, those above ${largest} become ${largest}. Scales that a server calibrates for a tensor or a head are not built.`,
      `In the same byte integers with a scale are nearer: ${db} dB on normal values where q8_0 has 45.4 in 8.5 bits.`,
    ],
    lossy: true,
    params: {},
    bits: () => 8,
    refuse: () => null,
    layout: ({ kvHeads, tokens, headDim }) => ({ codes: { dtype: 'U8', shape: [kvHeads, tokens, headDim] } }),
    encode(values, _shape, _params, out) {
      if (!kernels.encodeFloats(dtype, values, bytesOf(out, 'codes', values.length))) refuseNonFinite(values)
    },
    decode: (streams, _shape, _params, out) => kernels.decodeFloats(dtype, bytesOf(streams, 'codes', out.length), out),
    errorBound(row, _params, bound) {
      row.forEach((x, i) => (bound[i] = Math.max(least / 2, Math.abs(x) / (2 * steps), Math.abs(x) - largest)))
    },
  })
}
