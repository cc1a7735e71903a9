import { findRange, firstOf, largestMagnitude, least, most, total } from './extremes'
import { fromF16, special16, toF16 } from './float16'
import { codesAt, offsetsAt, scalesAt, stepsAt, tablesAt, valuesAt, zerosAt } from './memory'
import { readScales } from './scales'

/*
 * Integers of 2 to 8 bits by group: core/kernels/groups.ts says what they are.
 * A kernel goes over its tile in turns, extremes, scales, codes, so that the steps of one group do not wait for one another.
 */

/** 1.5 * 2^23: added to a number below 2^22 it rounds that to nearest, ties to even, and leaves the integer in the low bits. */
const ROUNDING: f32 = 12582912
const ROUNDING_BITS: i32 = 0x4b400000

/** Encodes values to codes, scales and zeros. False where they cannot be: for a NaN, an infinity or a scale or zero point beyond F16. */
export function quantizeGroups(groups: i32, groupSize: i32, bits: i32, asym: bool, clip: f32): bool {
  const groupBytes: usize = (<usize>groupSize) << 2
  const codeBytes: usize = (groupSize * bits) >> 3
  const top: i32 = asym ? (1 << bits) - 1 : (1 << (bits - 1)) - 1
  if (asym ? !findRanges(groups, groupBytes, <f32>top, clip) : !findMagnitudes(groups, groupBytes, <f32>top, clip)) return false
  const low = f32x4.splat(asym ? 0 : -(<f32>top))
  const high = f32x4.splat(<f32>top)
  // Taken from the bits of a rounded quotient q this leaves the code: q, or q + top.
  const base = i32x4.splat(asym ? ROUNDING_BITS : ROUNDING_BITS - top)
  let from = valuesAt
  let to = codesAt
  for (let at: usize = 0; at < <usize>groups << 2; at += 4, from += groupBytes, to += codeBytes) {
    const s = v128.load_splat<f32>(stepsAt + at)
    const z = v128.load_splat<f32>(offsetsAt + at)
    if (bits === 8) pack8(from, from + groupBytes, s, z, low, high, base, to)
    else if (bits === 4) pack4(from, from + groupBytes, s, z, low, high, base, to)
    else packAny(from, from + groupBytes, s, z, low, high, base, bits, to)
  }
  return true
}

/** Finds each group's scale, the step that its values are divided by, from its largest magnitude times `clip`; its offset is 0. False where F16 holds no such scale. */
export function findMagnitudes(groups: i32, groupBytes: usize, top: f32, clip: f32): bool {
  let from = valuesAt
  for (let at: usize = 0; at < <usize>groups << 2; at += 4, from += groupBytes) store<f32>(stepsAt + at, largestMagnitude(from, from + groupBytes) * clip)
  let special = i32x4.splat(0)
  // Four groups at a time: what stands beyond the last must not look like a fault.
  v128.store(stepsAt + (<usize>groups << 2), special)
  for (let group: usize = 0; group < <usize>groups; group += 4) {
    special = v128.or(special, storeScales(group, v128.load(stepsAt + (group << 2)), top))
    v128.store(offsetsAt + (group << 2), f32x4.splat(0))
  }
  return !v128.any_true(special)
}

/** As findMagnitudes, with scales from the range of a group and the least value, the first of equal zeros, as zero point and offset. */
function findRanges(groups: i32, groupBytes: usize, top: f32, clip: f32): bool {
  let sum: f32 = 0
  let from = valuesAt
  for (let at: usize = 0; at < <usize>groups << 2; at += 4, from += groupBytes) {
    findRange(from, from + groupBytes)
    sum += total
    store<f32>(stepsAt + at, abs(most * clip - least * clip))
    store<f32>(offsetsAt + at, (least === 0 ? firstOf(from, 0) : least) * clip)
  }
  let special = i32x4.splat(0)
  v128.store(stepsAt + (<usize>groups << 2), special)
  v128.store(offsetsAt + (<usize>groups << 2), special)
  for (let group: usize = 0; group < <usize>groups; group += 4) {
    special = v128.or(special, storeZeros(group, v128.load(offsetsAt + (group << 2))))
    special = v128.or(special, storeScales(group, v128.load(stepsAt + (group << 2)), top))
  }
  return sum - sum === 0 && !v128.any_true(special)
}

/** Stores the scales of four groups, and as their steps the same in F32, or infinity where it is 0, so that all quotients are 0. Ones where F16 does not hold it. */
// @ts-ignore: decorator
@inline
export function storeScales(group: usize, span: v128, top: f32): v128 {
  const scale = toF16(f32x4.div(span, f32x4.splat(top)))
  v128.store_lane<u64>(scalesAt + (group << 1), i16x8.narrow_i32x4_u(scale, scale), 0)
  const zero = i32x4.eq(scale, i32x4.splat(0))
  v128.store(stepsAt + (group << 2), v128.or(fromF16(scale), v128.and(zero, i32x4.splat(0x7f800000))))
  return special16(scale)
}

/** Stores the zero points of four groups, and as their offsets the same in F32. Ones where F16 does not hold it. */
// @ts-ignore: decorator
@inline
export function storeZeros(group: usize, least: v128): v128 {
  const zero = toF16(least)
  v128.store_lane<u64>(zerosAt + (group << 1), i16x8.narrow_i32x4_u(zero, zero), 0)
  v128.store(offsetsAt + (group << 2), fromF16(zero))
  return special16(zero)
}

function pack8(from: usize, end: usize, s: v128, z: v128, low: v128, high: v128, base: v128, to: usize): void {
  for (; from + 64 <= end; from += 64, to += 16) {
    v128.store(to, i8x16.narrow_i16x8_u(eight(from, s, z, low, high, base), eight(from + 32, s, z, low, high, base)))
  }
  if (from === end) return
  const codes = eight(from, s, z, low, high, base)
  v128.store_lane<u64>(to, i8x16.narrow_i16x8_u(codes, codes), 0)
}

function pack4(from: usize, end: usize, s: v128, z: v128, low: v128, high: v128, base: v128, to: usize): void {
  const joining = i32x4.splat(0x100001)
  for (; from + 64 <= end; from += 64, to += 8) {
    const first = i32x4.dot_i16x8_s(eight(from, s, z, low, high, base), joining)
    const second = i32x4.dot_i16x8_s(eight(from + 32, s, z, low, high, base), joining)
    const bytes = i16x8.narrow_i32x4_s(first, second)
    v128.store_lane<u64>(to, i8x16.narrow_i16x8_u(bytes, bytes), 0)
  }
  if (from === end) return
  const half = i32x4.dot_i16x8_s(eight(from, s, z, low, high, base), joining)
  const bytes = i16x8.narrow_i32x4_s(half, half)
  v128.store_lane<u32>(to, i8x16.narrow_i16x8_u(bytes, bytes), 0)
}

/** 2 to 7 bits. Neighbours are joined by multiplications, first with 1 and 2^bits, then with 1 and 2^(2 bits), and fours by a shift: eight codes fill the low bits of 64. */
function packAny(from: usize, end: usize, s: v128, z: v128, low: v128, high: v128, base: v128, bits: i32, to: usize): void {
  const joining = i32x4.splat(1 | (1 << (bits + 16)))
  const joiningPairs = i32x4.splat(1 | (1 << (2 * bits + 16)))
  for (; from < end; from += 64, to += 2 * bits) {
    const first = i32x4.dot_i16x8_s(eight(from, s, z, low, high, base), joining)
    // Where a group ends on half a turn, the second half is packed from what follows and then overwritten.
    const second = i32x4.dot_i16x8_s(eight(from + 32, s, z, low, high, base), joining)
    const fours = i32x4.dot_i16x8_s(i16x8.narrow_i32x4_s(first, second), joiningPairs)
    const eights = v128.or(v128.and(fours, i64x2.splat(0xffffffff)), i64x2.shl(i64x2.shr_u(fours, 32), 4 * bits))
    v128.store_lane<u64>(to, eights, 0)
    v128.store_lane<u64>(to + bits, eights, 1)
  }
}

/** Eight codes rne((x - z) / s) between their limits, 16 bits each. */
// @ts-ignore: decorator
@inline
function eight(at: usize, s: v128, z: v128, low: v128, high: v128, base: v128): v128 {
  return i16x8.narrow_i32x4_s(four(v128.load(at), s, z, low, high, base), four(v128.load(at, 16), s, z, low, high, base))
}

/** Four of them, 32 bits each, with a scale and a zero point for each lane. */
// @ts-ignore: decorator
@inline
export function four(x: v128, s: v128, z: v128, low: v128, high: v128, base: v128): v128 {
  const quotient = f32x4.div(f32x4.sub(x, z), s)
  return i32x4.sub(f32x4.add(f32x4.pmin(high, f32x4.pmax(low, quotient)), f32x4.splat(ROUNDING)), base)
}

/** Decodes codes, scales and zeros to values. Returns whether all scales and zeros, and so all values, are finite. */
export function dequantizeGroups(groups: i32, groupSize: i32, bits: i32, asym: bool): bool {
  const groupBytes: usize = (<usize>groupSize) << 2
  const codeBytes: usize = (groupSize * bits) >> 3
  const finite = readScales(groups, asym)
  if (bits !== 8 && bits !== 4) findPlaces(bits)
  const offset = i16x8.splat(asym ? 0 : <i16>(((<i32>1) << (bits - 1)) - 1))
  let from = codesAt
  let to = valuesAt
  for (let at: usize = 0; at < <usize>groups << 2; at += 4, from += codeBytes, to += groupBytes) {
    const s = v128.load_splat<f32>(stepsAt + at)
    const z = v128.load_splat<f32>(offsetsAt + at)
    if (bits === 8) unpack8(from, s, z, offset, to, to + groupBytes)
    else if (bits === 4) unpack4(from, s, z, offset, to, to + groupBytes)
    else unpackAny(from, s, z, offset, bits, to, to + groupBytes)
  }
  return finite
}

function unpack8(from: usize, s: v128, z: v128, offset: v128, to: usize, end: usize): void {
  for (; to < end; to += 32, from += 8) restore(to, i16x8.sub(v128.load_ext<u8>(from), offset), s, z)
}

/** Two turns of eight; where a group ends on half of that, the second goes beyond it and is overwritten. */
function unpack4(from: usize, s: v128, z: v128, offset: v128, to: usize, end: usize): void {
  for (; to < end; to += 64, from += 8) {
    const bytes = v128.load_zero<u64>(from)
    const lower = v128.and(bytes, i8x16.splat(15))
    const upper = v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15))
    const codes = i8x16.shuffle(lower, upper, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    restore(to, i16x8.sub(i16x8.extend_low_i8x16_u(codes), offset), s, z)
    restore(to + 32, i16x8.sub(i16x8.extend_high_i8x16_u(codes), offset), s, z)
  }
}

/**
 * 2 to 7 bits. Two bytes hold any one code. They are brought to 16 bits of its own, where a multiplication, since a vector has no shift of its own
 * for each lane, moves the code to the top and one shift moves all codes down.
 */
function unpackAny(from: usize, s: v128, z: v128, offset: v128, bits: i32, to: usize, end: usize): void {
  const places = v128.load(tablesAt)
  const factors = v128.load(tablesAt, 16)
  for (; to < end; to += 32, from += bits) restore(to, i16x8.sub(eightCodes(from, bits, places, factors), offset), s, z)
}

/** Eight codes, 16 bits each, by the places and factors that findPlaces left in the tables. */
// @ts-ignore: decorator
@inline
export function eightCodes(from: usize, bits: i32, places: v128, factors: v128): v128 {
  return i16x8.shr_u(i16x8.mul(i8x16.swizzle(v128.load_zero<u64>(from), places), factors), 16 - bits)
}

/** For each of eight codes the two bytes that hold it, and the factor that moves it to the top of their 16 bits. */
export function findPlaces(bits: i32): void {
  for (let i = 0; i < 8; i++) {
    const first = (bits * i) >> 3
    store<u16>(tablesAt + 2 * i, <u16>(first | ((first + 1) << 8)))
    store<u16>(tablesAt + 16 + 2 * i, <u16>((<i32>1) << (16 - bits - ((bits * i) & 7))))
  }
}

/** Eight values from q, 16 bits each: q s is exact and the sum with z is rounded once. */
// @ts-ignore: decorator
@inline
function restore(to: usize, q: v128, s: v128, z: v128): void {
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(q)), s), z))
  v128.store(to + 16, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(q)), s), z))
}
