import { expect, it } from 'vitest'
import { resolvableLnRatio, tokensFor } from './planner.ts'

it('needs the tokens that the published deviations imply', () => {
  // Rounded examples of the design: 24k tokens at 0.055, 29k at 0.06, 587k at 0.27 for 0.1 %; a hundredth of that for 1 %.
  for (const [deviation, tokens] of [[0.055, 24_000], [0.06, 29_000], [0.27, 587_000]] as const) {
    expect(Math.abs(tokensFor(0.001, deviation) / tokens - 1)).toBeLessThan(0.04)
    expect(Math.abs(tokensFor(0.01, deviation) / (tokens / 100) - 1)).toBeLessThan(0.05)
  }
  expect(tokensFor(0.001)).toBe(tokensFor(0.001, 0.055))
})

it('resolves half as much with four times the tokens', () => {
  expect(resolvableLnRatio(10_000)).toBeCloseTo(1.959963984540054 * 0.00055, 12)
  expect(resolvableLnRatio(40_000, 0.1)).toBeCloseTo(resolvableLnRatio(10_000, 0.1) / 2, 15)
})
