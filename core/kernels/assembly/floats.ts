import { fromF16, special16, toF16 } from './float16'
import { clearAfter, codesAt, valuesAt } from './memory'

/* Whole tiles to and from F16, BF16 and F8 E4M3, as core/bytes/float.ts. Turns are of sixteen: behind the last value or code zeros are put, which are no fault. */

const MAGNITUDE: i32 = 0x7fffffff
const F32_INFINITY: i32 = 0x7f800000

/** Whether `count` values are all finite. */
export function allFinite(count: i32): bool {
  const end = valuesAt + (<usize>count << 2)
  clearAfter(end)
  const mask = i32x4.splat(MAGNITUDE)
  let a = i32x4.splat(0)
  let b = a
  for (let at = valuesAt; at < end; at += 64) {
    a = i32x4.max_s(a, i32x4.max_s(v128.and(v128.load(at), mask), v128.and(v128.load(at, 16), mask)))
    b = i32x4.max_s(b, i32x4.max_s(v128.and(v128.load(at, 32), mask), v128.and(v128.load(at, 48), mask)))
  }
  return !v128.any_true(i32x4.ge_s(i32x4.max_s(a, b), i32x4.splat(F32_INFINITY)))
}

/** Encodes `count` values. Returns whether all codes are finite. */
export function encodeF16(count: i32): bool {
  const end = valuesAt + (<usize>count << 2)
  clearAfter(end)
  let special = i32x4.splat(0)
  for (let at = valuesAt, to = codesAt; at < end; at += 32, to += 16) {
    const a = toF16(v128.load(at))
    const b = toF16(v128.load(at, 16))
    special = v128.or(special, v128.or(special16(a), special16(b)))
    v128.store(to, i16x8.narrow_i32x4_u(a, b))
  }
  return !v128.any_true(special)
}

/** Decodes `count` codes. Returns whether all are finite. */
export function decodeF16(count: i32): bool {
  const end = codesAt + (<usize>count << 1)
  clearAfter(end)
  let special = i32x4.splat(0)
  for (let at = codesAt, to = valuesAt; at < end; at += 16, to += 32) {
    const a = v128.load_ext<u16>(at)
    const b = v128.load_ext<u16>(at, 8)
    special = v128.or(special, v128.or(special16(a), special16(b)))
    v128.store(to, fromF16(a))
    v128.store(to + 16, fromF16(b))
  }
  return !v128.any_true(special)
}

/** Encodes `count` values. Returns whether all codes are finite. */
export function encodeBf16(count: i32): bool {
  const end = valuesAt + (<usize>count << 2)
  clearAfter(end)
  let largest = i32x4.splat(0)
  for (let at = valuesAt, to = codesAt; at < end; at += 32, to += 16) {
    const a = toBf16(v128.load(at))
    const b = toBf16(v128.load(at, 16))
    largest = i32x4.max_s(largest, i32x4.max_s(v128.and(a, i32x4.splat(0x7fff)), v128.and(b, i32x4.splat(0x7fff))))
    v128.store(to, i16x8.narrow_i32x4_u(a, b))
  }
  return !v128.any_true(i32x4.ge_s(largest, i32x4.splat(0x7f80)))
}

// @ts-ignore: decorator
@inline
function toBf16(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1))
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), odd), 16)
  return v128.bitselect(i32x4.splat(0x7fc0), rounded, i32x4.gt_s(v128.and(x, i32x4.splat(MAGNITUDE)), i32x4.splat(F32_INFINITY)))
}

/** Decodes `count` codes. Returns whether all are finite. */
export function decodeBf16(count: i32): bool {
  const end = codesAt + (<usize>count << 1)
  clearAfter(end)
  let largest = i32x4.splat(0)
  for (let at = codesAt, to = valuesAt; at < end; at += 16, to += 32) {
    const a = i32x4.shl(v128.load_ext<u16>(at), 16)
    const b = i32x4.shl(v128.load_ext<u16>(at, 8), 16)
    largest = i32x4.max_s(largest, i32x4.max_s(v128.and(a, i32x4.splat(MAGNITUDE)), v128.and(b, i32x4.splat(MAGNITUDE))))
    v128.store(to, a)
    v128.store(to + 16, b)
  }
  return !v128.any_true(i32x4.ge_s(largest, i32x4.splat(F32_INFINITY)))
}

/** Encodes `count` values, saturating at 448. Returns whether all were finite. */
export function encodeF8e4m3(count: i32): bool {
  const finite = allFinite(count)
  const end = valuesAt + (<usize>count << 2)
  for (let at = valuesAt, to = codesAt; at < end; at += 64, to += 16) {
    const a = i16x8.narrow_i32x4_s(toF8(v128.load(at)), toF8(v128.load(at, 16)))
    const b = i16x8.narrow_i32x4_s(toF8(v128.load(at, 32)), toF8(v128.load(at, 48)))
    v128.store(to, i8x16.narrow_i16x8_u(a, b))
  }
  return finite
}

// @ts-ignore: decorator
@inline
function toF8(x: v128): v128 {
  const magnitude = v128.and(x, i32x4.splat(MAGNITUDE))
  const sign = v128.and(i32x4.shr_u(x, 24), i32x4.splat(0x80))
  const odd = v128.and(i32x4.shr_u(magnitude, 20), i32x4.splat(1))
  const normal = i32x4.shr_u(i32x4.add(i32x4.sub(magnitude, i32x4.splat(0x3c000000 - 0x7ffff)), odd), 20)
  // Added to 2^14, whose last place is the step of the subnormals, 2^-9, a value is rounded to that step.
  const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(16384)), i32x4.splat(0x46800000))
  const code = v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(0x3c800000)))
  const signed = v128.or(i32x4.min_s(code, i32x4.splat(0x7e)), sign)
  return v128.bitselect(i32x4.splat(0x7f), signed, i32x4.gt_s(magnitude, i32x4.splat(F32_INFINITY)))
}

/** Decodes `count` codes. Returns whether all are finite. */
export function decodeF8e4m3(count: i32): bool {
  const end = codesAt + <usize>count
  clearAfter(end)
  let nan = i32x4.splat(0)
  for (let at = codesAt, to = valuesAt; at < end; at += 8, to += 32) {
    const codes = v128.load_ext<u8>(at)
    nan = v128.or(nan, i16x8.eq(v128.and(codes, i16x8.splat(0x7f)), i16x8.splat(0x7f)))
    v128.store(to, fromF8(i32x4.extend_low_i16x8_u(codes)))
    v128.store(to + 16, fromF8(i32x4.extend_high_i16x8_u(codes)))
  }
  return !v128.any_true(nan)
}

// @ts-ignore: decorator
@inline
export function fromF8(code: v128): v128 {
  const magnitude = v128.and(code, i32x4.splat(0x7f))
  const sign = i32x4.shl(i32x4.shr_u(code, 7), 31)
  const normal = i32x4.add(i32x4.shl(magnitude, 20), i32x4.splat(0x3c000000))
  const small = f32x4.mul(f32x4.convert_i32x4_s(magnitude), f32x4.splat(1.0 / 512))
  const value = v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(8)))
  return v128.or(v128.or(value, sign), v128.and(i32x4.eq(magnitude, i32x4.splat(0x7f)), i32x4.splat(0x7fc00000)))
}

/** Encodes `count` values, saturating at 57344. Returns whether all were finite. */
export function encodeF8e5m2(count: i32): bool {
  const finite = allFinite(count)
  const end = valuesAt + (<usize>count << 2)
  for (let at = valuesAt, to = codesAt; at < end; at += 64, to += 16) {
    const a = i16x8.narrow_i32x4_s(toF8e5m2(v128.load(at)), toF8e5m2(v128.load(at, 16)))
    const b = i16x8.narrow_i32x4_s(toF8e5m2(v128.load(at, 32)), toF8e5m2(v128.load(at, 48)))
    v128.store(to, i8x16.narrow_i16x8_u(a, b))
  }
  return finite
}

// @ts-ignore: decorator
@inline
function toF8e5m2(x: v128): v128 {
  const magnitude = v128.and(x, i32x4.splat(MAGNITUDE))
  const sign = v128.and(i32x4.shr_u(x, 24), i32x4.splat(0x80))
  const odd = v128.and(i32x4.shr_u(magnitude, 21), i32x4.splat(1))
  const normal = i32x4.shr_u(i32x4.add(i32x4.sub(magnitude, i32x4.splat(0x38000000 - 0xfffff)), odd), 21)
  // Added to 2^7, whose last place is the step of the subnormals, 2^-16, a value is rounded to that step.
  const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(128)), i32x4.splat(0x43000000))
  const code = v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(0x38800000)))
  const signed = v128.or(i32x4.min_s(code, i32x4.splat(0x7b)), sign)
  return v128.bitselect(i32x4.splat(0x7e), signed, i32x4.gt_s(magnitude, i32x4.splat(F32_INFINITY)))
}

/** Decodes `count` codes, each the upper half of an F16. Returns whether all are finite. */
export function decodeF8e5m2(count: i32): bool {
  const end = codesAt + <usize>count
  clearAfter(end)
  let special = i32x4.splat(0)
  for (let at = codesAt, to = valuesAt; at < end; at += 8, to += 32) {
    const codes = i16x8.shl(v128.load_ext<u8>(at), 8)
    const a = i32x4.extend_low_i16x8_u(codes)
    const b = i32x4.extend_high_i16x8_u(codes)
    special = v128.or(special, v128.or(special16(a), special16(b)))
    v128.store(to, fromF16(a))
    v128.store(to + 16, fromF16(b))
  }
  return !v128.any_true(special)
}
