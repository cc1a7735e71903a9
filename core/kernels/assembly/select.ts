import { stepsAt, valuesAt } from './memory'

/* Order statistics of rows: core/kernels/select.ts says what they are. */

/** Of each row of `length` values the one that would stand at `index` if they were sorted, as a step, 0 without a sign. Values, which are finite, become the integers that order as they do. */
export function selectRows(rows: i32, length: i32, index: i32): void {
  const rowBytes: usize = (<usize>length) << 2
  for (let row: usize = 0; row < <usize>rows; row++) {
    const from = valuesAt + row * rowBytes
    store<f32>(stepsAt + (row << 2), fromOrder(selected(from, from + rowBytes, index)) + 0)
  }
}

/** The least integer that so many and one more of a run, which it turns into such integers, are not above: by halves of what lies between the least and the largest. */
function selected(from: usize, end: usize, index: i32): i32 {
  const whole = from + ((end - from) & ~15)
  let least = i32x4.splat(i32.MAX_VALUE)
  let most = i32x4.splat(i32.MIN_VALUE)
  for (let at = from; at < whole; at += 16) {
    const x = v128.load(at)
    const order = v128.xor(x, v128.and(i32x4.shr_s(x, 31), i32x4.splat(i32.MAX_VALUE)))
    v128.store(at, order)
    least = i32x4.min_s(least, order)
    most = i32x4.max_s(most, order)
  }
  least = i32x4.min_s(least, i32x4.shuffle(least, least, 2, 3, 0, 1))
  most = i32x4.max_s(most, i32x4.shuffle(most, most, 2, 3, 0, 1))
  let low = min(i32x4.extract_lane(least, 0), i32x4.extract_lane(least, 1))
  let high = max(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1))
  for (let at = whole; at < end; at += 4) {
    const x = load<i32>(at)
    const order = x ^ ((x >> 31) & i32.MAX_VALUE)
    store<i32>(at, order)
    low = min(low, order)
    high = max(high, order)
  }
  while (low < high) {
    const middle = <i32>((<i64>low + <i64>high) >> 1)
    // Chosen without a branch, which none could foresee.
    const enough = notAbove(from, whole, end, middle) > index
    high = select<i32>(middle, high, enough)
    low = select<i32>(low, middle + 1, enough)
  }
  return low
}

/** How many integers of a run are not above one. */
// @ts-ignore: decorator
@inline
function notAbove(from: usize, whole: usize, end: usize, limit: i32): i32 {
  const limits = i32x4.splat(limit)
  let above = i32x4.splat(0)
  for (let at = from; at < whole; at += 16) above = i32x4.add(above, i32x4.gt_s(v128.load(at), limits))
  above = i32x4.add(above, i32x4.shuffle(above, above, 2, 3, 0, 1))
  let count = <i32>((end - from) >> 2) + i32x4.extract_lane(above, 0) + i32x4.extract_lane(above, 1)
  for (let at = whole; at < end; at += 4) count -= <i32>(load<i32>(at) > limit)
  return count
}

// @ts-ignore: decorator
@inline
function fromOrder(order: i32): f32 {
  return reinterpret<f32>(order ^ ((order >> 31) & i32.MAX_VALUE))
}
