import fc from 'fast-check'
import { expect, it } from 'vitest'
import { typescriptKernels } from '#core/kernels/typescript.ts'
import { bitsOf, floats, same } from '../../test/kernel-twins.ts'

const shapes = fc.record({ rows: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(127, 300)), columns: fc.constantFrom(1, 3, 4, 8, 20, 64, 128, 1024), rank: fc.constantFrom(1, 2, 3, 4, 5, 8, 9, 16, 64) })
const some = fc.array(fc.oneof(fc.double({ min: -4, max: 4, noNaN: true }), fc.constantFrom(0, -0, 1e300, -1e-300, 2 ** -149)), { minLength: 1, maxLength: 60 })

function wide(length: number, from: readonly number[], step: number): Float64Array {
  return Float64Array.from({ length }, (_, i) => (from[(i * step) % from.length] ?? 0) * (1 + (i % 11) / 16))
}

it('products with thin matrices are the same, and in order', () => {
  const property = fc.property(shapes, some, ({ rows, columns, rank }, numbers) => {
    const matrix = wide(rows * columns, numbers, 7)
    const right = wide(columns * rank, numbers, 3)
    const left = same((implementation) => {
      const out = new Float64Array(rows * rank).fill(7)
      implementation.timesRight(matrix, right, rank, out)
      return out
    }) as Float64Array
    let first = 0
    for (let c = 0; c < columns; c++) first += (matrix[c] ?? 0) * (right[c * rank] ?? 0)
    expect(left[0]).toBe(first)
    const turned = same((implementation) => {
      const out = right.slice()
      implementation.turnRight(matrix, out, rank)
      return out
    }) as Float64Array
    const twice = new Float64Array(right.length)
    typescriptKernels.timesLeft(matrix, left, rank, twice)
    expect(Buffer.compare(new Uint8Array(turned.buffer), new Uint8Array(twice.buffer))).toBe(0)
    const thin = wide(rows * rank, numbers, 5)
    const back = same((implementation) => {
      const out = new Float64Array(columns * rank).fill(7)
      implementation.timesLeft(matrix, thin, rank, out)
      return out
    }) as Float64Array
    let last = 0
    for (let t = 0; t < rows; t++) last += (matrix[(t + 1) * columns - 1] ?? 0) * (thin[(t + 1) * rank - 1] ?? 0)
    expect(back.at(-1)).toBe(last)
  })
  fc.assert(property, { numRuns: 80 })
})

it('added products are the same, and rounded once', () => {
  const small = fc.array(fc.oneof(fc.double({ min: -4, max: 4, noNaN: true }), fc.constantFrom(0, -0, 65504, 2 ** -24, Infinity, NaN)), { minLength: 1, maxLength: 60 })
  const property = fc.property(shapes, small, ({ rows, columns, rank }, numbers) => {
    const [values, left, right] = [rows * columns, rows * rank, columns * rank].map((length, k) => floats(wide(length, numbers, 3 + 2 * k))) as [Float32Array, Float32Array, Float32Array]
    const sums = same((implementation) => {
      const out = floats(values)
      implementation.addProduct(out, left, right, rank)
      return bitsOf(out)
    }) as Uint32Array
    let last = values.at(-1) ?? 0
    for (let k = 0; k < rank; k++) last += (left[(rows - 1) * rank + k] ?? 0) * (right[(columns - 1) * rank + k] ?? 0)
    expect(sums.at(-1)).toBe(bitsOf(Float32Array.of(last))[0])
  })
  fc.assert(property, { numRuns: 80 })
})
