/* Extremes of runs of F32; lengths are multiples of 32 bytes. */

/** Largest |x| of [from, end); a NaN where there is one, since magnitudes are compared as the integers that their bits are. */
// @ts-ignore: decorator
@inline
export function largestMagnitude(from: usize, end: usize): f32 {
  const mask = i32x4.splat(0x7fffffff)
  let a = i32x4.splat(0)
  let b = i32x4.splat(0)
  for (let at = from; at < end; at += 32) {
    a = i32x4.max_s(a, v128.and(v128.load(at), mask))
    b = i32x4.max_s(b, v128.and(v128.load(at, 16), mask))
  }
  a = i32x4.max_s(a, b)
  a = i32x4.max_s(a, i32x4.shuffle(a, a, 2, 3, 0, 1))
  a = i32x4.max_s(a, i32x4.shuffle(a, a, 1, 0, 3, 2))
  return reinterpret<f32>(i32x4.extract_lane(a, 0))
}

/** What the last findRange found: the least and the largest value, and a sum that is not finite where a value is not. */
export let least: f32 = 0
export let most: f32 = 0
export let total: f32 = 0

/** The range of [from, end). Of equal zeros either may be found. */
// @ts-ignore: decorator
@inline
export function findRange(from: usize, end: usize): void {
  let low = v128.load(from)
  let high = low
  let sum = f32x4.splat(0)
  for (let at = from; at < end; at += 32) {
    const x = v128.load(at)
    const y = v128.load(at, 16)
    low = f32x4.pmin(low, f32x4.pmin(x, y))
    high = f32x4.pmax(high, f32x4.pmax(x, y))
    sum = f32x4.add(sum, f32x4.add(x, y))
  }
  low = f32x4.pmin(low, i32x4.shuffle(low, low, 2, 3, 0, 1))
  low = f32x4.pmin(low, i32x4.shuffle(low, low, 1, 0, 3, 2))
  high = f32x4.pmax(high, i32x4.shuffle(high, high, 2, 3, 0, 1))
  high = f32x4.pmax(high, i32x4.shuffle(high, high, 1, 0, 3, 2))
  sum = f32x4.add(sum, i32x4.shuffle(sum, sum, 2, 3, 0, 1))
  least = f32x4.extract_lane(low, 0)
  most = f32x4.extract_lane(high, 0)
  total = f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1)
}

/** The first value of a run with this magnitude, which one has. */
export function firstOf(from: usize, magnitude: f32): f32 {
  let at = from
  while (abs(load<f32>(at)) !== magnitude) at += 4
  return load<f32>(at)
}
