import { findSpans, highHalves, lowHalves, restore } from './blocks'
import { special16, toF16 } from './float16'
import { codesAt, offsetsAt, scalesAt, stepsAt, termsAt, valuesAt } from './memory'
import { readScales } from './scales'

/* `iq4_nl`: core/kernels/iq4nl.ts says what it is. */

const BLOCK_BYTES: usize = 128
const CODED_BYTES: usize = 18
/** 1.5 * 2^23: added to a whole number it leaves that in the low bits. */
const SIGNED: f32 = 12582912
const SIGNED_BITS: i32 = 0x4b400000
const LEAST: f32 = 1e-15

/** Encodes values to blocks. False where they cannot be: for a NaN, an infinity or a scale beyond F16. */
export function quantizeIq4nl(blocks: i32): bool {
  if (!findSpans(blocks, false)) return false
  let from = valuesAt
  let to = codesAt + 2
  for (let at: usize = 0; at < <usize>blocks << 2; at += 4, from += BLOCK_BYTES, to += CODED_BYTES) {
    const extreme = load<f32>(stepsAt + at)
    const isZero = abs(extreme) < LEAST
    const inverse = f32x4.splat(isZero ? 0 : <f32>1 / (extreme / <f32>-127))
    const low = sixteen(from, inverse)
    const high = sixteen(from + 64, inverse)
    v128.store(to, v128.or(low, i16x8.shl(high, 4)))
    findTerms(from, low, termsAt)
    findTerms(from + 64, high, termsAt + 64)
    let product: f32 = 0
    let square: f32 = 0
    // In order, as C sums them: blocks do not wait for one another.
    for (let term = termsAt; term < termsAt + BLOCK_BYTES; term += 16) {
      product += load<f32>(term)
      square += load<f32>(term, BLOCK_BYTES)
      product += load<f32>(term, 4)
      square += load<f32>(term, BLOCK_BYTES + 4)
      product += load<f32>(term, 8)
      square += load<f32>(term, BLOCK_BYTES + 8)
      product += load<f32>(term, 12)
      square += load<f32>(term, BLOCK_BYTES + 12)
    }
    store<f32>(stepsAt + at, isZero ? 0 : product)
    store<f32>(offsetsAt + at, isZero ? 1 : square)
  }
  return storeScales(blocks)
}

/** Stores each block's scale, product over square. False where F16 does not hold one. */
function storeScales(blocks: i32): bool {
  let special = i32x4.splat(0)
  v128.store(stepsAt + (<usize>blocks << 2), special)
  v128.store(offsetsAt + (<usize>blocks << 2), f32x4.splat(1))
  for (let at: usize = 0; at < <usize>blocks; at += 4) {
    const scale = toF16(f32x4.div(v128.load(stepsAt + (at << 2)), v128.load(offsetsAt + (at << 2))))
    special = v128.or(special, special16(scale))
    v128.store_lane<u64>(scalesAt + (at << 1), i16x8.narrow_i32x4_u(scale, scale), 0)
  }
  let to = codesAt
  for (let at: usize = 0; at < <usize>blocks << 1; at += 2, to += CODED_BYTES) store<u16>(to, load<u16>(scalesAt + at))
  return !v128.any_true(special)
}

/** Sixteen codes: how many middles between levels are not above x / d. Whole middles are compared with its floor, those with a half with the floor of it and a half. */
// @ts-ignore: decorator
@inline
function sixteen(at: usize, inverse: v128): v128 {
  const a = f32x4.mul(v128.load(at), inverse)
  const b = f32x4.mul(v128.load(at, 16), inverse)
  const c = f32x4.mul(v128.load(at, 32), inverse)
  const d = f32x4.mul(v128.load(at, 48), inverse)
  const half = f32x4.splat(0.5)
  const whole = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(floored(a), floored(b)), i16x8.narrow_i32x4_s(floored(c), floored(d)))
  const upper = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(floored(f32x4.add(a, half)), floored(f32x4.add(b, half))), i16x8.narrow_i32x4_s(floored(f32x4.add(c, half)), floored(f32x4.add(d, half))))
  let below = i8x16.add(i8x16.ge_s(whole, i8x16.splat(-74)), i8x16.ge_s(whole, i8x16.splat(-57)))
  below = i8x16.add(below, i8x16.ge_s(whole, i8x16.splat(-42)))
  below = i8x16.add(below, i8x16.ge_s(whole, i8x16.splat(-16)))
  below = i8x16.add(below, i8x16.ge_s(whole, i8x16.splat(7)))
  below = i8x16.add(below, i8x16.ge_s(whole, i8x16.splat(19)))
  below = i8x16.add(below, i8x16.ge_s(whole, i8x16.splat(61)))
  below = i8x16.add(below, i8x16.ge_s(whole, i8x16.splat(79)))
  below = i8x16.add(below, i8x16.ge_s(whole, i8x16.splat(101)))
  let others = i8x16.add(i8x16.ge_s(upper, i8x16.splat(-115)), i8x16.ge_s(upper, i8x16.splat(-93)))
  others = i8x16.add(others, i8x16.ge_s(upper, i8x16.splat(-28)))
  others = i8x16.add(others, i8x16.ge_s(upper, i8x16.splat(-4)))
  others = i8x16.add(others, i8x16.ge_s(upper, i8x16.splat(32)))
  others = i8x16.add(others, i8x16.ge_s(upper, i8x16.splat(46)))
  return i8x16.neg(i8x16.add(below, others))
}

// @ts-ignore: decorator
@inline
function floored(x: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.floor(x), f32x4.splat(SIGNED)), i32x4.splat(SIGNED_BITS))
}

// @ts-ignore: decorator
@inline
function levelsOf(codes: v128): v128 {
  return i8x16.swizzle(i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113), codes)
}

/** x² q x and, BLOCK_BYTES further, x² q q of sixteen values. */
// @ts-ignore: decorator
@inline
function findTerms(from: usize, codes: v128, to: usize): void {
  const levels = levelsOf(codes)
  const low = i16x8.extend_low_i8x16_s(levels)
  const high = i16x8.extend_high_i8x16_s(levels)
  fourTerms(v128.load(from), i32x4.extend_low_i16x8_s(low), to)
  fourTerms(v128.load(from, 16), i32x4.extend_high_i16x8_s(low), to + 16)
  fourTerms(v128.load(from, 32), i32x4.extend_low_i16x8_s(high), to + 32)
  fourTerms(v128.load(from, 48), i32x4.extend_high_i16x8_s(high), to + 48)
}

// @ts-ignore: decorator
@inline
function fourTerms(x: v128, level: v128, to: usize): void {
  const q = f32x4.convert_i32x4_s(level)
  const weighted = f32x4.mul(f32x4.mul(x, x), q)
  v128.store(to, f32x4.mul(weighted, x))
  v128.store(to, f32x4.mul(weighted, q), BLOCK_BYTES)
}

/** Decodes blocks to values. Returns whether all scales, and so all values, are finite. */
export function dequantizeIq4nl(blocks: i32): bool {
  let from = codesAt
  for (let at: usize = 0; at < <usize>blocks << 1; at += 2, from += CODED_BYTES) store<u16>(scalesAt + at, load<u16>(from))
  const finite = readScales(blocks, false)
  from = codesAt + 2
  let to = valuesAt
  for (let at: usize = 0; at < <usize>blocks << 2; at += 4, from += CODED_BYTES, to += BLOCK_BYTES) {
    const d = v128.load_splat<f32>(stepsAt + at)
    const bytes = v128.load(from)
    restore(to, levelsOf(lowHalves(bytes)), d, d, false)
    restore(to + 64, levelsOf(highHalves(bytes)), d, d, false)
  }
  return finite
}
