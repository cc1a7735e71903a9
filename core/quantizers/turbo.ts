import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import type { TurboBits } from '#core/kernels/kernels.ts'
import { TURBO_LEVELS } from '#core/kernels/turbo.ts'
import { distanceToNearest } from './levels.ts'
import { defineQuantizer, type Quantizer } from './quantizer.ts'
import { bytesOf, halvesOf } from './streams.ts'

const MIN_HEAD_DIM = 16
const MAX_HEAD_DIM = 1024

const params = { normCorrection: { kind: 'flag', label: 'Decoded directions made unit vectors again', option: 'nc' } } as const

/**
 * TurboQuant without its second stage, as vLLM builds its keys: a row's norm in F16, its direction rotated by the orthonormal Walsh-Hadamard
 * transform of the whole headDim (Sylvester order, no signs), each coordinate the nearest Lloyd-Max level of N(0, 1/headDim). `nc` scales the
 * decoded levels to a unit vector before they are rotated back, since Lloyd-Max levels are shorter than what they stand for.
 * Streams: `codes` U8, `bits` bits a value; `norms` F16 [kvHeads, tokens, 1].
 */
export function turboQuantizer(bits: TurboBits): Quantizer<typeof params> {
  return defineQuantizer({
    id: `turbo${bits}`,
    label: `TurboQuant: rotation and ${bits}-bit Lloyd-Max levels, one F16 norm per token`,
    source: 'Zandieh et al., "TurboQuant", arXiv 2504.19874, its MSE variant; vLLM layers/quantization/turboquant',
    lossy: true,
    params,
    bits: (_, { headDim }) => bits + 16 / headDim,
    refuse(_, headDim) {
      const fits = headDim >= MIN_HEAD_DIM && headDim <= MAX_HEAD_DIM && (headDim & (headDim - 1)) === 0
      return fits ? null : { reason: `its rotation needs a head size that is a power of two from ${MIN_HEAD_DIM} to ${MAX_HEAD_DIM}, not ${headDim}`, nearest: {} }
    },
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
      const units = rotated(row).map((y) => (stored === 0 ? 0 : y / norm))
      const squared = units.reduce((sum, t) => sum + (distanceToNearest(t, TURBO_LEVELS[bits]) + 2 ** -18) ** 2, 0)
      // A rotation keeps lengths, so the error of a value is at most that of its row. A unit vector is at most as far again from the levels as they are from the row.
      const shape = Math.sqrt(squared / row.length) * (normCorrection ? 2 : 1)
      bound.fill(stored === 0 ? norm : stored * shape + Math.abs(norm - stored) + norm * 2 ** -20)
    },
  })
}

/** The Walsh-Hadamard transform of a row, not scaled, by its definition, in F64. */
function rotated(row: Float32Array): number[] {
  return Array.from(row, (_, k) => row.reduce((sum, x, i) => (oddBits(i & k) ? sum - x : sum + x), 0))
}

function oddBits(number: number): boolean {
  let bits = number
  for (let shift = 16; shift > 0; shift >>= 1) bits ^= bits >> shift
  return (bits & 1) === 1
}
