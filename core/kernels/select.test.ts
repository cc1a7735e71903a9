import fc from 'fast-check'
import { expect, it } from 'vitest'
import { F32_MAX, floats, hostile, plain, same } from '../../test/kernel-twins.ts'

it('of each row the value that sorting would put there, the same', () => {
  const value = fc.oneof(plain, hostile, fc.integer({ min: -2, max: 2 }), fc.constantFrom(0, -0, F32_MAX, -F32_MAX, Infinity, -Infinity))
  const sized = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(64, 192, 16_384, 16_387)).chain((length) => fc.record({ length: fc.constant(length), rows: length > 1000 ? fc.constantFrom(1, 2) : fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constantFrom(1030)), index: fc.nat(length - 1) }))
  const property = fc.property(sized, fc.array(value, { minLength: 1, maxLength: 90 }), ({ length, rows, index }, some) => {
    const values = floats(Array.from({ length: rows * length }, (_, i) => (some[(i * 7) % some.length] ?? 0) * (1 + (i % 5) / 8)))
    const selected = same((implementation) => {
      const out = new Float32Array(rows)
      implementation.selectRows(values, length, index, out)
      return out
    }) as Float32Array
    const last = (rows - 1) * length
    for (const [row, from] of [[0, 0], [rows - 1, last]] as const) expect(selected[row]).toBe((values.slice(from, from + length).sort()[index] ?? NaN) + 0)
  })
  fc.assert(property, { numRuns: 150 })
})
