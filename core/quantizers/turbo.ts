import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import type { TurboBits } from '#core/kernels/kernels.ts'
import { TURBO_LEVELS } from '#core/kernels/turbo.ts'
import { distanceToNearest } from './levels.ts'
import { defineQuantizer, type Quantizer } from './quantizer.ts'
import { refuseRotation, sylvester } from './rotation.ts'
import { bytesOf, halvesOf } from './streams.ts'

const params = { normCorrection: { kind: 'flag', label: 'Decoded directions made unit vectors again', option: 'nc' } } as const

/**
 * TurboQuant without its second stage, as vLLM builds its keys; W is the Walsh-Hadamard transform of the whole headDim in Sylvester's order, without signs.
 * Streams: `codes` U8, `bits` bits a value; `norms` F16 [kvHeads, tokens, 1].
 */
export function turboQuantizer(bits: TurboBits): Quantizer<typeof params> {
  return defineQuantizer({
    id: `turbo${bits}`,
    label: `TurboQuant: rotation and ${bits}-bit Lloyd-Max levels, one F16 norm per token`,
    source: 'Zandieh et al., "TurboQuant", arXiv 2504.19874, its MSE variant; vLLM layers/quantization/turboquant',
    formula: [
      'n = f16(norm of the row), t = W x / n, orthonormal W; q = the nearest to each t of the Lloyd-Max levels of N(0, 1 / headDim)',
      "x' = n W q; nc: q is first made a unit vector, since Lloyd-Max levels are shorter than what they stand for",
    ],
    caveats: [
      'vLLM leaves the first two and last two layers whole, and loses much without that: say @layers0,1,-2,-1.',
      'The second stage of the paper, QJL on what is missing, is not built: vLLM leaves it out as well, since several groups found that it harms.',
      'vLLM takes it for keys alone; its values are integers with scale and zero point, one each per token (turbo4/int4:g64:asym at a head size of 64).',
    ],
    lossy: true,
    params,
    bits: (_, { headDim }) => bits + 16 / headDim,
    refuse: (_, headDim) => refuseRotation(headDim),
    layout: ({ kvHeads, tokens, headDim }) => ({ codes: { dtype: 'U8', shape: [kvHeads, tokens, (headDim * bits) / 8] }, norms: { dtype: 'F16', shape: [kvHeads, tokens, 1] } }),
    encode(values, { headDim }, _params, out) {
      kernels.quantizeTurbo(values, headDim, bits, bytesOf(out, 'codes', (values.length * bits) / 8), halvesOf(out, 'norms', values.length / headDim))
    },
    decode(streams, { headDim }, { normCorrection }, out) {
      return kernels.dequantizeTurbo(bytesOf(streams, 'codes', (out.length * bits) / 8), halvesOf(streams, 'norms', out.length / headDim), headDim, bits, normCorrection, out)
    },
    errorBound(row, { normCorrection }, bound) {
      const norm = Math.hypot(...row)
      const stored = f16ToF32(finiteF16(norm, 'norm'))
      const units = sylvester(Array.from(row)).map((y) => (stored === 0 ? 0 : y / norm))
      const squared = units.reduce((sum, t) => sum + (distanceToNearest(t, TURBO_LEVELS[bits]) + 2 ** -18) ** 2, 0)
      // A rotation keeps lengths, so the error of a value is at most that of its row. A unit vector is at most as far again from the levels as they are from the row.
      const shape = Math.sqrt(squared / row.length) * (normCorrection ? 2 : 1)
      bound.fill(stored === 0 ? norm : stored * shape + Math.abs(norm - stored) + norm * 2 ** -20)
    },
  })
}
