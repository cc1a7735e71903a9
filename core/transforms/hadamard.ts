import { ROTATED } from '#core/kernels/hadamard.ts'
import { kernels } from '#core/kernels/index.ts'
import { defineTransform } from './transform.ts'

/** Most values that one rotation takes: no head is larger. */
const MOST = 512

/**
 * Orthonormal Walsh-Hadamard transform (Sylvester order, no random signs) of each `size` consecutive values along headDim: spreads outlier channels over them.
 * llama.cpp takes 64 for values and the largest 64 * 2^k that divides the head size for keys, the same for a head size of 64. Butterflies in F32 from stride 1 to 32 and one
 * multiplication by 1/8, then for sizes above 64 a stage of stride 64, 128, … each multiplied by sqrt(1/2); its own inverse up to rounding.
 */
export const hadamard = defineTransform({
  id: 'hadamard',
  label: 'Walsh-Hadamard rotation of 64 values along headDim, or of so many as stand behind it',
  source: 'Ashkboos et al., "QuaRot", arXiv 2404.00456; llama.cpp pull request 21038',
  formula: [
    "y = H x / √n of each n = 64 consecutive values along headDim, H Sylvester's matrix of 1 and -1 without random signs; x' = H y' / √n",
  ],
  caveats: [
    'It spreads large channels over 64 and helps most with 4 and 5 bits and one scale per token; with a scale per channel (axis-channel, kivi) it takes away what that scale was for.',
    'llama.cpp rotates values by 64, and keys by the largest 64 · 2^k that divides the head size: for heads of 128 say hadamard128 for keys.',
    'It does not help methods that rotate by themselves (turbo, polar, qjl).',
  ],
  lossy: true,
  params: { size: { kind: 'int', label: 'Values of one rotation', option: 'hadamard', default: ROTATED, min: ROTATED, max: MOST, multipleOf: ROTATED, unwritten: true } },
  refuse({ size }, { headDim }) {
    if (!Number.isInteger(Math.log2(size))) return `it rotates ${ROTATED}, 128, 256 or ${MOST} values at a time, not ${size}`
    return headDim % size === 0 ? null : `it rotates ${size} values at a time, which does not divide the head size ${headDim}`
  },
  forward: (values, _, { size }) => rotate(values, size),
  inverse(values, _, { size }) {
    rotate(values, size)
    return true
  },
})

function rotate(values: Float32Array, size: number): void {
  kernels.hadamard(values)
  for (let stride = ROTATED; stride < size; stride *= 2) {
    for (let run = 0; run < values.length; run += 2 * stride) {
      for (let i = run; i < run + stride; i++) {
        const a = values[i]!
        const b = values[i + stride]!
        values[i] = (a + b) * Math.SQRT1_2
        values[i + stride] = (a - b) * Math.SQRT1_2
      }
    }
  }
}
