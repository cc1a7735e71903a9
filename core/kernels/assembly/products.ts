import { codesAt, leftAt, valuesAt } from './memory'

/*
 * Products of thin matrices: core/kernels/products.ts says what they are. In F64, each sum in order; lanes hold neighbouring columns. Rows of the matrix,
 * or of what is added to, lie in the values' region, right in the codes' region, rows of left in one of their own.
 */

/** left = matrix right, of a rank that is a multiple of 2. */
export function timesRight(rows: i32, columns: i32, rank: i32): void {
  const rightBytes: usize = (<usize>rank) << 3
  const rowBytes: usize = (<usize>columns) << 3
  const end = codesAt + <usize>columns * rightBytes
  let row: usize = 0
  // Two rows at a time, four numbers of left each.
  for (; row + 2 <= <usize>rows; row += 2) {
    const first = valuesAt + row * rowBytes
    const to = leftAt + row * rightBytes
    let k: usize = 0
    for (; k + 32 <= rightBytes; k += 32) {
      let a = f64x2.splat(0)
      let b = f64x2.splat(0)
      let c = f64x2.splat(0)
      let d = f64x2.splat(0)
      let at = first
      for (let right = codesAt + k; right < end; right += rightBytes, at += 8) {
        const x = v128.load_splat<f64>(at)
        const y = v128.load_splat<f64>(at + rowBytes)
        const low = v128.load(right)
        const high = v128.load(right, 16)
        a = f64x2.add(a, f64x2.mul(x, low))
        b = f64x2.add(b, f64x2.mul(x, high))
        c = f64x2.add(c, f64x2.mul(y, low))
        d = f64x2.add(d, f64x2.mul(y, high))
      }
      v128.store(to + k, a)
      v128.store(to + k, b, 16)
      v128.store(to + k + rightBytes, c)
      v128.store(to + k + rightBytes, d, 16)
    }
    for (; k < rightBytes; k += 16) {
      v128.store(to + k, dot(first, k, rightBytes, end))
      v128.store(to + k + rightBytes, dot(first + rowBytes, k, rightBytes, end))
    }
  }
  for (; row < <usize>rows; row++) for (let k: usize = 0; k < rightBytes; k += 16) v128.store(leftAt + row * rightBytes + k, dot(valuesAt + row * rowBytes, k, rightBytes, end))
}

function dot(from: usize, k: usize, rightBytes: usize, end: usize): v128 {
  let sum = f64x2.splat(0)
  for (let right = codesAt + k; right < end; right += rightBytes, from += 8) sum = f64x2.add(sum, f64x2.mul(v128.load_splat<f64>(from), v128.load(right)))
  return sum
}

/** Adds matrixᵀ left to what is at `sums`, of a rank that is a multiple of 2. */
export function addTimesLeft(rows: i32, columns: i32, rank: i32, sums: usize): void {
  const rightBytes: usize = (<usize>rank) << 3
  const rowBytes: usize = (<usize>columns) << 3
  let row: usize = 0
  // Four rows at a time, so that sums are loaded and stored less.
  for (; row + 4 <= <usize>rows; row += 4) {
    const left = leftAt + row * rightBytes
    for (let k: usize = 0; k < rightBytes; k += 16) {
      const a = v128.load(left + k)
      const b = v128.load(left + k + rightBytes)
      const c = v128.load(left + k + 2 * rightBytes)
      const d = v128.load(left + k + 3 * rightBytes)
      let at = valuesAt + row * rowBytes
      const end = at + rowBytes
      for (let right = sums + k; at < end; right += rightBytes, at += 8) {
        let sum = f64x2.add(v128.load(right), f64x2.mul(v128.load_splat<f64>(at), a))
        sum = f64x2.add(sum, f64x2.mul(v128.load_splat<f64>(at + rowBytes), b))
        sum = f64x2.add(sum, f64x2.mul(v128.load_splat<f64>(at + 2 * rowBytes), c))
        v128.store(right, f64x2.add(sum, f64x2.mul(v128.load_splat<f64>(at + 3 * rowBytes), d)))
      }
    }
  }
  for (; row < <usize>rows; row++) {
    for (let k: usize = 0; k < rightBytes; k += 16) {
      const a = v128.load(leftAt + row * rightBytes + k)
      let at = valuesAt + row * rowBytes
      const end = at + rowBytes
      for (let right = sums + k; at < end; right += rightBytes, at += 8) v128.store(right, f64x2.add(v128.load(right), f64x2.mul(v128.load_splat<f64>(at), a)))
    }
  }
}

/** Adds left rightᵀ to F32 values, with right as [rank, columns]; columns are a multiple of 4. */
export function addProduct(rows: i32, columns: i32, rank: i32): void {
  const leftBytes: usize = (<usize>rank) << 3
  const rightBytes: usize = (<usize>columns) << 3
  let at = valuesAt
  let left = leftAt
  for (let row = 0; row < rows; row++, left += leftBytes) {
    for (let column = codesAt; column < codesAt + rightBytes; column += 32, at += 16) {
      const x = v128.load(at)
      let low = f64x2.promote_low_f32x4(x)
      let high = f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 2, 3))
      let right = column
      for (let k = left; k < left + leftBytes; k += 8, right += rightBytes) {
        const factor = v128.load_splat<f64>(k)
        low = f64x2.add(low, f64x2.mul(factor, v128.load(right)))
        high = f64x2.add(high, f64x2.mul(factor, v128.load(right, 16)))
      }
      v128.store(at, i64x2.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2))
    }
  }
}
