import { findRange, firstOf, largestMagnitude, least, most, total } from './extremes'
import { special16, toF16 } from './float16'
import { codesAt, offsetsAt, scalesAt, stepsAt, valuesAt, zerosAt } from './memory'
import { readScales } from './scales'

/* The cache types of ggml, blocks of 32 values: core/kernels/blocks.ts says what they are. Tiles are gone over in turns, as in groups.ts. */

const BLOCK_BYTES: usize = 128

/** 2^23: added to a whole number from 0 on, or 1.5 * 2^23 to one of either sign, it leaves that in the low bits. */
const WHOLE: f32 = 8388608
const SIGNED: f32 = 12582912
const SIGNED_BITS: i32 = 0x4b400000
/** The F32 below one half: added to a magnitude before cutting off, it rounds halves up and nothing below them. */
const BELOW_HALF: f32 = 0.49999997

/** Encodes values to blocks of 4, 5 or 8 bits. False where they cannot be: for a NaN, an infinity or a scale or minimum beyond F16. */
export function quantizeBlocks(blocks: i32, bits: i32, affine: bool): bool {
  if (bits === 8) {
    let from = valuesAt
    for (let at: usize = 0; at < <usize>blocks << 2; at += 4, from += BLOCK_BYTES) store<f32>(stepsAt + at, largestMagnitude(from, from + BLOCK_BYTES))
    if (!findScales(blocks, 127, false)) return false
    packQ8(blocks)
    return true
  }
  const divisor: f32 = affine ? <f32>((1 << bits) - 1) : -(<f32>(1 << (bits - 1)))
  if (!findSpans(blocks, affine) || !findScales(blocks, divisor, affine)) return false
  if (bits === 4) packNibbles(blocks, 4, affine)
  else packNibbles(blocks, 5, affine)
  return true
}

/** Notes as each block's step the range of an affine one, else the first value of largest magnitude; as its offset the minimum, else 0. False where a value is not finite. */
export function findSpans(blocks: i32, affine: bool): bool {
  let sum: f32 = 0
  let from = valuesAt
  for (let at: usize = 0; at < <usize>blocks << 2; at += 4, from += BLOCK_BYTES) {
    findRange(from, from + BLOCK_BYTES)
    sum += total
    if (affine) {
      store<f32>(stepsAt + at, abs(most - least))
      store<f32>(offsetsAt + at, least === 0 ? firstOf(from, 0) : least)
    } else {
      // By a mask: a branch on which of two random magnitudes is larger is guessed wrong half the time.
      const negative = -i32(most < -least)
      store<i32>(stepsAt + at, (reinterpret<i32>(least) & negative) | (reinterpret<i32>(most) & ~negative))
      if (most === -least) store<f32>(stepsAt + at, most === 0 ? 0 : firstOf(from, most))
      store<f32>(offsetsAt + at, 0)
    }
  }
  return sum - sum === 0
}

/** Makes scales of the steps, F16 for the block, and leaves as steps their inverses in F32: 0 where there is none. False where F16 cannot hold a scale or minimum. */
function findScales(blocks: i32, divisor: f32, affine: bool): bool {
  let special = i32x4.splat(0)
  // Four at a time: what stands beyond the last must not look like a fault.
  v128.store(stepsAt + (<usize>blocks << 2), special)
  v128.store(offsetsAt + (<usize>blocks << 2), special)
  for (let block: usize = 0; block < <usize>blocks; block += 4) {
    const d = f32x4.div(v128.load(stepsAt + (block << 2)), f32x4.splat(divisor))
    const scale = toF16(d)
    special = v128.or(special, special16(scale))
    v128.store_lane<u64>(scalesAt + (block << 1), i16x8.narrow_i32x4_u(scale, scale), 0)
    const inverse = f32x4.div(f32x4.splat(1), d)
    v128.store(stepsAt + (block << 2), v128.and(inverse, f32x4.lt(f32x4.abs(inverse), i32x4.splat(0x7f800000))))
    if (!affine) continue
    const minimum = toF16(v128.load(offsetsAt + (block << 2)))
    special = v128.or(special, special16(minimum))
    v128.store_lane<u64>(zerosAt + (block << 1), i16x8.narrow_i32x4_u(minimum, minimum), 0)
  }
  return !v128.any_true(special)
}

function packQ8(blocks: i32): void {
  let from = valuesAt
  let to = codesAt
  for (let block: usize = 0; block < <usize>blocks; block++, from += BLOCK_BYTES, to += 34) {
    const inverse = v128.load_splat<f32>(stepsAt + (block << 2))
    store<u16>(to, load<u16>(scalesAt + (block << 1)))
    v128.store(to + 2, i8x16.narrow_i16x8_s(eightQ8(from, inverse), eightQ8(from + 32, inverse)))
    v128.store(to + 18, i8x16.narrow_i16x8_s(eightQ8(from + 64, inverse), eightQ8(from + 96, inverse)))
  }
}

// @ts-ignore: decorator
@inline
function eightQ8(at: usize, inverse: v128): v128 {
  return i16x8.narrow_i32x4_s(fourQ8(v128.load(at), inverse), fourQ8(v128.load(at, 16), inverse))
}

/** Rounded to nearest, halves away from zero. */
// @ts-ignore: decorator
@inline
function fourQ8(x: v128, inverse: v128): v128 {
  const product = f32x4.mul(x, inverse)
  const half = v128.or(v128.and(product, i32x4.splat(i32.MIN_VALUE)), f32x4.splat(BELOW_HALF))
  return i32x4.sub(f32x4.add(f32x4.trunc(f32x4.add(product, half)), f32x4.splat(SIGNED)), i32x4.splat(SIGNED_BITS))
}

/** Bytes of a block before its nibbles, and of all of it. */
// @ts-ignore: decorator
@inline
function nibblesAt(bits: i32, affine: bool): usize {
  return (affine ? 4 : 2) + (bits === 5 ? 4 : 0)
}

// @ts-ignore: decorator
@inline
function packNibbles(blocks: i32, bits: i32, affine: bool): void {
  const half = f32x4.splat(affine ? 0.5 : <f32>(1 << (bits - 1)) + 0.5)
  const top = i8x16.splat(<i8>(((<i32>1) << bits) - 1))
  let from = valuesAt
  let to = codesAt
  for (let block: usize = 0; block < <usize>blocks; block++, from += BLOCK_BYTES) {
    const inverse = v128.load_splat<f32>(stepsAt + (block << 2))
    const m = v128.load_splat<f32>(offsetsAt + (block << 2))
    store<u16>(to, load<u16>(scalesAt + (block << 1)))
    if (affine) store<u16>(to + 2, load<u16>(zerosAt + (block << 1)))
    const low = i8x16.min_u(sixteen(from, m, inverse, half), top)
    const high = i8x16.min_u(sixteen(from + 64, m, inverse, half), top)
    to += nibblesAt(bits, affine)
    if (bits === 5) {
      const fifths = i8x16.bitmask(i8x16.shl(low, 3)) | (i8x16.bitmask(i8x16.shl(high, 3)) << 16)
      store<i32>(to - 4, fifths)
      v128.store(to, v128.or(v128.and(low, i8x16.splat(15)), i8x16.shl(high, 4)))
    } else v128.store(to, v128.or(low, i16x8.shl(high, 4)))
    to += 16
  }
}

// @ts-ignore: decorator
@inline
function sixteen(at: usize, m: v128, inverse: v128, half: v128): v128 {
  const a = i16x8.narrow_i32x4_s(four(v128.load(at), m, inverse, half), four(v128.load(at, 16), m, inverse, half))
  const b = i16x8.narrow_i32x4_s(four(v128.load(at, 32), m, inverse, half), four(v128.load(at, 48), m, inverse, half))
  return i8x16.narrow_i16x8_u(a, b)
}

/** (x - m) / d + half, cut off: what is cut is not negative. */
// @ts-ignore: decorator
@inline
function four(x: v128, m: v128, inverse: v128, half: v128): v128 {
  const cut = f32x4.trunc(f32x4.add(f32x4.mul(f32x4.sub(x, m), inverse), half))
  return v128.and(f32x4.add(cut, f32x4.splat(WHOLE)), i32x4.splat(0xff))
}

/** Decodes blocks to values. Returns whether all scales and minima, and so all values, are finite. */
export function dequantizeBlocks(blocks: i32, bits: i32, affine: bool): bool {
  const stride: usize = bits === 8 ? 34 : nibblesAt(bits, affine) + 16
  let from = codesAt
  for (let at: usize = 0; at < <usize>blocks << 1; at += 2, from += stride) {
    store<u16>(scalesAt + at, load<u16>(from))
    if (affine) store<u16>(zerosAt + at, load<u16>(from + 2))
  }
  const finite = readScales(blocks, affine)
  if (bits === 8) unpackQ8(blocks)
  else if (bits === 5) unpackNibbles(blocks, 5, affine)
  else unpackNibbles(blocks, 4, affine)
  return finite
}

function unpackQ8(blocks: i32): void {
  let from = codesAt + 2
  let to = valuesAt
  for (let block: usize = 0; block < <usize>blocks; block++, from += 34, to += BLOCK_BYTES) {
    const d = v128.load_splat<f32>(stepsAt + (block << 2))
    scaled(to, v128.load_ext<i8>(from), d)
    scaled(to + 32, v128.load_ext<i8>(from, 8), d)
    scaled(to + 64, v128.load_ext<i8>(from, 16), d)
    scaled(to + 96, v128.load_ext<i8>(from, 24), d)
  }
}

// @ts-ignore: decorator
@inline
export function scaled(to: usize, q: v128, d: v128): void {
  v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(q)), d))
  v128.store(to + 16, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(q)), d))
}

// @ts-ignore: decorator
@inline
function unpackNibbles(blocks: i32, bits: i32, affine: bool): void {
  const middle = i8x16.splat(affine ? 0 : <i8>((<i32>1) << (bits - 1)))
  let from = codesAt
  let to = valuesAt
  for (let block: usize = 0; block < <usize>blocks; block++, to += BLOCK_BYTES) {
    const d = v128.load_splat<f32>(stepsAt + (block << 2))
    const m = v128.load_splat<f32>(offsetsAt + (block << 2))
    from += nibblesAt(bits, affine)
    const bytes = v128.load(from)
    let low = lowHalves(bytes)
    let high = highHalves(bytes)
    if (bits === 5) {
      const fifths = v128.load_splat<u32>(from - 4)
      low = v128.or(low, fifthOf(i8x16.shuffle(fifths, fifths, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)))
      high = v128.or(high, fifthOf(i8x16.shuffle(fifths, fifths, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3)))
    }
    restore(to, i8x16.sub(low, middle), d, m, affine)
    restore(to + 64, i8x16.sub(high, middle), d, m, affine)
    from += 16
  }
}

// @ts-ignore: decorator
@inline
export function lowHalves(bytes: v128): v128 {
  return v128.and(bytes, i8x16.splat(15))
}

// @ts-ignore: decorator
@inline
export function highHalves(bytes: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15))
}

/** 16 in each byte whose own bit, of eight in turn, is set. */
// @ts-ignore: decorator
@inline
function fifthOf(bytes: v128): v128 {
  const own = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128)
  return v128.and(i8x16.eq(v128.and(bytes, own), own), i8x16.splat(16))
}

/** Sixteen values q d, and + m where they have a minimum: without one not even the sign of a zero may change. */
// @ts-ignore: decorator
@inline
export function restore(to: usize, q: v128, d: v128, m: v128, affine: bool): void {
  const low = i16x8.extend_low_i8x16_s(q)
  const high = i16x8.extend_high_i8x16_s(q)
  if (!affine) {
    scaled(to, low, d)
    scaled(to + 32, high, d)
    return
  }
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), d), m))
  v128.store(to + 16, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), d), m))
  v128.store(to + 32, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), d), m))
  v128.store(to + 48, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), d), m))
}
