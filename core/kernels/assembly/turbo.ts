import { eightIndices, packEight, sixteenLevels, spreadBounds, spreadLevels } from './codebook'
import { special16, toF16 } from './float16'
import { findPlaces } from './groups'
import { transform } from './hadamard'
import { codesAt, offsetsAt, scalesAt, stepsAt, valuesAt } from './memory'
import { readScales } from './scales'

/* TurboQuant: core/kernels/turbo.ts says what it is. Rows are rotated in place. */

/** Encodes values to codes and, as scales, norms. False where they cannot be: for a NaN, an infinity or a norm beyond F16. */
export function quantizeTurbo(rows: i32, headDim: i32, bits: i32): bool {
  const rowBytes: usize = (<usize>headDim) << 2
  let from = valuesAt
  for (let at: usize = 0; at < <usize>rows << 2; at += 4, from += rowBytes) store<f32>(stepsAt + at, <f32>Math.sqrt(squares(from, from + rowBytes)))
  if (!findNorms(rows)) return false
  spreadBounds()
  from = valuesAt
  let to = codesAt
  for (let at: usize = 0; at < <usize>rows << 2; at += 4) {
    const inverse = v128.load_splat<f32>(offsetsAt + at)
    const end = from + rowBytes
    transform(from, rowBytes)
    if (bits === 2) to = packRow(from, end, inverse, 2, to)
    else if (bits === 3) to = packRow(from, end, inverse, 3, to)
    else to = packRow(from, end, inverse, 4, to)
    from = end
  }
  return true
}

/** Σ x² of a row in F64, value i in lane i % 4, then (0 + 1) + (2 + 3). */
// @ts-ignore: decorator
@inline
function squares(from: usize, end: usize): f64 {
  let a = f64x2.splat(0)
  let b = f64x2.splat(0)
  for (let at = from; at < end; at += 16) {
    const x = v128.load(at)
    const low = f64x2.promote_low_f32x4(x)
    const high = f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 2, 3))
    a = f64x2.add(a, f64x2.mul(low, low))
    b = f64x2.add(b, f64x2.mul(high, high))
  }
  return f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1) + (f64x2.extract_lane(b, 0) + f64x2.extract_lane(b, 1))
}

/** Makes F16 norms of the steps and leaves as offsets their inverses, 0 for a norm that is 0 in F16. False where F16 does not hold one. */
export function findNorms(rows: i32): bool {
  let special = i32x4.splat(0)
  // Four at a time: what stands beyond the last must not look like a fault.
  v128.store(stepsAt + (<usize>rows << 2), special)
  for (let row: usize = 0; row < <usize>rows; row += 4) {
    const n = v128.load(stepsAt + (row << 2))
    const norm = toF16(n)
    special = v128.or(special, special16(norm))
    v128.store_lane<u64>(scalesAt + (row << 1), i16x8.narrow_i32x4_u(norm, norm), 0)
    v128.store(offsetsAt + (row << 2), v128.and(f32x4.div(f32x4.splat(1), n), i32x4.ne(norm, i32x4.splat(0))))
  }
  return !v128.any_true(special)
}

// @ts-ignore: decorator
@inline
function packRow(from: usize, end: usize, inverse: v128, bits: i32, to: usize): usize {
  for (; from < end; from += 32, to += bits) packEight(eightIndices(f32x4.mul(v128.load(from), inverse), f32x4.mul(v128.load(from, 16), inverse), (1 << bits) - 1), bits, to)
  return to
}

/** Decodes codes and norms to values. Returns whether all norms are finite. */
export function dequantizeTurbo(rows: i32, headDim: i32, bits: i32, corrected: bool): bool {
  const rowBytes: usize = (<usize>headDim) << 2
  const finite = readScales(rows, false)
  findPlaces(bits)
  spreadLevels()
  const one = f32x4.splat(1)
  let from = codesAt
  let to = valuesAt
  for (let at: usize = 0; at < <usize>rows << 2; at += 4) {
    const end = to + rowBytes
    for (let run = to; run < end; run += 64, from += bits << 1) sixteenLevels(from, bits, one, run)
    const norm = <f64>load<f32>(stepsAt + at)
    const factor = f32x4.splat(<f32>(norm / (corrected ? Math.sqrt(<f64>headDim * squares(to, end)) : <f64>headDim)))
    transform(to, rowBytes)
    for (; to < end; to += 16) v128.store(to, f32x4.mul(v128.load(to), factor))
  }
  return finite
}
