import { bitsUnder, f16ToF32 } from '#core/bytes/float.ts'
import { findRange, found, largestMagnitude } from './extremes.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from './finite.ts'
import { packRounded, unpackScaled } from './packing.ts'

/*
 * x / s is computed as x * (1 / s) in double and gives the code of a division in F32: s has 11 significant bits, so x / s either is k + 1/2 exactly,
 * and then rounding to 2^-29 (packing.ts) puts the product back onto it, or is at least 2^-25 away from it, too far for F32 to round it there.
 */

/** Up to here beyond the last code a number certainly rounds to it: half a step less some room for the tie. */
const SAFE = 0.4

const MAX_GROUP = 256
/** What is packed of one group in place of its values. */
const numbers = new Float32Array(MAX_GROUP)

/** Kernels.quantizeGroups in TypeScript. */
export function quantizeGroups(values: Float32Array, groupSize: number, bits: number, clip: number, codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null): void {
  refuseNonFinite(values)
  const codeBytes = (groupSize * bits) / 8
  const valueBits = bitsUnder(values)
  for (let group = 0; group < scales.length; group++) {
    const at = group * groupSize
    const to = group * codeBytes
    if (zeros) quantizeAffine(values, valueBits, at, groupSize, bits, clip, scales, zeros, group, codes, to)
    else quantizeSymmetric(values, valueBits, at, groupSize, bits, clip, scales, group, codes, to)
  }
}

/** Kernels.dequantizeGroups in TypeScript. */
export function dequantizeGroups(codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null, groupSize: number, bits: number, out: Float32Array): boolean {
  const codeBytes = (groupSize * bits) / 8
  const offset = zeros ? 0 : (1 << (bits - 1)) - 1
  let finite = true
  for (let group = 0; group < scales.length; group++) {
    const scale = scales[group]!
    const zero = zeros ? zeros[group]! : 0
    finite &&= isFiniteF16(scale) && isFiniteF16(zero)
    // (code - offset) s has at most 19 significant bits: only the sum with z is rounded.
    unpackScaled(codes, group * codeBytes, bits, offset, f16ToF32(scale), f16ToF32(zero), out, group * groupSize, groupSize)
  }
  return finite
}

/** Values less z, in F32. */
function stage(values: Float32Array, at: number, length: number, z: number): void {
  for (let i = 0; i < length; i += 4) {
    numbers[i] = values[at + i]! - z
    numbers[i + 1] = values[at + i + 1]! - z
    numbers[i + 2] = values[at + i + 2]! - z
    numbers[i + 3] = values[at + i + 3]! - z
  }
}

/** As `stage`, for the groups where `clip`, or F16 in rounding the scale or the zero point, went so far inwards that codes would leave least / s to most / s. */
function stageClamped(values: Float32Array, at: number, length: number, z: number, least: number, most: number): void {
  for (let i = 0; i < length; i++) numbers[i] = Math.min(most, Math.max(least, Math.fround(values[at + i]! - z)))
}

function quantizeSymmetric(values: Float32Array, valueBits: Int32Array, at: number, length: number, bits: number, clip: number, scales: Uint16Array, group: number, codes: Uint8Array, to: number): void {
  const top = (1 << (bits - 1)) - 1
  const absMax = largestMagnitude(valueBits, at, length)
  const scale = finiteF16(Math.fround(absMax * clip) / top, 'scale')
  scales[group] = scale
  const s = f16ToF32(scale)
  const inverse = scale === 0 ? 0 : 1 / s
  if (absMax * inverse < top + SAFE) packRounded(values, at, length, inverse, top, bits, codes, to)
  else {
    stageClamped(values, at, length, 0, -top * s, top * s)
    packRounded(numbers, 0, length, inverse, top, bits, codes, to)
  }
}

function quantizeAffine(values: Float32Array, valueBits: Int32Array, at: number, length: number, bits: number, clip: number, scales: Uint16Array, zeros: Uint16Array, group: number, codes: Uint8Array, to: number): void {
  const top = (1 << bits) - 1
  findRange(values, valueBits, at, length)
  const low = found[0]!
  const high = found[1]!
  const zero = finiteF16(Math.fround(low * clip), 'zero point')
  const scale = finiteF16(Math.fround(Math.fround(high * clip) - Math.fround(low * clip)) / top, 'scale')
  zeros[group] = zero
  scales[group] = scale
  const z = f16ToF32(zero)
  const s = f16ToF32(scale)
  const inverse = scale === 0 ? 0 : 1 / s
  if ((low - z) * inverse > -SAFE && (high - z) * inverse < top + SAFE) stage(values, at, length, z)
  else stageClamped(values, at, length, z, 0, top * s)
  packRounded(numbers, 0, length, inverse, 0, bits, codes, to)
}

