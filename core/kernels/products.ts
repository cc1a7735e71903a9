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
  const columns = right.length / rank
  right.fill(0)
  for (let row = 0; row < left.length / rank; row++) {
    for (let c = 0; c < columns; c++) {
      const x = matrix[row * columns + c]!
      for (let k = 0; k < rank; k++) right[c * rank + k]! += x * left[row * rank + k]!
    }
  }
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
