import { dequantizeBlocks, quantizeBlocks } from './blocks.ts'
import { dequantizeChannels, quantizeChannels } from './channels.ts'
import { errorTotals } from './errors.ts'
import { firstNonFinite } from './finite.ts'
import { decodeFloats, encodeFloats } from './floats.ts'
import { dequantizeGroups, quantizeGroups } from './groups.ts'
import { hadamard } from './hadamard.ts'
import type { Kernels } from './kernels.ts'
import { dequantizeLevels, quantizeLevels } from './levels.ts'
import { compareRows, largestLogit, sumExps } from './logits.ts'
import { dequantizeNormalFloat, quantizeNormalFloat } from './normal-float.ts'
import { decodeRans, encodeRans } from './rans.ts'
import { dequantizeTurbo, quantizeTurbo } from './turbo.ts'

/** The kernels in TypeScript: what the others are held against, and what runs where there is no SIMD. */
export const typescriptKernels: Kernels = {
  implementation: 'TypeScript',
  quantizeGroups,
  dequantizeGroups,
  quantizeChannels,
  dequantizeChannels,
  quantizeBlocks,
  dequantizeBlocks,
  quantizeLevels,
  dequantizeLevels,
  quantizeNormalFloat,
  dequantizeNormalFloat,
  quantizeTurbo,
  dequantizeTurbo,
  encodeFloats,
  decodeFloats,
  firstNonFinite,
  hadamard,
  errorTotals,
  largestLogit,
  sumExps,
  compareRows,
  encodeRans,
  decodeRans,
}
