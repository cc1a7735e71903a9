import { signed, signedTransform, transform } from './hadamard'
import { codesAt, polarBoundsAt, rowAt, signsAt, stepsAt, turnsAt, valuesAt } from './memory'
import { readScales } from './scales'
import { findNorms } from './turbo'

/* Polar coordinates: core/kernels/polar.ts says what they are. The host puts the signs of a row, the bounds and the turns. */

/** Codes of the four levels in the codes' region. */
export const angles1At: usize = codesAt
export const angles2At: usize = codesAt + 8192
export const angles3At: usize = codesAt + 16384
export const angles4At: usize = codesAt + 24576
/** Bytes of the turns of the first level, and of each other one: two F64 a code. */
const FIRST_TURNS: usize = 256
const TURNS: usize = 64

/** Encodes values to angles and, as scales, radii. False where they cannot be: for a NaN, an infinity or a radius beyond F16. */
export function quantizePolar(rows: i32, headDim: i32): bool {
  const rowBytes: usize = (<usize>headDim) << 2
  const root = Math.sqrt(<f64>headDim)
  const last = (rowBytes >> 6) - 1
  let block: usize = 0
  let three = angles3At
  let four = angles4At
  for (let row: usize = 0; row < <usize>rows; row++) {
    signedTransform(valuesAt + row * rowBytes, signsAt, rowAt, rowBytes)
    let threes: u32 = 0
    let fours: u32 = 0
    for (let k: usize = 0; k <= last; k++, block++) {
      const from = rowAt + (k << 6)
      const x = i32x4.shuffle(v128.load(from), v128.load(from, 16), 0, 2, 4, 6)
      const y = i32x4.shuffle(v128.load(from), v128.load(from, 16), 1, 3, 5, 7)
      const z = i32x4.shuffle(v128.load(from, 32), v128.load(from, 48), 0, 2, 4, 6)
      const w = i32x4.shuffle(v128.load(from, 32), v128.load(from, 48), 1, 3, 5, 7)
      // Eight codes of 4 bits, each in 16 bits, joined by twos.
      const nibbles = i32x4.dot_i16x8_s(i16x8.narrow_i32x4_s(firstCodes(x, y), firstCodes(z, w)), i32x4.splat(0x100001))
      const bytes = i16x8.narrow_i32x4_s(nibbles, nibbles)
      v128.store_lane<u32>(angles1At + (block << 2), i8x16.narrow_i16x8_u(bytes, bytes), 0)
      const a = radius(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y))
      const b = radius(upper(x), upper(y))
      const c = radius(f64x2.promote_low_f32x4(z), f64x2.promote_low_f32x4(w))
      const d = radius(upper(z), upper(w))
      const low = radius(firsts(a, b), seconds(a, b))
      const high = radius(firsts(c, d), seconds(c, d))
      store<u8>(angles2At + block, <u8>(pairCodes(firsts(a, b), seconds(a, b), 0) | (pairCodes(firsts(c, d), seconds(c, d), 0) << 4)))
      const both = radius(firsts(low, high), seconds(low, high))
      threes |= pairCodes(firsts(low, high), seconds(low, high), 16) << <u32>((k & 1) << 2)
      fours |= (pairCodes(firsts(both, both), seconds(both, both), 32) & 3) << <u32>((k & 3) << 1)
      store<f32>(stepsAt + (block << 2), <f32>(f64x2.extract_lane(radius(firsts(both, both), seconds(both, both)), 0) / root))
      if ((k & 1) === 1 || k === last) {
        store<u8>(three++, <u8>threes)
        threes = 0
      }
      if ((k & 3) === 3 || k === last) {
        store<u8>(four++, <u8>fours)
        fours = 0
      }
    }
  }
  return findNorms(<i32>block)
}

/** The two upper values in F64. */
// @ts-ignore: decorator
@inline
function upper(x: v128): v128 {
  return f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 2, 3))
}

// @ts-ignore: decorator
@inline
function firsts(a: v128, b: v128): v128 {
  return i64x2.shuffle(a, b, 0, 2)
}

// @ts-ignore: decorator
@inline
function seconds(a: v128, b: v128): v128 {
  return i64x2.shuffle(a, b, 1, 3)
}

// @ts-ignore: decorator
@inline
function radius(x: v128, y: v128): v128 {
  return f64x2.sqrt(f64x2.add(f64x2.mul(x, x), f64x2.mul(y, y)))
}

/**
 * Codes of four angles. In an odd quadrant the magnitudes change places; then the code within a quadrant is the number of its three boundaries,
 * the first, the middle and the first mirrored, that lie below the angle.
 */
// @ts-ignore: decorator
@inline
function firstCodes(x: v128, y: v128): v128 {
  const zero = f32x4.splat(0)
  const lower = v128.not(f32x4.ge(y, zero))
  const odd = v128.bitselect(v128.not(f32x4.le(x, zero)), v128.not(f32x4.ge(x, zero)), lower)
  const along = v128.bitselect(f32x4.abs(y), f32x4.abs(x), odd)
  const across = v128.bitselect(f32x4.abs(x), f32x4.abs(y), odd)
  const octant = v128.load_splat<f64>(polarBoundsAt)
  const first = bounded(f64x2.promote_low_f32x4(along), f64x2.promote_low_f32x4(across), octant)
  const second = bounded(upper(along), upper(across), octant)
  const within = i32x4.add(i32x4.shuffle(first, second, 0, 2, 4, 6), f32x4.gt(across, along))
  // Masks are -1: the sum is taken away.
  return i32x4.sub(v128.or(v128.and(lower, i32x4.splat(8)), v128.and(odd, i32x4.splat(4))), within)
}

// @ts-ignore: decorator
@inline
function bounded(along: v128, across: v128, octant: v128): v128 {
  return i64x2.add(f64x2.gt(across, f64x2.mul(octant, along)), f64x2.gt(f64x2.mul(octant, across), along))
}

/** Codes of two angles by the bounds of a level, 2 bits each. */
// @ts-ignore: decorator
@inline
function pairCodes(x: v128, y: v128, bounds: usize): u32 {
  const low = v128.load_splat<f64>(polarBoundsAt + bounds, 8)
  const high = v128.load_splat<f64>(polarBoundsAt + bounds, 16)
  const codes = i64x2.add(i64x2.add(f64x2.gt(y, f64x2.mul(low, x)), f64x2.gt(y, x)), f64x2.gt(y, f64x2.mul(high, x)))
  return <u32>(-i64x2.extract_lane(codes, 0)) | (<u32>(-i64x2.extract_lane(codes, 1)) << 2)
}

/** Decodes angles and radii to values. Returns whether all radii are finite. */
export function dequantizePolar(rows: i32, headDim: i32): bool {
  const rowBytes: usize = (<usize>headDim) << 2
  const blocks = rowBytes >> 6
  const finite = readScales(<i32>blocks * rows, false)
  const scale = f32x4.splat(<f32>(1 / Math.sqrt(<f64>headDim)))
  let block: usize = 0
  let three = angles3At
  let four = angles4At
  for (let row: usize = 0; row < <usize>rows; row++) {
    const to = valuesAt + row * rowBytes
    for (let k: usize = 0; k < blocks; k++, block++) {
      const whole = f64x2.splat(<f64>load<f32>(stepsAt + (block << 2)))
      const both = f64x2.mul(whole, turn(3, <u32>load<u8>(four + (k >> 2)) >> <u32>((k & 3) << 1)))
      const threes = <u32>load<u8>(three + (k >> 1)) >> <u32>((k & 1) << 2)
      const low = f64x2.mul(firsts(both, both), turn(2, threes))
      const high = f64x2.mul(seconds(both, both), turn(2, threes >> 2))
      const twos = <u32>load<u8>(angles2At + block)
      const ones = load<u32>(angles1At + (block << 2))
      const at = to + (k << 6)
      eight(f64x2.mul(firsts(low, low), turn(1, twos)), f64x2.mul(seconds(low, low), turn(1, twos >> 2)), ones, at)
      eight(f64x2.mul(firsts(high, high), turn(1, twos >> 4)), f64x2.mul(seconds(high, high), turn(1, twos >> 6)), ones >> 16, at + 32)
    }
    three += (blocks + 1) >> 1
    four += (blocks + 3) >> 2
    transform(to, rowBytes)
    for (let at: usize = 0; at < rowBytes; at += 16) v128.store(to + at, f32x4.mul(signed(to, signsAt, at), scale))
  }
  return finite
}

/** Cosine and sine of a code of 2 bits of a level after the first. */
// @ts-ignore: decorator
@inline
function turn(level: usize, code: u32): v128 {
  return v128.load(turnsAt + FIRST_TURNS + (level - 1) * TURNS + <usize>((code & 3) << 4))
}

/** Eight values from four radii and codes of 4 bits. */
// @ts-ignore: decorator
@inline
function eight(a: v128, b: v128, codes: u32, to: usize): void {
  pair(firsts(a, a), codes, to)
  pair(seconds(a, a), codes >> 4, to + 8)
  pair(firsts(b, b), codes >> 8, to + 16)
  pair(seconds(b, b), codes >> 12, to + 24)
}

// @ts-ignore: decorator
@inline
function pair(r: v128, code: u32, to: usize): void {
  v128.store_lane<u64>(to, f32x4.demote_f64x2_zero(f64x2.mul(r, v128.load(turnsAt + <usize>((code & 15) << 4)))), 0)
}
