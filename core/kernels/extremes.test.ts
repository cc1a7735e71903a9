import fc from 'fast-check'
import { expect, it } from 'vitest'
import { bitsUnder } from '#core/bytes/float.ts'
import { findExtremes, findRange, found, largestMagnitude } from './extremes.ts'

const value = fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -0, 1, -1, 2 ** -149, -(2 ** -149), 3.4028234663852886e38))
const numbers = fc.oneof(value, value.map(Math.abs), value.map((x) => -Math.abs(x)))
const runs = fc.integer({ min: 1, max: 9 }).chain((fours) => fc.array(numbers, { minLength: 4 * fours, maxLength: 4 * fours }))

it('are those of plain comparisons, in the run and nowhere else', () => {
  fc.assert(
    fc.property(fc.oneof(runs, runs.map((run) => run.map(Math.abs)), runs.map((run) => run.map((x) => -Math.abs(x)))), (run) => {
      const values = Float32Array.from([9e37, -9e37, ...run, -9e37, 9e37])
      const bits = bitsUnder(values)
      expect(largestMagnitude(bits, 2, run.length)).toBe(Math.max(...run.map(Math.abs)))
      findExtremes(bits, 2, run.length)
      expect([found[0]! + 0, found[1]!]).toEqual([Math.min(0, ...run) + 0, Math.max(0, ...run) + 0])
      findRange(values, bits, 2, run.length)
      // The first of equal zeros, as a loop of comparisons finds it.
      const pick = (better: (a: number, b: number) => boolean): number => run.reduce((best, x) => (better(x, best) ? x : best))
      expect([...found]).toEqual([pick((a, b) => a < b), pick((a, b) => a > b)])
    }),
    { numRuns: 300 },
  )
})
