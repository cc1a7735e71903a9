import { describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { Bootstrap } from './bootstrap.ts'
import { normalQuantile } from './quantile.ts'
import { Xoshiro128 } from './random.ts'

function uniform(seed: number, count: number): Float64Array {
  const numbers = new Uint32Array(count)
  Xoshiro128.fromSeed(seed).fill(numbers)
  return Float64Array.from(numbers, (value) => value / 2 ** 32)
}

describe('bootstrap', () => {
  it('is decided by its seed alone', () => {
    const values = uniform(1, 30)
    const bounds = (seed: number): unknown => new Bootstrap(30, { resamples: 500, seed }).means([values], 0.95)
    expect(bounds(5)).toEqual(bounds(5))
    expect(bounds(5)).not.toEqual(bounds(6))
    const used = new Bootstrap(30, { resamples: 500, seed: 5 })
    used.means([uniform(2, 30)], 0.9)
    expect(used.means([values], 0.95)).toEqual(bounds(5))
  })

  it('is paired: all series share their resamples', () => {
    const values = uniform(1, 25)
    const bootstrap = new Bootstrap(25, { resamples: 300, seed: 0 })
    const [one, shifted, opposite] = bootstrap.means([values, values.map((value) => value + 8), values.map((value) => 1 - value)], 0.95)
    expect(shifted!.low - one!.low).toBeCloseTo(8, 12)
    expect(shifted!.high - one!.high).toBeCloseTo(8, 12)
    expect(opposite!.low).toBeCloseTo(1 - one!.high, 12)
    expect(bootstrap.means([values], 0.95)).toEqual([one])
  })

  it('is about the normal interval where that is right', () => {
    const values = uniform(4, 400)
    const mean = values.reduce((sum, value) => sum + value) / 400
    const half = (normalQuantile(0.975) * Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 400)) / 20
    const [{ low, high }] = new Bootstrap(400, { resamples: 10_000, seed: 0 }).means([values], 0.95) as [{ low: number; high: number }]
    expect(Math.abs(low - (mean - half))).toBeLessThan(0.03 * half)
    expect(Math.abs(high - (mean + half))).toBeLessThan(0.03 * half)
  })

  it('keeps a constant exactly', () => {
    expect(new Bootstrap(7, { resamples: 100, seed: 0 }).means([new Float64Array(7)], 0.95)).toEqual([{ low: 0, high: 0 }])
  })

  it('refuses one cluster, and series of another length', () => {
    expect(() => new Bootstrap(1, { resamples: 10, seed: 0 })).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining('needs at least 2 windows') as string }) as LabError)
    expect(() => new Bootstrap(3, { resamples: 10, seed: 0 }).means([new Float64Array(4)], 0.95)).toThrow(LabError)
  })
})
