import { highHalves, lowHalves, restore, scaled } from './blocks'
import { largestMagnitude } from './extremes'
import { fromF8 } from './floats'
import { codesAt, stepsAt, valuesAt } from './memory'

/* Blocks of FP4 E2M1 codes, `mxfp4` and `nvfp4`: core/kernels/float4.ts says what they are. Scales are found in a turn of their own, as in blocks.ts. */

const MX_VALUE_BYTES: usize = 128
const MX_BYTES: usize = 17
const MX_TOP: i32 = 252
const F32_TOP: i32 = 0x7f800000

const NV_BYTES: usize = 36
/** Bytes of sixteen values. */
const SUB_BYTES: usize = 64
const E4M3_TOP: i32 = 0x7e

/** Encodes values to blocks of 32. False for a NaN or an infinity. */
export function quantizeMxfp4(blocks: i32): bool {
  let from = valuesAt
  let to = codesAt
  let most: i32 = 0
  for (let block = 0; block < blocks; block++, from += MX_VALUE_BYTES, to += MX_BYTES) {
    const bits = reinterpret<i32>(largestMagnitude(from, from + MX_VALUE_BYTES))
    most = max(most, bits)
    const e = max(0, (bits >> 23) - 2)
    store<u8>(to, <u8>e)
    const d = f32x4.splat(powerOf(e))
    v128.store(to + 1, v128.or(sixteen(from, d), i16x8.shl(sixteen(from + 64, d), 4)))
  }
  return most < F32_TOP
}

/** 2^(e - 127); infinite for 255. */
// @ts-ignore: decorator
@inline
function powerOf(e: i32): f32 {
  return reinterpret<f32>(e === 0 ? 0x00400000 : e << 23)
}

/** Sixteen codes, bytes; of a d of 0 they are 0. */
// @ts-ignore: decorator
@inline
function sixteen(at: usize, d: v128): v128 {
  const a = i16x8.narrow_i32x4_s(four(v128.load(at), d), four(v128.load(at, 16), d))
  const b = i16x8.narrow_i32x4_s(four(v128.load(at, 32), d), four(v128.load(at, 48), d))
  return i8x16.narrow_i16x8_u(a, b)
}

/** How many middles between E2M1 numbers, times d, a magnitude is above; 8 more for a negative value that is not 0. */
// @ts-ignore: decorator
@inline
function four(x: v128, d: v128): v128 {
  const magnitude = f32x4.abs(x)
  const first = f32x4.gt(magnitude, f32x4.mul(d, f32x4.splat(0.25)))
  let below = i32x4.add(first, f32x4.gt(magnitude, f32x4.mul(d, f32x4.splat(0.75))))
  below = i32x4.add(below, f32x4.gt(magnitude, f32x4.mul(d, f32x4.splat(1.25))))
  below = i32x4.add(below, f32x4.gt(magnitude, f32x4.mul(d, f32x4.splat(1.75))))
  below = i32x4.add(below, f32x4.gt(magnitude, f32x4.mul(d, f32x4.splat(2.5))))
  below = i32x4.add(below, f32x4.gt(magnitude, f32x4.mul(d, f32x4.splat(3.5))))
  below = i32x4.add(below, f32x4.gt(magnitude, f32x4.mul(d, f32x4.splat(5))))
  const sign = v128.and(i32x4.shl(i32x4.shr_u(x, 31), 3), first)
  return v128.and(i32x4.sub(sign, below), f32x4.gt(d, f32x4.splat(0)))
}

/** Decodes blocks of 32 to values. Returns whether all exponents are ones that encoding writes. */
export function dequantizeMxfp4(blocks: i32): bool {
  let from = codesAt
  let to = valuesAt
  let most: i32 = 0
  for (let block = 0; block < blocks; block++, from += MX_BYTES, to += MX_VALUE_BYTES) {
    const e = <i32>load<u8>(from)
    most = max(most, e)
    // Levels are twice the numbers, so that they are whole.
    const d = f32x4.splat(reinterpret<f32>(e < 2 ? 0x00200000 << e : (e - 1) << 23))
    const bytes = v128.load(from, 1)
    restore(to, doubled(lowHalves(bytes)), d, d, false)
    restore(to + 64, doubled(highHalves(bytes)), d, d, false)
  }
  return most <= MX_TOP
}

/** Twice the numbers of sixteen codes. */
// @ts-ignore: decorator
@inline
function doubled(codes: v128): v128 {
  return i8x16.swizzle(i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12), codes)
}

/** Encodes values to blocks of 64, with the better of two scales if `fourOverSix`. False for a NaN, an infinity or a scale above 448. */
export function quantizeNvfp4(blocks: i32, fourOverSix: bool): bool {
  const end = stepsAt + ((<usize>blocks) << 4)
  let from = valuesAt
  let most: f32 = 0
  for (let at = stepsAt; at < end; at += 4, from += SUB_BYTES) {
    const magnitude = largestMagnitude(from, from + SUB_BYTES)
    // By what a NaN or an infinity leaves no number.
    most = max<f32>(most, magnitude)
    store<f32>(at, magnitude)
  }
  if (!(most / 6 <= 448)) return false
  from = valuesAt
  let to = codesAt
  for (let at = stepsAt; at < end; at += 16, from += 4 * SUB_BYTES, to += NV_BYTES) {
    const magnitudes = v128.load(at)
    let codes = toScales(f32x4.div(magnitudes, f32x4.splat(6)))
    if (fourOverSix) codes = better(from, codes, f32x4.div(magnitudes, f32x4.splat(4)))
    const words = i16x8.narrow_i32x4_s(codes, codes)
    v128.store_lane<u32>(to, i8x16.narrow_i16x8_u(words, words), 0)
    const d = fromF8(codes)
    packSub(from, i32x4.shuffle(d, d, 0, 0, 0, 0), to + 4)
    packSub(from + SUB_BYTES, i32x4.shuffle(d, d, 1, 1, 1, 1), to + 12)
    packSub(from + 2 * SUB_BYTES, i32x4.shuffle(d, d, 2, 2, 2, 2), to + 20)
    packSub(from + 3 * SUB_BYTES, i32x4.shuffle(d, d, 3, 3, 3, 3), to + 28)
  }
  return true
}

/** E4M3 codes of four scales up to 448, rounded as ggml does. */
// @ts-ignore: decorator
@inline
function toScales(scale: v128): v128 {
  const normal = i32x4.sub(i32x4.shr_u(i32x4.add(scale, i32x4.splat(0x80000)), 20), i32x4.splat(120 << 3))
  const top = v128.bitselect(i32x4.splat(E4M3_TOP), normal, i32x4.ge_s(normal, i32x4.splat(15 << 3)))
  const cut = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(scale, f32x4.splat(512)), f32x4.splat(0.5)))
  return v128.bitselect(i32x4.min_s(cut, i32x4.splat(7)), top, f32x4.lt(scale, f32x4.splat(0.015625)))
}

/** Of each two scale codes the one with less squared error over its sixteen values: the first, or that of a second scale up to 448. */
function better(from: usize, six: v128, scale: v128): v128 {
  const four = toScales(f32x4.min(scale, f32x4.splat(448)))
  const d6 = fromF8(six)
  const d4 = fromF8(four)
  const error6 = totals(squares(from, i32x4.shuffle(d6, d6, 0, 0, 0, 0)), squares(from + SUB_BYTES, i32x4.shuffle(d6, d6, 1, 1, 1, 1)), squares(from + 2 * SUB_BYTES, i32x4.shuffle(d6, d6, 2, 2, 2, 2)), squares(from + 3 * SUB_BYTES, i32x4.shuffle(d6, d6, 3, 3, 3, 3)))
  const error4 = totals(squares(from, i32x4.shuffle(d4, d4, 0, 0, 0, 0)), squares(from + SUB_BYTES, i32x4.shuffle(d4, d4, 1, 1, 1, 1)), squares(from + 2 * SUB_BYTES, i32x4.shuffle(d4, d4, 2, 2, 2, 2)), squares(from + 3 * SUB_BYTES, i32x4.shuffle(d4, d4, 3, 3, 3, 3)))
  return v128.bitselect(four, six, v128.and(f32x4.lt(error4, error6), f32x4.le(scale, f32x4.splat(448))))
}

/** (0 + 1) + (2 + 3) of the lanes of each of four vectors. */
// @ts-ignore: decorator
@inline
function totals(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(i32x4.shuffle(a, b, 0, 2, 4, 6), i32x4.shuffle(a, b, 1, 3, 5, 7))
  const cd = f32x4.add(i32x4.shuffle(c, d, 0, 2, 4, 6), i32x4.shuffle(c, d, 1, 3, 5, 7))
  return f32x4.add(i32x4.shuffle(ab, cd, 0, 2, 4, 6), i32x4.shuffle(ab, cd, 1, 3, 5, 7))
}

/** Squared errors of sixteen values under a scale, value i in lane i % 4. */
function squares(at: usize, d: v128): v128 {
  const a = square(v128.load(at), d)
  const b = square(v128.load(at, 16), d)
  const c = square(v128.load(at, 32), d)
  return f32x4.add(f32x4.add(f32x4.add(a, b), c), square(v128.load(at, 48), d))
}

// @ts-ignore: decorator
@inline
function square(x: v128, d: v128): v128 {
  const magnitude = f32x4.abs(x)
  const codes = four(magnitude, d)
  // Code by code the first byte of its lane; the others find nothing.
  const levels = i8x16.swizzle(i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0), v128.or(codes, i32x4.splat(0x10101000)))
  const error = f32x4.sub(magnitude, f32x4.mul(f32x4.convert_i32x4_s(levels), f32x4.mul(d, f32x4.splat(0.5))))
  return f32x4.mul(error, error)
}

/** Packs sixteen codes: byte j with the j-th in its low half and the (j + 8)-th in its high half. */
// @ts-ignore: decorator
@inline
function packSub(from: usize, d: v128, to: usize): void {
  const codes = sixteen(from, d)
  v128.store_lane<u64>(to, v128.or(codes, i64x2.shl(i8x16.shuffle(codes, codes, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15), 4)), 0)
}

/** Decodes blocks of 64 to values. Returns whether all scales are ones that encoding writes. */
export function dequantizeNvfp4(blocks: i32): bool {
  let from = codesAt
  let to = valuesAt
  let special = i32x4.splat(0)
  for (let block = 0; block < blocks; block++, from += NV_BYTES, to += 4 * SUB_BYTES) {
    const codes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load_zero<u32>(from)))
    special = v128.or(special, i32x4.gt_s(codes, i32x4.splat(E4M3_TOP)))
    const d = f32x4.mul(fromF8(codes), f32x4.splat(0.5))
    unpackSub(v128.load(from, 4), to, i32x4.shuffle(d, d, 0, 0, 0, 0), i32x4.shuffle(d, d, 1, 1, 1, 1))
    unpackSub(v128.load(from, 20), to + 2 * SUB_BYTES, i32x4.shuffle(d, d, 2, 2, 2, 2), i32x4.shuffle(d, d, 3, 3, 3, 3))
  }
  return !v128.any_true(special)
}

/** Twice sixteen values from sixteen bytes. */
// @ts-ignore: decorator
@inline
function unpackSub(bytes: v128, to: usize, d: v128, next: v128): void {
  const low = doubled(lowHalves(bytes))
  const high = doubled(highHalves(bytes))
  scaled(to, i16x8.extend_low_i8x16_s(low), d)
  scaled(to + 32, i16x8.extend_low_i8x16_s(high), d)
  scaled(to + 64, i16x8.extend_high_i8x16_s(low), next)
  scaled(to + 96, i16x8.extend_high_i8x16_s(high), next)
}
