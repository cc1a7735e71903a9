import type { Exports } from './exports.ts'
import type { Kernels } from './kernels.ts'
import { typescriptKernels } from './typescript.ts'

/** Numbers of F64 in the regions of the values and codes, and in that of left. */
const WIDE = 8192
const THIN = 4096
const F64_BYTES = 8

type ProductKernels = Pick<Kernels, 'timesRight' | 'timesLeft' | 'turnRight' | 'addProduct'>

/** Products with thin matrices on WebAssembly, rows by tiles. Right stays in its region; what does not fit there is left to TypeScript. */
export function productKernels(wasm: Exports): ProductKernels {
  const { buffer } = wasm.memory
  const tileMatrix = new Float64Array(buffer, wasm.valuesAt.value, WIDE)
  const tileValues = new Float32Array(buffer, wasm.valuesAt.value, wasm.tileValues.value)
  const tileRight = new Float64Array(buffer, wasm.codesAt.value, WIDE)
  const tileLeft = new Float64Array(buffer, wasm.leftAt.value, THIN)

  const products: ProductKernels = {
    timesRight(matrix, right, rank, left) {
      const columns = right.length / rank
      const even = rank + (rank & 1)
      if (columns * even > WIDE) return typescriptKernels.timesRight(matrix, right, rank, left)
      const rows = left.length / rank
      widen(right, rank, tileRight, even)
      const most = rowsOf(columns, even)
      for (let from = 0; from < rows; from += most) {
        const to = Math.min(from + most, rows)
        tileMatrix.set(matrix.subarray(from * columns, to * columns))
        wasm.timesRight(to - from, columns, even)
        narrow(tileLeft, even, left.subarray(from * rank, to * rank), rank)
      }
    },

    timesLeft(matrix, left, rank, right) {
      const columns = right.length / rank
      const even = rank + (rank & 1)
      if (columns * even > WIDE) return typescriptKernels.timesLeft(matrix, left, rank, right)
      const rows = left.length / rank
      tileRight.fill(0, 0, columns * even)
      const most = rowsOf(columns, even)
      for (let from = 0; from < rows; from += most) {
        const to = Math.min(from + most, rows)
        tileMatrix.set(matrix.subarray(from * columns, to * columns))
        widen(left.subarray(from * rank, to * rank), rank, tileLeft, even)
        wasm.addTimesLeft(to - from, columns, even, wasm.codesAt.value)
      }
      narrow(tileRight, even, right, rank)
    },

    turnRight(matrix, right, rank) {
      const columns = right.length / rank
      const even = rank + (rank & 1)
      // What it was and what it becomes, side by side.
      const size = columns * even
      if (2 * size > WIDE) {
        const left = new Float64Array((matrix.length / columns) * rank)
        products.timesRight(matrix, right, rank, left)
        return products.timesLeft(matrix, left, rank, right)
      }
      widen(right, rank, tileRight, even)
      tileRight.fill(0, size, 2 * size)
      const most = rowsOf(columns, even) * columns
      for (let from = 0; from < matrix.length; from += most) {
        const part = matrix.subarray(from, from + most)
        const rows = part.length / columns
        tileMatrix.set(part)
        wasm.timesRight(rows, columns, even)
        wasm.addTimesLeft(rows, columns, even, wasm.codesAt.value + size * F64_BYTES)
      }
      narrow(tileRight.subarray(size), even, right, rank)
    },

    addProduct(values, left, right, rank) {
      const columns = right.length / rank
      if (columns * rank > WIDE || columns % 4 !== 0) return typescriptKernels.addProduct(values, left, right, rank)
      for (let c = 0; c < columns; c++) for (let k = 0; k < rank; k++) tileRight[k * columns + c] = right[c * rank + k] ?? 0
      const rows = left.length / rank
      const most = Math.min(Math.floor(tileValues.length / columns), Math.floor(THIN / rank))
      for (let from = 0; from < rows; from += most) {
        const to = Math.min(from + most, rows)
        tileValues.set(values.subarray(from * columns, to * columns))
        tileLeft.set(left.subarray(from * rank, to * rank))
        wasm.addProduct(to - from, columns, rank)
        values.set(tileValues.subarray(0, (to - from) * columns), from * columns)
      }
    },
  }
  return products
}

/** Rows of a tile. */
function rowsOf(columns: number, rank: number): number {
  return Math.min(Math.floor(WIDE / columns), Math.floor(THIN / rank))
}

/** Rows of `rank` numbers to rows of one more where that is odd, with zeros. */
function widen(from: Float64Array, rank: number, to: Float64Array, even: number): void {
  if (rank === even) return to.set(from)
  for (let at = 0, i = 0; i < from.length; i += rank, at += even) {
    for (let k = 0; k < rank; k++) to[at + k] = from[i + k] ?? 0
    to[at + rank] = 0
  }
}

/** The way back, as many rows as `to` has. */
function narrow(from: Float64Array, even: number, to: Float64Array, rank: number): void {
  if (rank === even) return to.set(from.subarray(0, to.length))
  for (let at = 0, i = 0; i < to.length; i += rank, at += even) for (let k = 0; k < rank; k++) to[i + k] = from[at + k] ?? 0
}
