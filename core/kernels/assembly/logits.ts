import { codesAt, sumsAt, valuesAt } from './memory'

/* Sums over rows of logits, tile by tile: core/kernels/logits.ts says what they are. Value i goes to lane i % 4 of F64. */

// Each constant twice, to be loaded as a vector: V8 would build one from an immediate again at every use.
const PER_OCTAVE = memory.data<f64>([1.4426950408889634, 1.4426950408889634], 16)
const OCTAVE = memory.data<f64>([0.6931471805599453, 0.6931471805599453], 16)
/** 1.5 * 2^52: added to a number it rounds that to an integer and leaves it in the low bits. */
const ROUNDING = memory.data<f64>([6755399441055744, 6755399441055744], 16)
const LOWEST = memory.data<f64>([-700, -700], 16)
const ONE = memory.data<f64>([1, 1], 16)
const C2 = memory.data<f64>([0.5, 0.5], 16)
const C3 = memory.data<f64>([0.166666667191548, 0.166666667191548], 16)
const C4 = memory.data<f64>([0.04166666671913807, 0.04166666671913807], 16)
const C5 = memory.data<f64>([0.008333298413941455, 0.008333298413941455], 16)
const C6 = memory.data<f64>([0.0013888853979832356, 0.0013888853979832356], 16)
const C7 = memory.data<f64>([0.00019899332056564083, 0.00019899332056564083], 16)
const C8 = memory.data<f64>([2.485963629410833e-5, 2.485963629410833e-5], 16)

// @ts-ignore: decorator
@inline
function linear(constant: usize, factor: usize, r: v128): v128 {
  return f64x2.add(v128.load(constant), f64x2.mul(v128.load(factor), r))
}

/** e^x for x up to 0, of what is below -700 as of -700. */
// @ts-ignore: decorator
@inline
function exp(given: v128): v128 {
  const x = f64x2.pmax(v128.load(LOWEST), given)
  const rounded = f64x2.add(f64x2.mul(x, v128.load(PER_OCTAVE)), v128.load(ROUNDING))
  const r = f64x2.sub(x, f64x2.mul(f64x2.sub(rounded, v128.load(ROUNDING)), v128.load(OCTAVE)))
  // In an order whose steps wait for one another as little as may be; the twin has the same.
  const square = f64x2.mul(r, r)
  const low = f64x2.add(linear(C2, C3, r), f64x2.mul(square, linear(C4, C5, r)))
  const high = f64x2.add(linear(C6, C7, r), f64x2.mul(square, v128.load(C8)))
  const curve = f64x2.add(low, f64x2.mul(f64x2.mul(square, square), high))
  const p = f64x2.add(f64x2.add(v128.load(ONE), r), f64x2.mul(square, curve))
  return i64x2.add(p, i64x2.shl(rounded, 52))
}

// @ts-ignore: decorator
@inline
function upper(x: v128): v128 {
  return f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 2, 3))
}

/** Largest of `count` logits, NaN where one is not finite. */
export function largestLogit(count: i32): f32 {
  const end = valuesAt + (<usize>count << 2)
  v128.store(end, f32x4.splat(-f32.MAX_VALUE))
  const mask = i32x4.splat(0x7fffffff)
  let most = f32x4.splat(-f32.MAX_VALUE)
  let magnitude = i32x4.splat(0)
  for (let at = valuesAt; at < end; at += 16) {
    const z = v128.load(at)
    most = f32x4.pmax(most, z)
    magnitude = i32x4.max_s(magnitude, v128.and(z, mask))
  }
  if (v128.any_true(i32x4.ge_s(magnitude, i32x4.splat(0x7f800000)))) return NaN
  most = f32x4.pmax(most, i32x4.shuffle(most, most, 2, 3, 0, 1))
  return f32x4.extract_lane(f32x4.pmax(most, i32x4.shuffle(most, most, 1, 0, 3, 2)), 0)
}

/** Adds e^(z - shift) of `count` logits, a multiple of 4, to four lanes, F64 at sumsAt. */
export function addExps(count: i32, shift: f64): void {
  const end = valuesAt + (<usize>count << 2)
  const shifts = f64x2.splat(shift)
  let a = v128.load(sumsAt)
  let b = v128.load(sumsAt, 16)
  for (let at = valuesAt; at < end; at += 16) {
    const z = v128.load(at)
    a = f64x2.add(a, exp(f64x2.sub(f64x2.promote_low_f32x4(z), shifts)))
    b = f64x2.add(b, exp(f64x2.sub(upper(z), shifts)))
  }
  v128.store(sumsAt, a)
  v128.store(sumsAt, b, 16)
}

/**
 * Of `count` logits z, a multiple of 4, and known ones, which stand where codes else do, adds to four lanes of two sums, [2][4] F64 at sumsAt:
 * e^(z - shift) and e^(known - knownShift) (known - z).
 */
export function addComparison(count: i32, shift: f64, knownShift: f64): void {
  const bytes = <usize>count << 2
  const shifts = f64x2.splat(shift)
  const knownShifts = f64x2.splat(knownShift)
  let sumA = v128.load(sumsAt)
  let sumB = v128.load(sumsAt, 16)
  let crossA = v128.load(sumsAt, 32)
  let crossB = v128.load(sumsAt, 48)
  for (let at: usize = 0; at < bytes; at += 16) {
    const z = v128.load(valuesAt + at)
    const known = v128.load(codesAt + at)
    const zA = f64x2.promote_low_f32x4(z)
    const knownA = f64x2.promote_low_f32x4(known)
    sumA = f64x2.add(sumA, exp(f64x2.sub(zA, shifts)))
    crossA = f64x2.add(crossA, f64x2.mul(exp(f64x2.sub(knownA, knownShifts)), f64x2.sub(knownA, zA)))
    const zB = upper(z)
    const knownB = upper(known)
    sumB = f64x2.add(sumB, exp(f64x2.sub(zB, shifts)))
    crossB = f64x2.add(crossB, f64x2.mul(exp(f64x2.sub(knownB, knownShifts)), f64x2.sub(knownB, zB)))
  }
  v128.store(sumsAt, sumA)
  v128.store(sumsAt, sumB, 16)
  v128.store(sumsAt, crossA, 32)
  v128.store(sumsAt, crossB, 48)
}
