import { dequantizeBlocks, quantizeBlocks } from './blocks.ts'
import { dequantizeChannels, quantizeChannels } from './channels.ts'
import { dequantizeCodebook, quantizeCodebook } from './codebook.ts'
import { errorTotals } from './errors.ts'
import { firstNonFinite } from './finite.ts'
import { quantizeScaledNvfp4 } from './float4.ts'
import { decodeFloats, encodeFloats } from './floats.ts'
import { dequantizeGroups, quantizeGroups } from './groups.ts'
import { hadamard } from './hadamard.ts'
import type { Kernels } from './kernels.ts'
import { dequantizeLevels, quantizeLevels } from './levels.ts'
import { compareRows, largestLogit, sumExps } from './logits.ts'
import { dequantizeNormalFloat, quantizeNormalFloat } from './normal-float.ts'
import { dequantizePolar, quantizePolar } from './polar.ts'
import { addProduct, timesLeft, timesRight, turnRight } from './products.ts'
import { divideByRanges, findRanges } from './ranges.ts'
import { decodeRans, encodeRans } from './rans.ts'
import { selectRows } from './select.ts'
import { sortIntoBins } from './sorted-bins.ts'
import { dequantizeSketch, quantizeSketch } from './sign-sketch.ts'
import { transposeBytes } from './transpose.ts'
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
  quantizeScaledNvfp4,
  dequantizeLevels,
  quantizeNormalFloat,
  dequantizeNormalFloat,
  quantizeCodebook,
  dequantizeCodebook,
  quantizeTurbo,
  dequantizeTurbo,
  quantizeSketch,
  dequantizeSketch,
  quantizePolar,
  dequantizePolar,
  selectRows,
  timesRight,
  timesLeft,
  turnRight,
  addProduct,
  encodeFloats,
  decodeFloats,
  firstNonFinite,
  hadamard,
  errorTotals,
  largestLogit,
  sumExps,
  compareRows,
  findRanges,
  divideByRanges,
  sortIntoBins,
  transposeBytes,
  encodeRans,
  decodeRans,
}
