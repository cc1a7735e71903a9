/** Kernels.timesRight in TypeScript. */
export function timesRight(matrix: Float64Array, right: Float64Array, rank: number, left: Float64Array): void {
  const columns = right.length / rank
  for (let row = 0; row < left.length / rank; row++) {
    for (let k = 0; k < rank; k++) {
      let sum = 0
      for (let c = 0; c < columns; c++) sum += matrix[row * columns + c]! * right[c * rank + k]!
      left[row * rank + k] = sum
    }
  }
}

/** Kernels.timesLeft in TypeScript. */
export function timesLeft(matrix: Float64Array, left: Float64Array, rank: number, right: Float64Array): void {
  right.fill(0)
  addTimesLeft(matrix, left, rank, right)
}

function addTimesLeft(matrix: Float64Array, left: Float64Array, rank: number, right: Float64Array): void {
  const columns = right.length / rank
  for (let row = 0; row < left.length / rank; row++) {
    for (let c = 0; c < columns; c++) {
      const x = matrix[row * columns + c]!
      for (let k = 0; k < rank; k++) right[c * rank + k]! += x * left[row * rank + k]!
    }
  }
}

/** Kernels.turnRight in TypeScript. */
export function turnRight(matrix: Float64Array, right: Float64Array, rank: number): void {
  const columns = right.length / rank
  const left = new Float64Array(rank)
  const turned = new Float64Array(right.length)
  for (let at = 0; at < matrix.length; at += columns) {
    const row = matrix.subarray(at, at + columns)
    timesRight(row, right, rank, left)
    addTimesLeft(row, left, rank, turned)
  }
  right.set(turned)
}

/** Kernels.addProduct in TypeScript. */
export function addProduct(values: Float32Array, left: Float32Array, right: Float32Array, rank: number): void {
  const columns = right.length / rank
  for (let row = 0; row < left.length / rank; row++) {
    for (let c = 0; c < columns; c++) {
      let sum = values[row * columns + c]!
      for (let k = 0; k < rank; k++) sum += left[row * rank + k]! * right[c * rank + k]!
      values[row * columns + c] = sum
    }
  }
}
