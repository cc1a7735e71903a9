import { eightCodes, findPlaces } from './groups'
import { boundsAt, codesAt, levelsAt, planesAt, splatsAt, tablesAt, valuesAt } from './memory'

/* Codes of 2 to 4 bits that name levels of F32. */

/** Puts the levels of the host as four planes of bytes, for sixteenLevels. */
export function spreadLevels(): void {
  for (let i: usize = 0; i < 16; i++) for (let plane: usize = 0; plane < 4; plane++) store<u8>(planesAt + 16 * plane + i, load<u8>(levelsAt + 4 * i + plane))
}

/** Puts each bound of the host four times, for eightIndices. */
export function spreadBounds(): void {
  for (let i: usize = 0; i < 16; i++) v128.store(splatsAt + 16 * i, v128.load_splat<f32>(boundsAt + 4 * i))
}

/** Codes of eight values, 16 bits each: how many of `count` bounds, an odd number, are not above x. */
// @ts-ignore: decorator
@inline
export function eightIndices(x: v128, y: v128, count: i32): v128 {
  let a = f32x4.ge(x, v128.load(splatsAt))
  let b = f32x4.ge(y, v128.load(splatsAt))
  const end = splatsAt + (<usize>count << 4)
  for (let at = splatsAt + 16; at < end; at += 32) {
    a = i32x4.add(a, i32x4.add(f32x4.ge(x, v128.load(at)), f32x4.ge(x, v128.load(at, 16))))
    b = i32x4.add(b, i32x4.add(f32x4.ge(y, v128.load(at)), f32x4.ge(y, v128.load(at, 16))))
  }
  return i16x8.neg(i16x8.narrow_i32x4_s(a, b))
}

/** Packs eight codes of `bits`, 16 bits each, as a little-endian bit string: stores four bytes, of which `bits` are meant. */
// @ts-ignore: decorator
@inline
export function packEight(codes: v128, bits: i32, to: usize): void {
  const pairs = i32x4.dot_i16x8_s(codes, i32x4.splat(1 | (1 << (bits + 16))))
  const fours = i32x4.dot_i16x8_s(i16x8.narrow_i32x4_s(pairs, pairs), i32x4.splat(1 | (1 << (2 * bits + 16))))
  store<i32>(to, i32x4.extract_lane(fours, 0) | (i32x4.extract_lane(fours, 1) << (4 * bits)))
}

/** Writes the sixteen levels, each times `s`, of codes of `bits` from a bit string, by the tables of findPlaces and spreadLevels. */
// @ts-ignore: decorator
@inline
export function sixteenLevels(from: usize, bits: i32, s: v128, to: usize): void {
  const places = v128.load(tablesAt)
  const factors = v128.load(tablesAt, 16)
  const codes = i8x16.narrow_i16x8_u(eightCodes(from, bits, places, factors), eightCodes(from + bits, bits, places, factors))
  const first = i8x16.swizzle(v128.load(planesAt), codes)
  const second = i8x16.swizzle(v128.load(planesAt, 16), codes)
  const third = i8x16.swizzle(v128.load(planesAt, 32), codes)
  const fourth = i8x16.swizzle(v128.load(planesAt, 48), codes)
  const lower = i8x16.shuffle(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
  const lowerNext = i8x16.shuffle(first, second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
  const upper = i8x16.shuffle(third, fourth, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
  const upperNext = i8x16.shuffle(third, fourth, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
  v128.store(to, f32x4.mul(i16x8.shuffle(lower, upper, 0, 8, 1, 9, 2, 10, 3, 11), s))
  v128.store(to, f32x4.mul(i16x8.shuffle(lower, upper, 4, 12, 5, 13, 6, 14, 7, 15), s), 16)
  v128.store(to, f32x4.mul(i16x8.shuffle(lowerNext, upperNext, 0, 8, 1, 9, 2, 10, 3, 11), s), 32)
  v128.store(to, f32x4.mul(i16x8.shuffle(lowerNext, upperNext, 4, 12, 5, 13, 6, 14, 7, 15), s), 48)
}

/** Codes of values by the host's bounds; a multiple of eight values. */
export function quantizeCodebook(count: i32, bits: i32): void {
  spreadBounds()
  const end = valuesAt + (<usize>count << 2)
  let to = codesAt
  for (let from = valuesAt; from < end; from += 32, to += bits) packEight(eightIndices(v128.load(from), v128.load(from, 16), (1 << bits) - 1), bits, to)
}

/** Values of codes by the host's levels; where the last turn has half of its codes, the rest goes beyond the end. */
export function dequantizeCodebook(count: i32, bits: i32): void {
  findPlaces(bits)
  spreadLevels()
  const one = f32x4.splat(1)
  const end = valuesAt + (<usize>count << 2)
  let from = codesAt
  for (let to = valuesAt; to < end; to += 64, from += bits << 1) sixteenLevels(from, bits, one, to)
}
