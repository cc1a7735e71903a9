/* F16, four at a time in 32-bit lanes: as f32ToF16 and f16ToF32 of core/bytes/float.ts. */

/** F16 bits of four F32, to nearest, ties to even; infinity from 65520 on, 0x7e00 for every NaN. */
// @ts-ignore: decorator
@inline
export function toF16(x: v128): v128 {
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff))
  const sign = v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000))
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1))
  const normal = i32x4.shr_u(i32x4.add(i32x4.sub(magnitude, i32x4.splat(0x38000000 - 0xfff)), odd), 13)
  // Added to 0.5, whose last place is the step of F16's subnormals, a value is rounded to that step.
  const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(0x3f000000))
  const code = v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(0x38800000)))
  const signed = v128.or(i32x4.min_s(code, i32x4.splat(0x7c00)), sign)
  return v128.bitselect(i32x4.splat(0x7e00), signed, i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)))
}

/** Values of four F16, each in the low half of its lane. */
// @ts-ignore: decorator
@inline
export function fromF16(bits: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7fff))
  const sign = i32x4.shl(i32x4.shr_u(bits, 15), 31)
  const special = v128.and(i32x4.gt_s(magnitude, i32x4.splat(0x7bff)), i32x4.splat(0x7f800000))
  // The exponent is 112 too small, subnormals included, until the multiplication.
  const value = f32x4.mul(i32x4.shl(magnitude, 13), i32x4.splat(0x77800000))
  return v128.or(v128.or(value, special), sign)
}

/** Lanes of ones where F16 bits are infinite or NaN. */
// @ts-ignore: decorator
@inline
export function special16(bits: v128): v128 {
  return i32x4.gt_s(v128.and(bits, i32x4.splat(0x7fff)), i32x4.splat(0x7bff))
}
