import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { IQ4NL_LEVELS, iq4nlScales } from '#core/kernels/iq4nl.ts'
import { LEVEL_BLOCKS } from '#core/kernels/levels.ts'
import { distanceToNearest, levelQuantizer } from './levels.ts'

const BLOCK = LEVEL_BLOCKS.iq4_nl.values

/** ggml's `iq4_nl` as its KV cache encodes it, byte for byte. */
export const iq4nl = levelQuantizer('iq4_nl', {
  label: 'ggml iq4_nl: 4 bits of uneven levels, one F16 scale per 32',
  source: 'ggml/src/ggml-quants.c of llama.cpp: quantize_row_iq4_nl_ref, the reference routine of its KV cache type',
  formula: [
    'd = (the value of largest magnitude) / -127, q = the nearest to x / d of sixteen uneven levels from -127 to 113',
    "d' = f16(Σ x² q x / Σ x² q²), x' = q d'",
  ],
  caveats: [
    'Codes are not chosen anew for the fitted scale.',
    'Weights of a model in this type are quantised otherwise, by a search for the scale.',
  ],
  params: {},
  format: () => 'iq4_nl',
  errorBound(row, _params, bound) {
    for (let at = 0; at < row.length; at += BLOCK) {
      const { d, refitted } = iq4nlScales(row, at)
      const stored = f16ToF32(finiteF16(refitted, 'scale'))
      const moved = 127 * Math.abs(stored - d)
      // The second term is F32 rounding of x / d near a middle; magnitudes below 1e-15 are lost.
      for (let i = at; i < at + BLOCK; i++) bound[i] = d === 0 ? Math.abs(row[i]!) : Math.abs(d) * (distanceToNearest(row[i]! / d, IQ4NL_LEVELS) + 2 ** -15) + moved
    }
  },
})
