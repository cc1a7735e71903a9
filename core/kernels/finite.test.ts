import fc from 'fast-check'
import { expect, it } from 'vitest'
import { firstNonFinite } from './finite.ts'

it('finds the first NaN or infinity at any place of any length', () => {
  const bad = fc.constantFrom(NaN, Infinity, -Infinity)
  fc.assert(
    fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true, maxLength: 40 }), fc.array(fc.tuple(fc.nat(), bad), { maxLength: 3 }), (values, faults) => {
      for (const [at, value] of faults) if (values.length > 0) values[at % values.length] = value
      expect(firstNonFinite(values)).toBe(values.findIndex((value) => !Number.isFinite(value)))
    }),
    { numRuns: 500 },
  )
})

it('does not take large, tiny or opposite values for a fault', () => {
  expect(firstNonFinite(Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 1e-45, -0, 3.4028234663852886e38, 3.4028234663852886e38, 1, 2, 3))).toBe(-1)
  expect(firstNonFinite(new Float32Array(0))).toBe(-1)
})
