import { defineTransform } from './transform.ts'

/** Values of one rotation, consecutive along headDim. */
const SIZE = 64
const SCALE = 1 / 8

/**
 * Orthonormal Walsh-Hadamard transform (Sylvester order, no random signs) of each 64 consecutive values along headDim: spreads outlier
 * channels over 64. One block size for keys and values; llama.cpp takes 64 for values and the largest 64 * 2^k for keys, the same up to
 * a head size of 64. Butterflies in F32 from stride 1 to 32, then one multiplication by 1/8; its own inverse up to rounding.
 */
export const hadamard = defineTransform({
  id: 'hadamard',
  label: 'Walsh-Hadamard rotation of 64 values along headDim',
  source: 'Ashkboos et al., "QuaRot", arXiv 2404.00456; llama.cpp pull request 21038',
  params: {},
  refuse: (_, headDim) => (headDim % SIZE === 0 ? null : `it rotates ${SIZE} values at a time, which does not divide the head size ${headDim}`),
  forward: rotate,
  inverse: rotate,
})

function rotate(values: Float32Array): void {
  twoStages(values, 1, 1)
  twoStages(values, 4, 1)
  twoStages(values, 16, SCALE)
}

/** The butterflies of `stride` and of twice the stride on each run of four times the stride, every operation rounded to F32. */
function twoStages(values: Float32Array, stride: number, scale: number): void {
  for (let run = 0; run < values.length; run += 4 * stride) {
    for (let i = run; i < run + stride; i++) {
      const a = values[i]!
      const b = values[i + stride]!
      const c = values[i + 2 * stride]!
      const d = values[i + 3 * stride]!
      const sum = Math.fround(a + b)
      const difference = Math.fround(a - b)
      const otherSum = Math.fround(c + d)
      const otherDifference = Math.fround(c - d)
      values[i] = Math.fround(sum + otherSum) * scale
      values[i + stride] = Math.fround(difference + otherDifference) * scale
      values[i + 2 * stride] = Math.fround(sum - otherSum) * scale
      values[i + 3 * stride] = Math.fround(difference - otherDifference) * scale
    }
  }
}
