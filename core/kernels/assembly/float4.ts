import { highHalves, lowHalves, restore, scaled } from './blocks'
import { largestMagnitude } from './extremes'
import { fromF8 } from './floats'
import { codesAt, offsetsAt, stepsAt, valuesAt } from './memory'

/* Blocks of FP4 E2M1 codes, `mxfp4` and `nvfp4`: core/kernels/float4.ts says what they are. Scales are found in a turn of their own, as in blocks.ts. */

const MX_VALUE_BYTES: usize = 128
const MX_BYTES: usize = 17
const MX_TOP: i32 = 252
const F32_TOP: i32 = 0x7f800000

const NV_BYTES: usize = 36
/** Bytes of sixteen values. */
const SUB_BYTES: usize = 64
const E4M3_TOP: i32 = 0x7e
/** From which magnitude on sixteen values under a scale of their layer become a quarter of themselves, and how many codes more their own scale then is. */
const QUARTERED: f32 = 512
const QUARTER_CODES: u8 = 16

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
  const a = upperHalves(v128.load(at), v128.load(at, 16))
  const b = upperHalves(v128.load(at, 32), v128.load(at, 48))
  return withSigns(at, magnitudeCodes(a, b, d))
}

/** The upper 16 bits of eight magnitudes, rounded up: middles between E2M1 numbers times d have no others, so that a magnitude is above one where these are. */
// @ts-ignore: decorator
@inline
function upperHalves(x: v128, y: v128): v128 {
  return i16x8.narrow_i32x4_s(upperHalf(x), upperHalf(y))
}

// @ts-ignore: decorator
@inline
function upperHalf(x: v128): v128 {
  return i32x4.shr_u(i32x4.add(v128.and(x, i32x4.splat(0x7fffffff)), i32x4.splat(0xffff)), 16)
}

/** How many middles, times d, each of sixteen magnitudes is above. */
// @ts-ignore: decorator
@inline
function magnitudeCodes(a: v128, b: v128, d: v128): v128 {
  const low = f32x4.mul(d, f32x4(0.25, 0.75, 1.25, 1.75))
  const high = f32x4.mul(d, f32x4(2.5, 3.5, 5, 5))
  return v128.and(i8x16.neg(i8x16.narrow_i16x8_s(above(a, low, high), above(b, low, high))), f32x4.gt(d, f32x4.splat(0)))
}

/** The same of eight, negative. */
// @ts-ignore: decorator
@inline
function above(m: v128, low: v128, high: v128): v128 {
  const first = i16x8.add(i16x8.gt_s(m, i16x8.shuffle(low, low, 1, 1, 1, 1, 1, 1, 1, 1)), i16x8.gt_s(m, i16x8.shuffle(low, low, 3, 3, 3, 3, 3, 3, 3, 3)))
  const second = i16x8.add(i16x8.gt_s(m, i16x8.shuffle(low, low, 5, 5, 5, 5, 5, 5, 5, 5)), i16x8.gt_s(m, i16x8.shuffle(low, low, 7, 7, 7, 7, 7, 7, 7, 7)))
  const third = i16x8.add(i16x8.gt_s(m, i16x8.shuffle(high, high, 1, 1, 1, 1, 1, 1, 1, 1)), i16x8.gt_s(m, i16x8.shuffle(high, high, 3, 3, 3, 3, 3, 3, 3, 3)))
  return i16x8.add(i16x8.add(first, second), i16x8.add(third, i16x8.gt_s(m, i16x8.shuffle(high, high, 5, 5, 5, 5, 5, 5, 5, 5))))
}

/** 8 more for the codes, not 0, of negative values: saturation keeps signs. */
// @ts-ignore: decorator
@inline
function withSigns(at: usize, codes: v128): v128 {
  const words = i16x8.narrow_i32x4_s(v128.load(at), v128.load(at, 16))
  const bytes = i8x16.narrow_i16x8_s(words, i16x8.narrow_i32x4_s(v128.load(at, 32), v128.load(at, 48)))
  const signs = i16x8.shr_u(v128.and(bytes, i8x16.splat(-128)), 4)
  return v128.or(codes, v128.and(signs, i8x16.gt_s(codes, i8x16.splat(0))))
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

/**
 * Encodes values to blocks of 64, with the better of two scales if `fourOverSix`. A `scale` of a layer that is not 0 first divides them; then sixteen values of 512
 * and more become a quarter of themselves, and their scale 16 codes more. False for a NaN, an infinity or a scale above 448.
 */
export function quantizeNvfp4(blocks: i32, fourOverSix: bool, scale: f32): bool {
  const end = stepsAt + ((<usize>blocks) << 4)
  let from = valuesAt
  let quarter = offsetsAt
  let most: f32 = 0
  for (let at = stepsAt; at < end; at += 4, from += SUB_BYTES) {
    if (scale !== 0) divide(from, f32x4.splat(scale))
    let magnitude = largestMagnitude(from, from + SUB_BYTES)
    // By what a NaN or an infinity leaves no number.
    most = max<f32>(most, magnitude)
    const large = scale !== 0 && magnitude >= QUARTERED
    if (large) {
      divide(from, f32x4.splat(4))
      magnitude /= 4
    }
    store<f32>(at, magnitude)
    store<u8>(quarter++, large ? QUARTER_CODES : 0)
  }
  if (!(most / 6 <= 448)) return false
  from = valuesAt
  quarter = offsetsAt
  let to = codesAt
  for (let at = stepsAt; at < end; at += 16, from += 4 * SUB_BYTES, to += NV_BYTES) {
    const magnitudes = v128.load(at)
    let codes = toScales(f32x4.div(magnitudes, f32x4.splat(6)))
    const d = fromF8(codes)
    if (fourOverSix) {
      const second = f32x4.div(magnitudes, f32x4.splat(4))
      const four = toScales(f32x4.min(second, f32x4.splat(448)))
      const e = fromF8(four)
      // A second scale above 448 is none.
      const is = f32x4.le(second, f32x4.splat(448))
      const first = packBetter(from, i32x4.shuffle(d, d, 0, 0, 0, 0), i32x4.shuffle(e, e, 0, 0, 0, 0), i32x4.shuffle(is, is, 0, 0, 0, 0), to + 4)
      const next = packBetter(from + SUB_BYTES, i32x4.shuffle(d, d, 1, 1, 1, 1), i32x4.shuffle(e, e, 1, 1, 1, 1), i32x4.shuffle(is, is, 1, 1, 1, 1), to + 12)
      const third = packBetter(from + 2 * SUB_BYTES, i32x4.shuffle(d, d, 2, 2, 2, 2), i32x4.shuffle(e, e, 2, 2, 2, 2), i32x4.shuffle(is, is, 2, 2, 2, 2), to + 20)
      const last = packBetter(from + 3 * SUB_BYTES, i32x4.shuffle(d, d, 3, 3, 3, 3), i32x4.shuffle(e, e, 3, 3, 3, 3), i32x4.shuffle(is, is, 3, 3, 3, 3), to + 28)
      codes = v128.bitselect(four, codes, i64x2.shuffle(i32x4.shuffle(first, next, 0, 4, 0, 4), i32x4.shuffle(third, last, 0, 4, 0, 4), 0, 2))
    } else {
      packSub(from, i32x4.shuffle(d, d, 0, 0, 0, 0), to + 4)
      packSub(from + SUB_BYTES, i32x4.shuffle(d, d, 1, 1, 1, 1), to + 12)
      packSub(from + 2 * SUB_BYTES, i32x4.shuffle(d, d, 2, 2, 2, 2), to + 20)
      packSub(from + 3 * SUB_BYTES, i32x4.shuffle(d, d, 3, 3, 3, 3), to + 28)
    }
    const words = i16x8.narrow_i32x4_s(codes, codes)
    v128.store_lane<u32>(to, i8x16.add(i8x16.narrow_i16x8_u(words, words), v128.load_zero<u32>(quarter)), 0)
    quarter += 4
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

/** Divides sixteen values in place. */
// @ts-ignore: decorator
@inline
function divide(at: usize, by: v128): void {
  for (let k: usize = 0; k < SUB_BYTES; k += 16) v128.store(at + k, f32x4.div(v128.load(at + k), by))
}

/** Packs sixteen codes under the scale of less squared error, the first where there is no second one or it loses as much. Returns a mask: all bits for the second. */
function packBetter(from: usize, six: v128, four: v128, isFour: v128, to: usize): v128 {
  const a = upperHalves(v128.load(from), v128.load(from, 16))
  const b = upperHalves(v128.load(from, 32), v128.load(from, 48))
  const codes6 = magnitudeCodes(a, b, six)
  const codes4 = magnitudeCodes(a, b, four)
  const error6 = squares(from, codes6, six)
  const error4 = squares(from, codes4, four)
  // (0 + 1) + (2 + 3) of the lanes of both.
  const pairs = f32x4.add(i32x4.shuffle(error6, error4, 0, 2, 4, 6), i32x4.shuffle(error6, error4, 1, 3, 5, 7))
  const totals = f32x4.add(pairs, i32x4.shuffle(pairs, pairs, 1, 0, 3, 2))
  const better = v128.and(isFour, f32x4.lt(i32x4.shuffle(totals, totals, 2, 2, 2, 2), i32x4.shuffle(totals, totals, 0, 0, 0, 0)))
  pack(withSigns(from, v128.bitselect(codes4, codes6, better)), to)
  return better
}

/** Squared errors of sixteen values whose magnitudes have these codes under a scale, value i in lane i % 4. */
// @ts-ignore: decorator
@inline
function squares(at: usize, codes: v128, d: v128): v128 {
  const levels = i8x16.swizzle(i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0), codes)
  const low = i16x8.extend_low_i8x16_s(levels)
  const high = i16x8.extend_high_i8x16_s(levels)
  // Levels are twice the numbers, so that they are whole.
  const half = f32x4.mul(d, f32x4.splat(0.5))
  const first = f32x4.add(square(v128.load(at), i32x4.extend_low_i16x8_s(low), half), square(v128.load(at, 16), i32x4.extend_high_i16x8_s(low), half))
  return f32x4.add(f32x4.add(first, square(v128.load(at, 32), i32x4.extend_low_i16x8_s(high), half)), square(v128.load(at, 48), i32x4.extend_high_i16x8_s(high), half))
}

// @ts-ignore: decorator
@inline
function square(x: v128, level: v128, half: v128): v128 {
  const error = f32x4.sub(f32x4.abs(x), f32x4.mul(f32x4.convert_i32x4_s(level), half))
  return f32x4.mul(error, error)
}

// @ts-ignore: decorator
@inline
function packSub(from: usize, d: v128, to: usize): void {
  pack(sixteen(from, d), to)
}

/** Packs sixteen codes: byte j with the j-th in its low half and the (j + 8)-th in its high half. */
// @ts-ignore: decorator
@inline
function pack(codes: v128, to: usize): void {
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
