import { expect, it } from 'vitest'
import { resolvableLnRatio } from './planner.ts'

it('resolves half as much with four times the tokens', () => {
  expect(resolvableLnRatio(10_000)).toBeCloseTo(1.959963984540054 * 0.00055, 12)
  expect(resolvableLnRatio(40_000, 0.1)).toBeCloseTo(resolvableLnRatio(10_000, 0.1) / 2, 15)
})
