import fc from 'fast-check'
import { expect, it } from 'vitest'
import { F32_MAX } from '../../test/kernel-twins.ts'
import { Ascending } from './ascending.ts'

it('answers as sorted numbers do, and leaves them as they are', () => {
  const number = fc.oneof(fc.double({ min: -1, max: 1, noNaN: true }), fc.integer({ min: -3, max: 3 }), fc.constantFrom(0, -0, F32_MAX, -F32_MAX, 2 ** -149, -(2 ** -149)))
  const kinds = fc.oneof(fc.array(number, { minLength: 1, maxLength: 60 }), fc.array(fc.constantFrom(0.25, 0.5, 0.25 + 2 ** -24), { minLength: 1, maxLength: 40 }), fc.array(fc.constantFrom(0, 2 ** -149), { minLength: 1, maxLength: 9 }))
  fc.assert(
    fc.property(kinds, fc.constantFrom(1, 300), number, (some, times, x) => {
      const numbers = Float32Array.from({ length: some.length * times }, (_, i) => some[i % some.length]! * (1 - Math.floor(i / some.length) / 4096))
      const before = numbers.slice()
      const sorted = numbers.slice().sort()
      const order = new Ascending(numbers)
      const near = sorted.reduce((sum, y) => sum + Math.abs(y), 0) * 2 ** -40
      const total = (to: number): number => sorted.subarray(0, to).reduce((sum, y) => sum + y, 0)
      for (const bound of [x, Math.fround(x), sorted[0]!, sorted.at(-1), F32_MAX, -F32_MAX]) {
        const count = sorted.filter((y) => y < bound).length
        const below = order.below(bound)
        expect(below.count).toBe(count)
        expect(Math.abs(below.sum - total(count))).toBeLessThanOrEqual(near)
      }
      for (const index of [0, sorted.length >> 1, sorted.length - 1]) expect(order.at(index) + 0).toBe(sorted[index]! + 0)
      expect(order.all.count).toBe(sorted.length)
      expect(Math.abs(order.all.sum - total(sorted.length))).toBeLessThanOrEqual(near)
      expect(numbers).toEqual(before)
    }),
    { numRuns: 200 },
  )
})
