import { bitsUnder, f16ToF32 } from '#core/bytes/float.ts'
import { levelOf, middles } from './codebook.ts'
import { largestMagnitude } from './extremes.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from './finite.ts'
import { packRounded, unpackScaled } from './packing.ts'

/** Quantiles of the normal distribution, with 0 among them: the table of Dettmers et al., "QLoRA", arXiv 2305.14314, appendix E, in F32. */
export const NF4_LEVELS = Float32Array.of(
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
)
const BITS = 4
const MAX_GROUP = 256

/** The first F32 above each middle, so that the middle itself is the lower level's. */
export const NF4_BOUNDS = middles(NF4_LEVELS)
const boundBits = bitsUnder(NF4_BOUNDS)
NF4_BOUNDS.forEach((bound, i) => {
  if (bound <= (NF4_LEVELS[i]! + NF4_LEVELS[i + 1]!) / 2) boundBits[i]! += bound > 0 ? 1 : -1
})

/** Codes of one group, as numbers. */
const numbers = new Float32Array(MAX_GROUP)

/** Kernels.quantizeNormalFloat in TypeScript. */
export function quantizeNormalFloat(values: Float32Array, groupSize: number, codes: Uint8Array, scales: Uint16Array): void {
  refuseNonFinite(values)
  const valueBits = bitsUnder(values)
  for (let group = 0; group < scales.length; group++) {
    const at = group * groupSize
    const scale = finiteF16(largestMagnitude(valueBits, at, groupSize), 'scale')
    scales[group] = scale
    // Of a scale that is 0 in F16 every quotient is 0.
    const s = scale === 0 ? Infinity : f16ToF32(scale)
    for (let i = 0; i < groupSize; i++) numbers[i] = levelOf(NF4_BOUNDS, Math.fround(values[at + i]! / s))
    packRounded(numbers, 0, groupSize, 1, 0, BITS, codes, (at * BITS) / 8)
  }
}

/** Kernels.dequantizeNormalFloat in TypeScript. */
export function dequantizeNormalFloat(codes: Uint8Array, scales: Uint16Array, groupSize: number, out: Float32Array): boolean {
  let finite = true
  for (let group = 0; group < scales.length; group++) {
    const at = group * groupSize
    const scale = scales[group]!
    finite &&= isFiniteF16(scale)
    const s = f16ToF32(scale)
    unpackScaled(codes, (at * BITS) / 8, BITS, 0, 1, 0, numbers, 0, groupSize)
    for (let i = 0; i < groupSize; i++) out[at + i] = NF4_LEVELS[numbers[i]!]! * s
  }
  return finite
}
