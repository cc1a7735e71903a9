import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import { POLAR_ANGLES, POLAR_BLOCK, POLAR_LEVELS, POLAR_SEED, polarBytes, type PolarStreams } from '#core/kernels/polar.ts'
import { randomSigns } from '#core/kernels/random-rotation.ts'
import { type BlockShape, defineQuantizer, type StreamLayout, type Streams } from './quantizer.ts'
import { refuseRotation, sylvester } from './rotation.ts'
import { bytesOf, halvesOf } from './streams.ts'

/** What F32 may change a rotated value by, as part of the row's length. */
const ROUNDING = 2 ** -19

/**
 * PolarQuant, the one of recursive polar coordinates, with fixed levels and a rotation that another can write down again. Head sizes of 16 and 32 fill whole bytes
 * with 4.5 and 4 bits a value.
 * Streams: `angles1` to `angles4` U8, codes of a level by token in whole bytes; `radii` F16 [kvHeads, tokens, headDim / 16].
 */
export const polar = defineQuantizer({
  id: 'polar',
  label: 'PolarQuant: rotation, angles of recursive polar coordinates in 4, 2, 2 and 2 bits, an F16 radius for 16 values',
  source: 'Han et al., "PolarQuant: Quantizing KV Caches with Polar Transformation", arXiv 2502.02617, with offline codebooks',
  formula: [
    'y = W D x: fixed random signs D, orthonormal Walsh-Hadamard transform W',
    'of each 16 values pairs become radius and angle, pairs of radii again, four times: angles of 4, 2, 2 and 2 bits by the Lloyd-Max levels of their densities, one f16 radius',
  ],
  caveats: [
    'On normal values it has 14.9 dB, most of its error from the first two levels, where turbo4 has 20.2 in 4 bits and a norm.',
    'The rotation of the paper is a random orthogonal matrix; its variant that learns levels of each layer is not built.',
    'The experiments of the paper leave generated tokens as they are.',
  ],
  lossy: true,
  params: {},
  bits: (_, { headDim }) => (8 * POLAR_ANGLES.reduce((sum, _angles, level) => sum + polarBytes(headDim, level), 0)) / headDim + 16 / POLAR_BLOCK,
  refuse: (_, headDim) => refuseRotation(headDim),
  layout({ kvHeads, tokens, headDim }) {
    const angles = POLAR_ANGLES.map((_, level): [string, StreamLayout] => [`angles${level + 1}`, { dtype: 'U8', shape: [kvHeads, tokens, polarBytes(headDim, level)] }])
    return { ...Object.fromEntries(angles), radii: { dtype: 'F16', shape: [kvHeads, tokens, headDim / POLAR_BLOCK] } }
  },
  encode: (values, shape, _params, out) => kernels.quantizePolar(values, shape.headDim, streamsOf(out, shape)),
  decode: (streams, shape, _params, out) => kernels.dequantizePolar(streamsOf(streams, shape), shape.headDim, out),
  errorBound(row, _params, bound) {
    const signs = randomSigns(row.length, POLAR_SEED)
    const rotated = sylvester(Array.from(row, (x, i) => x * signs[i]!)).map((y) => y / Math.sqrt(row.length))
    const slack = Math.hypot(...row) * ROUNDING
    let squared = 0
    for (let at = 0; at < row.length; at += POLAR_BLOCK) {
      const { radius, likeness } = worst(rotated.slice(at, at + POLAR_BLOCK), POLAR_LEVELS.length - 1, slack)
      const stored = f16ToF32(finiteF16(radius, 'radius'))
      // Two vectors of lengths r and s with cosine c are (r - s)² + 2 r s (1 - c) apart, squared.
      squared += (radius - stored) ** 2 + 2 * radius * stored * (1 - likeness)
    }
    // A rotation keeps lengths, so the error of a value is at most that of its row.
    bound.fill(Math.sqrt(squared) + 2 * slack + row.length * 2 ** -149)
  },
})

/**
 * Length of a part of a block and the least cosine between it and what its codes stand for; a part of level 0 is a pair of values. An angle may have
 * either of two codes where a change of the radii by `slack` takes it across their boundary.
 */
function worst(part: readonly number[], level: number, slack: number): { radius: number; likeness: number } {
  const half = part.length / 2
  const [first, other] = [part.slice(0, half), part.slice(half)].map((one) => (level === 0 ? { radius: one[0]!, likeness: 1 } : worst(one, level - 1, slack))) as [Part, Part]
  const radius = Math.hypot(first.radius, other.radius)
  const angle = Math.atan2(other.radius, first.radius)
  const distances = [...POLAR_LEVELS[level]!].map((code) => Math.abs(Math.atan2(Math.sin(angle - code), Math.cos(angle - code))))
  const near = Math.min(...distances) + (2 * slack) / radius + ROUNDING
  const likenesses = [...POLAR_LEVELS[level]!]
    .filter((_, code) => !(distances[code]! > near))
    .map((code) => Math.cos(angle) * Math.cos(code) * first.likeness + Math.sin(angle) * Math.sin(code) * other.likeness)
  return { radius, likeness: Math.min(...likenesses) }
}
type Part = ReturnType<typeof worst>

function streamsOf(streams: Streams, { kvHeads, tokens, headDim }: BlockShape): PolarStreams {
  const rows = kvHeads * tokens
  const angles = (level: number): Uint8Array => bytesOf(streams, `angles${level + 1}`, rows * polarBytes(headDim, level))
  return { angles: [angles(0), angles(1), angles(2), angles(3)], radii: halvesOf(streams, 'radii', (rows * headDim) / POLAR_BLOCK) }
}
