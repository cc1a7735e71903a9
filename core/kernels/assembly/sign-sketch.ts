import { signed, signedTransform, transform } from './hadamard'
import { codesAt, rowAt, signsAt, stepsAt, valuesAt } from './memory'
import { readScales } from './scales'
import { findNorms } from './turbo'

/* Signs of random rotations: core/kernels/sign-sketch.ts says what they are. The host puts the signs of a rotation's three rounds and calls once for each rotation. */

/** Norms of rows, squares summed in order, as scales. False for a NaN, an infinity or a norm beyond F16. */
export function findRowNorms(rows: i32, headDim: i32): bool {
  const rowBytes: usize = (<usize>headDim) << 2
  // Two rows at a time, in lanes of their own; behind the last one is room, and what comes of it is not looked at.
  for (let row: usize = 0; row < <usize>rows; row += 2) {
    const first = valuesAt + row * rowBytes
    const second = row + 1 < <usize>rows ? first + rowBytes : first
    let squares = f64x2.splat(0)
    for (let at: usize = 0; at < rowBytes; at += 16) {
      const a = v128.load(first + at)
      const b = v128.load(second + at)
      squares = f64x2.add(squares, square(i32x4.shuffle(a, b, 0, 4, 0, 4)))
      squares = f64x2.add(squares, square(i32x4.shuffle(a, b, 1, 5, 1, 5)))
      squares = f64x2.add(squares, square(i32x4.shuffle(a, b, 2, 6, 2, 6)))
      squares = f64x2.add(squares, square(i32x4.shuffle(a, b, 3, 7, 3, 7)))
    }
    v128.store_lane<u64>(stepsAt + (row << 2), f32x4.demote_f64x2_zero(f64x2.sqrt(squares)), 0)
  }
  return findNorms(rows)
}

// @ts-ignore: decorator
@inline
function square(x: v128): v128 {
  const wide = f64x2.promote_low_f32x4(x)
  return f64x2.mul(wide, wide)
}

/** Bits of one rotation of `rotations`, set where a rotated value is above 0. Values stay. */
export function quantizeSketch(rows: i32, headDim: i32, rotations: i32, rotation: i32): void {
  const rowBytes: usize = (<usize>headDim) << 2
  const bitBytes: usize = (<usize>headDim) >> 3
  const zero = f32x4.splat(0)
  let from = valuesAt
  let to = codesAt + <usize>rotation * bitBytes
  for (let row = 0; row < rows; row++, from += rowBytes, to += <usize>rotations * bitBytes) {
    signedTransform(from, signsAt, rowAt, rowBytes)
    signedTransform(rowAt, signsAt + rowBytes, rowAt, rowBytes)
    signedTransform(rowAt, signsAt + 2 * rowBytes, rowAt, rowBytes)
    for (let at: usize = 0; at < rowBytes; at += 64) {
      const first = i16x8.narrow_i32x4_s(f32x4.gt(v128.load(rowAt + at), zero), f32x4.gt(v128.load(rowAt + at, 16), zero))
      const second = i16x8.narrow_i32x4_s(f32x4.gt(v128.load(rowAt + at, 32), zero), f32x4.gt(v128.load(rowAt + at, 48), zero))
      store<u16>(to + (at >> 5), <u16>i8x16.bitmask(i8x16.narrow_i16x8_s(first, second)))
    }
  }
}

/** Adds to values what the bits of one rotation of `rotations` stand for; with the last one multiplies by norm and `part`. Returns whether all norms are finite. */
export function dequantizeSketch(rows: i32, headDim: i32, rotations: i32, rotation: i32, part: f64): bool {
  const rowBytes: usize = (<usize>headDim) << 2
  const bitBytes: usize = (<usize>headDim) >> 3
  const finite = readScales(rows, false)
  let from = codesAt + <usize>rotation * bitBytes
  let to = valuesAt
  for (let row: usize = 0; row < <usize>rows; row++, from += <usize>rotations * bitBytes, to += rowBytes) {
    for (let at: usize = 0; at < rowBytes; at += 32) spread(load<u8>(from + (at >> 5)), rowAt + at)
    transform(rowAt, rowBytes)
    signedTransform(rowAt, signsAt + 2 * rowBytes, rowAt, rowBytes)
    signedTransform(rowAt, signsAt + rowBytes, rowAt, rowBytes)
    const factor = f32x4.splat(rotation === rotations - 1 ? <f32>(<f64>load<f32>(stepsAt + (row << 2)) * part) : 1)
    for (let at: usize = 0; at < rowBytes; at += 16) {
      const sum = rotation === 0 ? f32x4.splat(0) : v128.load(to + at)
      v128.store(to + at, f32x4.mul(f32x4.add(sum, signed(rowAt, signsAt, at)), factor))
    }
  }
  return finite
}

/** Eight values of 1 and -1. */
// @ts-ignore: decorator
@inline
function spread(byte: u8, to: usize): void {
  const bits = i32x4.splat(<i32>byte)
  const one = f32x4.splat(1)
  const minus = i32x4.splat(i32.MIN_VALUE)
  const low = i32x4(1, 2, 4, 8)
  const high = i32x4(16, 32, 64, 128)
  v128.store(to, v128.or(one, v128.andnot(minus, i32x4.eq(v128.and(bits, low), low))))
  v128.store(to, v128.or(one, v128.andnot(minus, i32x4.eq(v128.and(bits, high), high))), 16)
}
