import { bitsUnder, f16ToF32 } from '#core/bytes/float.ts'
import { findRange, found, largestMagnitude } from './extremes.ts'
import { packRounded, unpackScaled } from './packing.ts'
import { defineQuantizer, type Quantizer } from './quantizer.ts'
import { bytesOf, finiteF16, halvesOf } from './streams.ts'

const MIN_GROUP = 16
const MAX_GROUP = 256
const GROUP_STEP = 8

const groupParams = {
  groupSize: { kind: 'int', label: 'Values per scale, along headDim', option: 'g', default: 64, min: MIN_GROUP, max: MAX_GROUP, multipleOf: GROUP_STEP },
  asym: { kind: 'flag', label: 'Scale and zero point from minimum and maximum', option: 'asym' },
} as const
type GroupParams = typeof groupParams

/**
 * Integers of 2 to 8 bits with one F16 scale per group of values along headDim of one token.
 * Symmetric: s = f16(absmax / top), q = rne(x / s) clamped to ±top, top = 2^(bits-1) - 1, x' = q s; a code is stored as q + top.
 * `asym`: z = f16(min), s = f16((max - min) / top), q = rne((x - z) / s) clamped to 0..top, top = 2^bits - 1, x' = q s + z.
 * s = 0 gives x' = 0, or z. Every operation is rounded to F32, as torch does it, and the stored scale is the one used to quantise.
 * Streams: `codes` U8, `bits` bits a value; `scales` and, for `asym`, `zeros` F16 [kvHeads, tokens, groups].
 */
export function integerQuantizer(bits: 2 | 3 | 4 | 5 | 6 | 7 | 8): Quantizer<GroupParams> {
  return defineQuantizer({
    id: `int${bits}`,
    label: `${bits}-bit integers by group`,
    source: 'Rounding to nearest by absmax or min-max and group: Sheng et al., "FlexGen", arXiv 2303.06865; Liu et al., "KIVI", arXiv 2402.02750',
    lossy: true,
    params: groupParams,
    bits: ({ groupSize, asym }) => bits + (asym ? 32 : 16) / groupSize,
    refuse({ groupSize }, headDim) {
      if (headDim % groupSize === 0) return null
      const nearest = nearestGroup(groupSize, headDim)
      if (nearest !== null) return { reason: `a group of ${groupSize} does not divide the head size ${headDim}`, nearest: { groupSize: nearest } }
      return { reason: `no multiple of ${GROUP_STEP} from ${MIN_GROUP} to ${MAX_GROUP} divides the head size ${headDim}`, nearest: {} }
    },
    layout({ kvHeads, tokens, headDim }, { groupSize, asym }) {
      const groups = { dtype: 'F16', shape: [kvHeads, tokens, headDim / groupSize] } as const
      return { codes: { dtype: 'U8', shape: [kvHeads, tokens, (headDim * bits) / 8] }, scales: groups, ...(asym ? { zeros: groups } : {}) }
    },
    encode(values, shape, { groupSize, asym }, out) {
      const groups = (shape.kvHeads * shape.tokens * shape.headDim) / groupSize
      const codeBytes = (groupSize * bits) / 8
      const codes = bytesOf(out, 'codes', groups * codeBytes)
      const scales = halvesOf(out, 'scales', groups)
      const zeros = asym ? halvesOf(out, 'zeros', groups) : null
      const valueBits = bitsUnder(values)
      for (let group = 0; group < groups; group++) {
        const at = group * groupSize
        const to = group * codeBytes
        if (zeros) quantizeAffine(values, valueBits, at, groupSize, bits, scales, zeros, group, codes, to)
        else quantizeSymmetric(values, valueBits, at, groupSize, bits, scales, group, codes, to)
      }
    },
    decode(streams, shape, { groupSize, asym }, out) {
      const groups = (shape.kvHeads * shape.tokens * shape.headDim) / groupSize
      const codeBytes = (groupSize * bits) / 8
      const codes = bytesOf(streams, 'codes', groups * codeBytes)
      const scales = halvesOf(streams, 'scales', groups)
      const zeros = asym ? halvesOf(streams, 'zeros', groups) : null
      const offset = asym ? 0 : (1 << (bits - 1)) - 1
      for (let group = 0; group < groups; group++) {
        // (code - offset) s has at most 19 significant bits: only the sum with z is rounded.
        const z = zeros ? f16ToF32(zeros[group]!) : 0
        unpackScaled(codes, group * codeBytes, bits, offset, f16ToF32(scales[group]!), z, out, group * groupSize, groupSize)
      }
    },
    errorBound(row, { groupSize, asym }, bound) {
      const top = (1 << (asym ? bits : bits - 1)) - 1
      for (let at = 0; at < row.length; at += groupSize) {
        const group = Array.from(row.subarray(at, at + groupSize))
        const low = Math.min(...group)
        const high = Math.max(...group)
        const s = f16ToF32(finiteF16(asym ? Math.fround(high - low) / top : Math.max(-low, high) / top, 'scale'))
        const z = asym ? f16ToF32(finiteF16(low, 'zero point')) : 0
        group.forEach((value, i) => {
          const x = asym ? value - z : Math.abs(value)
          // Half a step, or what clamping cuts off where F16 rounded the scale or the zero point inwards.
          bound[at + i] = Math.max(s / 2, x - top * s, asym ? -x : 0) + (Math.abs(z) + top * s) * 2 ** -22
        })
      }
    },
  })
}

/*
 * x / s is computed as x * (1 / s) in double and gives the code of a division in F32: s has 11 significant bits, so x / s either is k + 1/2 exactly,
 * and then rounding to 2^-29 (packing.ts) puts the product back onto it, or is at least 2^-25 away from it, too far for F32 to round it there.
 */

/** Up to here beyond the last code a number certainly rounds to it: half a step less some room for the tie. */
const SAFE = 0.4

/** What is packed of one group in place of its values. */
const numbers = new Float32Array(MAX_GROUP)

/** Values less z, in F32. */
function stage(values: Float32Array, at: number, length: number, z: number): void {
  for (let i = 0; i < length; i += 4) {
    numbers[i] = values[at + i]! - z
    numbers[i + 1] = values[at + i + 1]! - z
    numbers[i + 2] = values[at + i + 2]! - z
    numbers[i + 3] = values[at + i + 3]! - z
  }
}

/** As `stage`, for the rare groups where F16 rounded the scale or the zero point so far inwards that codes would leave least / s to most / s. */
function stageClamped(values: Float32Array, at: number, length: number, z: number, least: number, most: number): void {
  for (let i = 0; i < length; i++) numbers[i] = Math.min(most, Math.max(least, Math.fround(values[at + i]! - z)))
}

function quantizeSymmetric(values: Float32Array, valueBits: Int32Array, at: number, length: number, bits: number, scales: Uint16Array, group: number, codes: Uint8Array, to: number): void {
  const top = (1 << (bits - 1)) - 1
  const absMax = largestMagnitude(valueBits, at, length)
  const scale = finiteF16(absMax / top, 'scale')
  scales[group] = scale
  const s = f16ToF32(scale)
  const inverse = scale === 0 ? 0 : 1 / s
  if (absMax * inverse < top + SAFE) packRounded(values, at, length, inverse, top, bits, codes, to)
  else {
    stageClamped(values, at, length, 0, -top * s, top * s)
    packRounded(numbers, 0, length, inverse, top, bits, codes, to)
  }
}

function quantizeAffine(values: Float32Array, valueBits: Int32Array, at: number, length: number, bits: number, scales: Uint16Array, zeros: Uint16Array, group: number, codes: Uint8Array, to: number): void {
  const top = (1 << bits) - 1
  findRange(values, valueBits, at, length)
  const low = found[0]!
  const high = found[1]!
  const zero = finiteF16(low, 'zero point')
  const scale = finiteF16(Math.fround(high - low) / top, 'scale')
  zeros[group] = zero
  scales[group] = scale
  const z = f16ToF32(zero)
  const s = f16ToF32(scale)
  const inverse = scale === 0 ? 0 : 1 / s
  if ((low - z) * inverse > -SAFE && (high - z) * inverse < top + SAFE) stage(values, at, length, z)
  else stageClamped(values, at, length, z, 0, top * s)
  packRounded(numbers, 0, length, inverse, 0, bits, codes, to)
}

/** The valid group size that divides `headDim` and is nearest to `wanted`, the smaller one of two as near; null where there is none. */
function nearestGroup(wanted: number, headDim: number): number | null {
  let best: number | null = null
  for (let size = MIN_GROUP; size <= Math.min(MAX_GROUP, headDim); size += GROUP_STEP) {
    if (headDim % size === 0 && (best === null || Math.abs(size - wanted) < Math.abs(best - wanted))) best = size
  }
  return best
}
