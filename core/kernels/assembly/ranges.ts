import { findRange, least, most } from './extremes'
import { offsetsAt, stepsAt, valuesAt } from './memory'

/* Ranges of channels and of rows: core/kernels/ranges.ts says what they are. A tile holds rows of `width` values, a multiple of eight; low ends stand as steps and high ones as offsets. */

/** Widens the range of each channel by the rows of the tile; of equal zeros the first stays. */
export function widenChannelRanges(rows: i32, width: i32): void {
  const rowBytes: usize = (<usize>width) << 2
  const end = valuesAt + <usize>rows * rowBytes
  for (let at: usize = 0; at < rowBytes; at += 32) {
    let low = v128.load(stepsAt + at)
    let lowNext = v128.load(stepsAt + at, 16)
    let high = v128.load(offsetsAt + at)
    let highNext = v128.load(offsetsAt + at, 16)
    for (let from = valuesAt + at; from < end; from += rowBytes) {
      const x = v128.load(from)
      const y = v128.load(from, 16)
      low = f32x4.pmin(low, x)
      lowNext = f32x4.pmin(lowNext, y)
      high = f32x4.pmax(high, x)
      highNext = f32x4.pmax(highNext, y)
    }
    v128.store(stepsAt + at, low)
    v128.store(stepsAt + at, lowNext, 16)
    v128.store(offsetsAt + at, high)
    v128.store(offsetsAt + at, highNext, 16)
  }
}

/** The range of each row; of equal zeros any. */
export function findRowRanges(rows: i32, width: i32): void {
  const rowBytes: usize = (<usize>width) << 2
  let from = valuesAt
  for (let at: usize = 0; at < <usize>rows << 2; at += 4, from += rowBytes) {
    findRange(from, from + rowBytes)
    store<f32>(stepsAt + at, least)
    store<f32>(offsetsAt + at, most)
  }
}

/** (x - offset) / step in place, with the step and the offset of the channel. */
export function divideByChannel(rows: i32, width: i32): void {
  const rowBytes: usize = (<usize>width) << 2
  const end = valuesAt + <usize>rows * rowBytes
  for (let from = valuesAt; from < end; from += rowBytes) {
    for (let at: usize = 0; at < rowBytes; at += 32) {
      divide(from + at, v128.load(offsetsAt + at), v128.load(stepsAt + at))
      divide(from + at + 16, v128.load(offsetsAt + at, 16), v128.load(stepsAt + at, 16))
    }
  }
}

/** The same with those of the row. */
export function divideByRow(rows: i32, width: i32): void {
  const rowBytes: usize = (<usize>width) << 2
  let from = valuesAt
  for (let row: usize = 0; row < <usize>rows << 2; row += 4) {
    const offset = v128.load_splat<f32>(offsetsAt + row)
    const step = v128.load_splat<f32>(stepsAt + row)
    for (const end = from + rowBytes; from < end; from += 32) {
      divide(from, offset, step)
      divide(from + 16, offset, step)
    }
  }
}

// @ts-ignore: decorator
@inline
function divide(at: usize, offset: v128, step: v128): void {
  v128.store(at, f32x4.div(f32x4.sub(v128.load(at), offset), step))
}
