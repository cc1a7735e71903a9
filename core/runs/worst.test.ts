import fc from 'fast-check'
import { expect, it } from 'vitest'
import { KlHistogram, WorstTokens, type ScoredToken } from './worst.ts'

const token = (kl: number, position: number): ScoredToken => ({ window: 0, position, tokenId: 0, nllRef: 0, nllQ: 0, kl, agree: true })

it('keeps what a sort of all would have first, the first of equal ones', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 })), fc.integer({ min: 1, max: 10 }), (kls, limit) => {
      const worst = new WorstTokens(limit)
      const all = kls.map(token)
      for (const each of all) if (worst.takes(each.kl)) worst.add(each)
      expect(worst.sorted()).toEqual([...all].sort((a, b) => b.kl - a.kl).slice(0, limit))
    }),
  )
})

it('counts every KL once, in half decades', () => {
  const histogram = new KlHistogram()
  expect(histogram.edges).toHaveLength(21)
  expect(histogram.edges[0]).toBeCloseTo(1e-9, 20)
  expect(histogram.edges.at(-1)).toBe(10)
  for (const kl of [0, 0, 1e-12, -1e-17, 2e-9, 0.02, 0.05, 5, 700]) histogram.add(kl)
  expect(histogram.zeros).toBe(2)
  const bins = Object.fromEntries(histogram.counts.flatMap((count, i) => (count > 0 ? [[i, count]] : [])))
  // 2e-9 lies under half a decade; 0.02 and 0.05 on either side of 10^-1.5; 5 and 700 in the last.
  expect(bins).toEqual({ 0: 3, 14: 1, 15: 1, 19: 2 })
})
