import { ROTATED } from '#core/kernels/hadamard.ts'
import { kernels } from '#core/kernels/index.ts'
import { defineTransform } from './transform.ts'

/**
 * Orthonormal Walsh-Hadamard transform (Sylvester order, no random signs) of each 64 consecutive values along headDim: spreads outlier
 * channels over 64. One block size for keys and values; llama.cpp takes 64 for values and the largest 64 * 2^k for keys, the same up to
 * a head size of 64. Butterflies in F32 from stride 1 to 32, then one multiplication by 1/8; its own inverse up to rounding.
 */
export const hadamard = defineTransform({
  id: 'hadamard',
  label: 'Walsh-Hadamard rotation of 64 values along headDim',
  source: 'Ashkboos et al., "QuaRot", arXiv 2404.00456; llama.cpp pull request 21038',
  lossy: true,
  params: {},
  refuse: (_, { headDim }) => (headDim % ROTATED === 0 ? null : `it rotates ${ROTATED} values at a time, which does not divide the head size ${headDim}`),
  forward: (values) => kernels.hadamard(values),
  inverse(values) {
    kernels.hadamard(values)
    return true
  },
})
