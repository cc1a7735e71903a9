import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { normalQuantile, quantile } from './quantile.ts'

function golden(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../test/golden/statistics/${name}`, import.meta.url), 'utf8'))
}

it('quantiles are those of numpy.percentile', () => {
  for (const { values, shares, quantiles } of golden('quantile.json') as { values: number[]; shares: number[]; quantiles: number[] }[]) {
    const sorted = Float64Array.from(values).sort()
    shares.forEach((share, i) => expect(Math.abs(quantile(sorted, share) / quantiles[i]! - 1), `${values.length} values at ${share}`).toBeLessThan(1e-12))
  }
})

it('a quantile of equal values is that value, of none NaN', () => {
  expect(quantile(new Float64Array(1000).fill(0.1), 0.999)).toBe(0.1)
  expect(quantile(new Float64Array(), 0.5)).toBeNaN()
})

it('normal quantiles agree with an independent implementation', () => {
  for (const { share, z } of golden('normal.json') as { share: number; z: number }[]) {
    expect(normalQuantile(share), String(share)).toBeCloseTo(z, share > 0.999999 ? 6 : 10)
  }
  expect(normalQuantile(1 - 2 ** -53)).toBeGreaterThan(8)
})
