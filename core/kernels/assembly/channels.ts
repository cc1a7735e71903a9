import { eightCodes, findPlaces, four, storeScales, storeZeros } from './groups'
import { codesAt, offsetsAt, stepsAt, tablesAt, valuesAt } from './memory'
import { readScales } from './scales'

/*
 * Integers of 2 to 8 bits by channel: core/kernels/channels.ts says what they are. A tile holds one group: some tokens, one below the other, of a
 * number of channels that eight divides. Lanes are channels, so that no step waits for its neighbour.
 */

/** As quantizeGroups, of `rows` tokens of `width` channels with a scale for each channel. */
export function quantizeChannels(rows: i32, width: i32, bits: i32, asym: bool, clip: f32): bool {
  const rowBytes: usize = (<usize>width) << 2
  const end = valuesAt + <usize>rows * rowBytes
  const top: i32 = asym ? (1 << bits) - 1 : (1 << (bits - 1)) - 1
  if (!(asym ? findRanges(rowBytes, end, <f32>top, clip) : findMagnitudes(rowBytes, end, <f32>top, clip))) return false
  const low = f32x4.splat(asym ? 0 : -(<f32>top))
  const high = f32x4.splat(<f32>top)
  const base = i32x4.splat(0x4b400000 - (asym ? 0 : top))
  const joining = i32x4.splat(1 | (1 << ((bits & 7) + 16)))
  const joiningPairs = i32x4.splat(1 | (1 << ((2 * bits) & 15) << 16))
  let to = codesAt
  for (let from = valuesAt; from < end; from += rowBytes) {
    for (let at: usize = 0; at < rowBytes; at += 32, to += bits) {
      const first = four(v128.load(from + at), v128.load(stepsAt + at), v128.load(offsetsAt + at), low, high, base)
      const second = four(v128.load(from + at, 16), v128.load(stepsAt + at, 16), v128.load(offsetsAt + at, 16), low, high, base)
      const codes = i16x8.narrow_i32x4_s(first, second)
      if (bits === 8) {
        v128.store_lane<u64>(to, i8x16.narrow_i16x8_u(codes, codes), 0)
        continue
      }
      // As packAny in groups.ts. What is written beyond the eight codes is overwritten by the next.
      const pairs = i32x4.dot_i16x8_s(codes, joining)
      const fours = i32x4.dot_i16x8_s(i16x8.narrow_i32x4_s(pairs, pairs), joiningPairs)
      store<u64>(to, <u64>(<u32>i32x4.extract_lane(fours, 0)) | ((<u64>(<u32>i32x4.extract_lane(fours, 1))) << (4 * bits)))
    }
  }
  return true
}

/** Each channel's scale from its largest magnitude, and offsets of 0. False where F16 holds no such scale. */
function findMagnitudes(rowBytes: usize, end: usize, top: f32, clip: f32): bool {
  const mask = i32x4.splat(0x7fffffff)
  let special = i32x4.splat(0)
  for (let at: usize = 0; at < rowBytes; at += 16) {
    let most = i32x4.splat(0)
    for (let from = valuesAt + at; from < end; from += rowBytes) most = i32x4.max_s(most, v128.and(v128.load(from), mask))
    special = v128.or(special, storeScales(at >> 2, f32x4.mul(most, f32x4.splat(clip)), top))
    v128.store(offsetsAt + at, i32x4.splat(0))
  }
  return !v128.any_true(special)
}

/** As findMagnitudes, with scales from the range of a channel and its least value, the first of equal zeros, as zero point. */
function findRanges(rowBytes: usize, end: usize, top: f32, clip: f32): bool {
  let special = i32x4.splat(0)
  let sum = f32x4.splat(0)
  for (let at: usize = 0; at < rowBytes; at += 16) {
    let low = v128.load(valuesAt + at)
    let high = low
    for (let from = valuesAt + at; from < end; from += rowBytes) {
      const x = v128.load(from)
      low = f32x4.pmin(low, x)
      high = f32x4.pmax(high, x)
      sum = f32x4.add(sum, f32x4.sub(x, x))
    }
    const least = f32x4.mul(low, f32x4.splat(clip))
    special = v128.or(special, storeZeros(at >> 2, least))
    special = v128.or(special, storeScales(at >> 2, f32x4.sub(f32x4.mul(high, f32x4.splat(clip)), least), top))
  }
  // x - x is NaN where x is none or infinite.
  return !v128.any_true(v128.or(special, f32x4.ne(sum, f32x4.splat(0))))
}

/** Decodes a tile as quantizeChannels filled it. Returns whether all scales and zeros, and so all values, are finite. */
export function dequantizeChannels(rows: i32, width: i32, bits: i32, asym: bool): bool {
  const finite = readScales(width, asym)
  if (bits !== 8) findPlaces(bits)
  const places = v128.load(tablesAt)
  const factors = v128.load(tablesAt, 16)
  const offset = i16x8.splat(asym ? 0 : <i16>(((<i32>1) << (bits - 1)) - 1))
  const rowBytes: usize = (<usize>width) << 2
  const end = valuesAt + <usize>rows * rowBytes
  let from = codesAt
  for (let to = valuesAt; to < end; to += rowBytes) {
    for (let at: usize = 0; at < rowBytes; at += 32, from += bits) {
      const q = i16x8.sub(bits === 8 ? v128.load_ext<u8>(from) : eightCodes(from, bits, places, factors), offset)
      restoreFour(to + at, i32x4.extend_low_i16x8_s(q), stepsAt + at, offsetsAt + at)
      restoreFour(to + at + 16, i32x4.extend_high_i16x8_s(q), stepsAt + at + 16, offsetsAt + at + 16)
    }
  }
  return finite
}

// @ts-ignore: decorator
@inline
function restoreFour(to: usize, q: v128, steps: usize, offsets: usize): void {
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(q), v128.load(steps)), v128.load(offsets)))
}
