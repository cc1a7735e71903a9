import fc from 'fast-check'
import { expect, it } from 'vitest'
import { sortFloats } from './sort.ts'

it('is the sort of the language', () => {
  const finite = fc.float({ noNaN: true, noDefaultInfinity: true })
  fc.assert(
    fc.property(fc.array(fc.oneof(finite, fc.constantFrom(0, -0, 1, -1, 3.4e38, -3.4e38, 1e-45, -1e-45)), { maxLength: 300 }), (numbers) => {
      const values = Float32Array.from([7, ...numbers]).subarray(1)
      const due = values.slice().sort()
      sortFloats(values)
      expect([...values].map((x) => (Object.is(x, -0) ? '-0' : x))).toEqual([...due].map((x) => (Object.is(x, -0) ? '-0' : x)))
    }),
    { numRuns: 300 },
  )
})
