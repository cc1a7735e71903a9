import { codesAt, valuesAt } from './memory'

/*
 * Numbers sorted into bins: core/kernels/sorted-bins.ts says what they are. A tile has 8192 numbers, half of the values' region; the other half holds the bin of each
 * in 16 bits and the ends of 4096 bins in 16 bits. Sorted numbers go to the first half of the codes' region, and totals in F64, which stay from tile to tile, to the second.
 */

const BINS: usize = 4096
const HALF: usize = 32768
const binsAt: usize = valuesAt + HALF
export const endsAt: usize = binsAt + 16384
export const totalsAt: usize = codesAt + HALF

/** Sorts the numbers of the tile by bin, trunc((x - least) factor) in F64, writes the ends of the bins and adds to their totals in the order of the numbers. */
export function sortIntoBins(count: i32, least: f64, factor: f64): void {
  const lows = f64x2.splat(least)
  const factors = f64x2.splat(factor)
  // Up to three bins beyond the last are of no use, and there is room for them.
  for (let i: usize = 0; i < <usize>count; i += 4) {
    const x = v128.load(valuesAt + (i << 2))
    const first = i32x4.trunc_sat_f64x2_s_zero(f64x2.mul(f64x2.sub(f64x2.promote_low_f32x4(x), lows), factors))
    const second = i32x4.trunc_sat_f64x2_s_zero(f64x2.mul(f64x2.sub(f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 0, 1)), lows), factors))
    const bins = i32x4.shuffle(first, second, 0, 1, 4, 5)
    v128.store_lane<u64>(binsAt + (i << 1), i16x8.narrow_i32x4_u(bins, bins), 0)
  }
  memory.fill(endsAt, 0, BINS << 1)
  for (let i: usize = 0; i < <usize>count; i++) {
    const bin = <usize>load<u16>(binsAt + (i << 1))
    const own = endsAt + (bin << 1)
    const total = totalsAt + (bin << 3)
    store<u16>(own, load<u16>(own) + 1)
    store<f64>(total, load<f64>(total) + <f64>load<f32>(valuesAt + (i << 2)))
  }
  let begin: u32 = 0
  for (let own = endsAt; own < endsAt + (BINS << 1); own += 2) {
    const count = <u32>load<u16>(own)
    store<u16>(own, <u16>begin)
    begin += count
  }
  for (let i: usize = 0; i < <usize>count; i++) {
    const next = endsAt + (<usize>load<u16>(binsAt + (i << 1)) << 1)
    const to = <usize>load<u16>(next)
    store<u16>(next, <u16>(to + 1))
    store<f32>(codesAt + (to << 2), load<f32>(valuesAt + (i << 2)))
  }
}
