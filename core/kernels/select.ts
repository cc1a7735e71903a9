/** The value that would stand at `index` if `numbers` were sorted; reorders them (Hoare's selection). */
export function select(numbers: Float32Array, index: number): number {
  let left = 0
  let right = numbers.length - 1
  while (left < right) {
    const pivot = numbers[(left + right) >> 1]!
    let i = left
    let j = right
    while (i <= j) {
      while (numbers[i]! < pivot) i++
      while (numbers[j]! > pivot) j--
      if (i > j) break
      const swapped = numbers[i]!
      numbers[i++] = numbers[j]!
      numbers[j--] = swapped
    }
    if (index <= j) right = j
    else if (index >= i) left = i
    else break
  }
  return numbers[index]!
}

/** Kernels.selectRows in TypeScript. */
export function selectRows(values: Float32Array, length: number, index: number, selected: Float32Array): void {
  const row = new Float32Array(length)
  for (let r = 0; r < selected.length; r++) {
    row.set(values.subarray(r * length, (r + 1) * length))
    selected[r] = select(row, index) + 0
  }
}
