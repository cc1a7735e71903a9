import { bitsUnder, f8e4m3ToF32 } from '#core/bytes/float.ts'
import { LabError } from '#core/contract/errors.ts'
import { largestMagnitude } from './extremes.ts'
import { refuseNonFinite } from './finite.ts'

/* Blocks of FP4 E2M1 codes, byte for byte as ggml: a sign over three bits of magnitude. A code is the nearest, of two as near the smaller one; 0 has no sign. */

/** Magnitudes of a code's low three bits: E2M1, OCP Microscaling Formats 1.0, 5.3.3. */
export const FLOAT4_LEVELS = [0, 0.5, 1, 1.5, 2, 3, 4, 6] as const
const BOUNDS = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5] as const
/** Values of all codes; -0 is 0. */
const VALUES = [...FLOAT4_LEVELS, ...FLOAT4_LEVELS.map((level) => -level + 0)]

const MX_VALUES = 32
const MX_BYTES = 17
/** Exponent of the largest E2M1 number, 6 = 1.5 * 2^2. */
const TOP_EXPONENT = 2
/** Largest exponent byte of finite values: 6 * 2^(252 - 127) is in F32's range and twice that is not. */
const MX_TOP = 252

const NV_VALUES = 64
const NV_BYTES = 36
const NV_SUB_BLOCKS = 4
const NV_SUB_VALUES = 16
/** Code of 448, the largest E4M3 number; 0x7f is NaN. */
const E4M3_TOP = 0x7e
const E4M3_MAX = 448
/** From which magnitude on sixteen values under a scale of their layer become a quarter of themselves, and how many codes more their own scale then is. */
export const NV_QUARTERED = 512
const NV_QUARTER_CODES = 16
const SIX = 6
const FOUR = 4

/** Kernels.quantizeLevels of `mxfp4` in TypeScript. */
export function quantizeMxfp4(values: Float32Array, blocks: Uint8Array): void {
  refuseNonFinite(values)
  for (let at = 0, to = 0; at < values.length; at += MX_VALUES, to += MX_BYTES) {
    const e = mxfp4Exponent(values, at)
    blocks[to] = e
    packCodes(values, at, MX_VALUES, exponentValue(e), blocks, to + 1)
  }
}

/** Exponent byte of the block of values[at..at + 32): that of its largest magnitude, exactly, less the exponent of 6; 0 where that is below 0. */
export function mxfp4Exponent(values: Float32Array, at: number): number {
  const most = largestMagnitude(bitsUnder(values), at, MX_VALUES)
  largest[0] = most
  return Math.max(0, (largestBits[0]! >>> 23) - TOP_EXPONENT)
}
const largest = new Float32Array(1)
const largestBits = bitsUnder(largest)

/** 2^(e - 127). */
export function exponentValue(e: number): number {
  return 2 ** (e - 127)
}

/** Kernels.quantizeLevels of `nvfp4` in TypeScript. */
export function quantizeNvfp4(values: Float32Array, fourOverSix: boolean, blocks: Uint8Array): void {
  refuseNonFinite(values)
  const bits = bitsUnder(values)
  for (let at = 0, to = 0; at < values.length; at += NV_VALUES, to += NV_BYTES) {
    for (let s = 0; s < NV_SUB_BLOCKS; s++) {
      const from = at + s * NV_SUB_VALUES
      const most = largestMagnitude(bits, from, NV_SUB_VALUES)
      const six = nvfp4Scale(most, SIX)
      if (six < 0) throw new LabError('OUT_OF_RANGE', `magnitude ${most} needs a scale above ${E4M3_MAX}, which E4M3 does not hold: keep these values with none, or use mxfp4`, { value: most })
      const code = fourOverSix ? betterScale(values, from, six, nvfp4Scale(most, FOUR)) : six
      blocks[to + s] = code
      packCodes(values, from, NV_SUB_VALUES, f8e4m3ToF32(code), blocks, to + NV_SUB_BLOCKS + (s * NV_SUB_VALUES) / 2)
    }
  }
}

/** Kernels.quantizeScaledNvfp4 in TypeScript. */
export function quantizeScaledNvfp4(values: Float32Array, scale: number, fourOverSix: boolean, blocks: Uint8Array): void {
  refuseNonFinite(values)
  const block = new Float32Array(NV_VALUES)
  const bits = bitsUnder(block)
  for (let at = 0, to = 0; at < values.length; at += NV_VALUES, to += NV_BYTES) {
    for (let i = 0; i < NV_VALUES; i++) block[i] = values[at + i]! / scale
    let large = 0
    for (let s = 0; s < NV_SUB_BLOCKS; s++) {
      const from = s * NV_SUB_VALUES
      if (largestMagnitude(bits, from, NV_SUB_VALUES) < NV_QUARTERED) continue
      large |= 1 << s
      for (let i = from; i < from + NV_SUB_VALUES; i++) block[i] = block[i]! / 4
    }
    quantizeNvfp4(block, fourOverSix, blocks.subarray(to, to + NV_BYTES))
    for (let s = 0; s < NV_SUB_BLOCKS; s++) blocks[to + s]! += (large >> s) & 1 ? NV_QUARTER_CODES : 0
  }
}

/**
 * E4M3 code of magnitude / top, or -1 above 448, as ggml_fp32_to_ue4m3 rounds it: halves up; what is below 2^-6 to at most the largest subnormal;
 * 256 and more to 448.
 */
export function nvfp4Scale(magnitude: number, top: number): number {
  const scale = Math.fround(magnitude / top)
  if (scale > E4M3_MAX) return -1
  largest[0] = scale
  const bits = largestBits[0]!
  if (bits >>> 23 <= 120) return Math.min(7, Math.fround(scale * 512 + 0.5) | 0)
  const code = ((bits + 0x80000) >>> 20) - (120 << 3)
  return code >= 15 << 3 ? E4M3_TOP : code
}

/** Of two scale codes the one of less squared error, the first of equal ones or where there is no second. */
function betterScale(values: Float32Array, at: number, six: number, four: number): number {
  return four >= 0 && squaredError(values, at, f8e4m3ToF32(four)) < squaredError(values, at, f8e4m3ToF32(six)) ? four : six
}

/** Squared error of sixteen values in F32: value i to sum i % 4, then (0 + 1) + (2 + 3). */
function squaredError(values: Float32Array, at: number, d: number): number {
  sums.fill(0)
  for (let i = 0; i < NV_SUB_VALUES; i++) {
    const magnitude = Math.abs(values[at + i]!)
    const error = Math.fround(magnitude - FLOAT4_LEVELS[magnitudeCode(magnitude, d)]! * d)
    sums[i % 4] = sums[i % 4]! + Math.fround(error * error)
  }
  return Math.fround(Math.fround(sums[0]! + sums[1]!) + Math.fround(sums[2]! + sums[3]!))
}
const sums = new Float32Array(4)

/** Packs the codes of `length` values, byte j with the j-th in its low half and the one half the length later in its high half. */
function packCodes(values: Float32Array, at: number, length: number, d: number, out: Uint8Array, to: number): void {
  const half = length / 2
  for (let j = 0; j < half; j++) out[to + j] = codeOf(values[at + j]!, d) | (codeOf(values[at + j + half]!, d) << 4)
}

function codeOf(x: number, d: number): number {
  const code = magnitudeCode(Math.abs(x), d)
  return code > 0 && x < 0 ? code | 8 : code
}

/** How many bounds times d a magnitude is above; all products are exact. 0 where d is. */
function magnitudeCode(magnitude: number, d: number): number {
  if (d === 0) return 0
  let code = 0
  while (code < BOUNDS.length && magnitude > BOUNDS[code]! * d) code++
  return code
}

/** Kernels.dequantizeLevels of `mxfp4` and `nvfp4` in TypeScript. */
export function dequantizeFloat4(blocks: Uint8Array, format: 'mxfp4' | 'nvfp4', out: Float32Array): boolean {
  let finite = true
  if (format === 'mxfp4') {
    for (let at = 0, from = 0; at < out.length; at += MX_VALUES, from += MX_BYTES) {
      finite &&= blocks[from]! <= MX_TOP
      unpackCodes(blocks, from + 1, MX_VALUES, exponentValue(blocks[from]!), out, at)
    }
    return finite
  }
  for (let at = 0, from = 0; at < out.length; at += NV_VALUES, from += NV_BYTES) {
    for (let s = 0; s < NV_SUB_BLOCKS; s++) {
      const code = blocks[from + s]!
      finite &&= code <= E4M3_TOP
      unpackCodes(blocks, from + NV_SUB_BLOCKS + (s * NV_SUB_VALUES) / 2, NV_SUB_VALUES, f8e4m3ToF32(code), out, at + s * NV_SUB_VALUES)
    }
  }
  return finite
}

function unpackCodes(blocks: Uint8Array, from: number, length: number, d: number, out: Float32Array, at: number): void {
  const half = length / 2
  for (let j = 0; j < half; j++) {
    const byte = blocks[from + j]!
    out[at + j] = VALUES[byte & 15]! * d
    out[at + j + half] = VALUES[byte >>> 4]! * d
  }
}
