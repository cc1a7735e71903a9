import { expect, it } from 'vitest'
import { liveInterval } from './live.ts'

it('is the mean with its cluster-robust normal interval', () => {
  // Window means 0.1, 0.2, 0.6: mean 0.3, standard deviation sqrt(0.07), over sqrt(3).
  const interval = liveInterval([1, 2, 6], 10, 0.95)
  const standardError = Math.sqrt(0.07 / 3)
  expect(interval?.mean).toBeCloseTo(0.3, 14)
  expect(interval?.standardError).toBeCloseTo(standardError, 14)
  expect(interval?.low).toBeCloseTo(0.3 - 1.959963984540054 * standardError, 12)
  expect(interval?.high).toBeCloseTo(0.3 + 1.959963984540054 * standardError, 12)
  expect(interval?.level).toBe(0.95)
})

it('narrows with a lower level and is a point where windows do not differ', () => {
  const wide = liveInterval([1, 2, 6], 10, 0.99)!
  const narrow = liveInterval([1, 2, 6], 10, 0.8)!
  expect(narrow.high - narrow.low).toBeLessThan(wide.high - wide.low)
  expect(liveInterval([0, 0, 0], 10, 0.95)).toEqual({ mean: 0, low: 0, high: 0, standardError: 0, level: 0.95 })
})

it('does not exist under two windows', () => {
  expect(liveInterval([], 10, 0.95)).toBeNull()
  expect(liveInterval([3], 10, 0.95)).toBeNull()
})
