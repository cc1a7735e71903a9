import { kernels } from './index.ts'
import { randomSigns } from './random-rotation.ts'

/** Turns of the power iteration, the last of them between orthonormal columns. */
const TURNS = 3
/** Where the signs of the first columns begin; any number but 0 would do. */
export const LOW_RANK_SEED = 0xc2b2ae35 | 0
/** What is left of a column that depends on those before it: a part of its length. */
const DEPENDENT = 1e-10

/**
 * `matrix` [rows, columns] as left rightᵀ by the power iteration of GEAR in F64: right begins as columns of signs, then TURNS times left = matrix right and
 * right = matrixᵀ left, where in the last turn both are made orthonormal before they are used. So left ends with orthonormal columns, or zeros where the
 * matrix has less rank. `left` is [rows, rank], `right` [columns, rank].
 */
export function lowRank(matrix: Float64Array, rows: number, columns: number, rank: number, left: Float64Array, right: Float64Array): void {
  const signs = randomSigns(columns * rank, LOW_RANK_SEED)
  for (let c = 0; c < columns; c++) for (let k = 0; k < rank; k++) right[c * rank + k] = signs[k * columns + c]!
  for (let turn = 1; turn < TURNS; turn++) kernels.turnRight(matrix, right, rank)
  orthonormal(right, columns, rank)
  kernels.timesRight(matrix, right, rank, left)
  orthonormal(left, rows, rank)
  kernels.timesLeft(matrix, left, rank, right)
}

/** Gram and Schmidt's columns, each freed twice of those before it: once leaves too much where columns are almost parallel. */
function orthonormal(columns: Float64Array, rows: number, rank: number): void {
  for (let k = 0; k < rank; k++) {
    const before = length(columns, rows, rank, k)
    for (let time = 0; time < 2; time++) {
      for (let j = 0; j < k; j++) {
        let dot = 0
        for (let i = 0; i < rows; i++) dot += columns[i * rank + j]! * columns[i * rank + k]!
        for (let i = 0; i < rows; i++) columns[i * rank + k]! -= dot * columns[i * rank + j]!
      }
    }
    const after = length(columns, rows, rank, k)
    const factor = after > DEPENDENT * before ? 1 / after : 0
    for (let i = 0; i < rows; i++) columns[i * rank + k]! *= factor
  }
}

function length(columns: Float64Array, rows: number, rank: number, k: number): number {
  let squares = 0
  for (let i = 0; i < rows; i++) squares += columns[i * rank + k]! ** 2
  return Math.sqrt(squares)
}
