import { exponentValue, FLOAT4_LEVELS, mxfp4Exponent } from '#core/kernels/float4.ts'
import { LEVEL_BLOCKS } from '#core/kernels/levels.ts'
import { distanceToNearest, levelQuantizer } from './levels.ts'

const BLOCK = LEVEL_BLOCKS.mxfp4.values

/**
 * MXFP4: E2M1 numbers under one power of two (E8M0) per 32 values, byte for byte as ggml but in two places that no cache reaches: the exponent is
 * exact, where C's log2f takes the last few F32 below a power of two for it, and is 0 below 2^-125, where C's wraps around.
 */
export const mxfp4 = levelQuantizer('mxfp4', {
  label: 'MXFP4: E2M1 numbers, one power of two per 32',
  source: 'OCP Microscaling Formats (MX) 1.0; bytes of ggml/src/ggml-quants.c: quantize_row_mxfp4_ref',
  formula: ["d = 2^(floor(log2 absmax) - 2), q = the nearest to x / d of 0, ±0.5, ±1, ±1.5, ±2, ±3, ±4, ±6, x' = q d"],
  caveats: [
    'A power of two as scale saturates above 6 d or leaves levels unused: 18.8 dB on normal values in 4.25 bits where nvfp4 has 20.4 in 4.5.',
  ],
  params: {},
  format: () => 'mxfp4',
  errorBound(row, _params, bound) {
    for (let at = 0; at < row.length; at += BLOCK) {
      const d = exponentValue(mxfp4Exponent(row, at))
      for (let i = at; i < at + BLOCK; i++) bound[i] = d * distanceToNearest(Math.abs(row[i]!) / d, FLOAT4_LEVELS)
    }
  },
})
