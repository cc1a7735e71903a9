import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import type { Quality } from '#core/contract/run.ts'
import { Bootstrap } from './bootstrap.ts'
import { liveInterval } from './live.ts'
import { windowSums } from './clusters.ts'
import { quality } from './quality.ts'
import { Xoshiro128 } from './random.ts'
import type { TokenSamples } from './samples.ts'

type Golden = {
  samples: { tokensPerWindow: number; nllRef: number[]; nll: number[]; kl: number[]; agree: number[] }
  options: { level: number; wrongCacheKl: number; resamples: number; seed: number }
  quality: Quality
}
const golden = JSON.parse(readFileSync(new URL('../../test/golden/statistics/quality.json', import.meta.url), 'utf8')) as Golden

function samplesOf({ tokensPerWindow, nllRef, nll, kl, agree }: Golden['samples']): TokenSamples {
  return { tokensPerWindow, nllRef: Float64Array.from(nllRef), nll: Float64Array.from(nll), kl: Float64Array.from(kl), agree: Uint8Array.from(agree) }
}

/** Every number of `actual` within a relative 1e-10 of `expected`, and the same fields. */
function expectClose(actual: unknown, expected: unknown, path = ''): void {
  if (typeof expected === 'number') {
    expect(typeof actual, path).toBe('number')
    expect(Math.abs((actual as number) - expected), path).toBeLessThanOrEqual(1e-10 * Math.abs(expected) + 1e-15)
  } else if (expected !== null && typeof expected === 'object') {
    const fields = Object.keys(expected)
    expect(Object.keys(actual as object).sort(), path).toEqual(fields.sort())
    for (const field of fields) expectClose((actual as Record<string, unknown>)[field], (expected as Record<string, unknown>)[field], `${path}.${field}`)
  } else {
    expect(actual, path).toBe(expected)
  }
}

/** Standard normal numbers by Box and Muller. */
function normals(seed: number, count: number): Float64Array {
  const numbers = new Uint32Array(2 * count)
  Xoshiro128.fromSeed(seed).fill(numbers)
  return Float64Array.from({ length: count }, (_, i) => Math.sqrt(-2 * Math.log((numbers[2 * i]! + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * numbers[2 * i + 1]!) / 2 ** 32))
}

function identical(windows: number, tokensPerWindow: number): TokenSamples {
  const nll = normals(3, windows * tokensPerWindow).map((value) => Math.abs(value))
  return { tokensPerWindow, nllRef: nll, nll, kl: new Float64Array(nll.length), agree: new Uint8Array(nll.length).fill(1) }
}

describe('quality', () => {
  it('agrees with the definitions written out in numpy', () => {
    const { level, wrongCacheKl, resamples, seed } = golden.options
    const samples = samplesOf(golden.samples)
    const bootstrap = new Bootstrap(golden.quality.clusters, { resamples, seed })
    expectClose(quality(samples, { level, bootstrap, wrongCacheKl }), golden.quality)
  })

  it('is exactly nothing for the identity', () => {
    const result = quality(identical(5, 31), { level: 0.95, bootstrap: new Bootstrap(5, { resamples: 200, seed: 0 }), wrongCacheKl: null })
    const nothing = { mean: 0, low: 0, high: 0, standardError: 0, level: 0.95 }
    expect(result.lnRatio).toEqual(nothing)
    expect(result.deltaPerplexity).toEqual(nothing)
    expect(result.kl).toEqual({ ...nothing, median: 0, p90: 0, p99: 0, p999: 0, max: 0, topPercentShare: 0, shareOfWrongCache: null })
    expect(result.flips).toEqual({ rate: 0, low: 0, high: 0 })
    expect(result.deltaP).toEqual({ mean: 0, rms: 0 })
    expect(result.byDepth.every(({ klMean, lnRatio }) => klMean === 0 && lnRatio === 0)).toBe(true)
  })

  it('has eight depth buckets that cover every scored token once, fewer for short windows', () => {
    const depths = (tokensPerWindow: number): Quality['byDepth'] =>
      quality(identical(3, tokensPerWindow), { level: 0.95, bootstrap: new Bootstrap(3, { resamples: 10, seed: 0 }), wrongCacheKl: null }).byDepth
    for (const tokensPerWindow of [3, 8, 31, 255]) {
      const buckets = depths(tokensPerWindow)
      expect(buckets).toHaveLength(Math.min(8, tokensPerWindow))
      expect(buckets[0]?.from).toBe(1)
      expect(buckets.at(-1)?.to).toBe(tokensPerWindow)
      buckets.slice(1).forEach((bucket, i) => expect(bucket.from).toBe(buckets[i]!.to + 1))
      expect(buckets.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(3 * tokensPerWindow)
      const sizes = buckets.map(({ tokens }) => tokens)
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(3)
    }
  })

  it('says how heavy the tail of KL is', () => {
    const samples = { ...identical(4, 50), kl: new Float64Array(200).fill(0.001) }
    samples.kl[77] = 1
    samples.kl[78] = 0.5
    const { kl } = quality(samples, { level: 0.95, bootstrap: new Bootstrap(4, { resamples: 10, seed: 0 }), wrongCacheKl: 0.1 })
    expect(kl.max).toBe(1)
    expect(kl.median).toBe(0.001)
    expect(kl.topPercentShare).toBeCloseTo(1.5 / 1.698, 12)
    expect(kl.shareOfWrongCache).toBeCloseTo(1.698 / 200 / 0.1, 12)
  })

  it('refuses samples that are not whole windows or not those of the bootstrap', () => {
    const bootstrap = new Bootstrap(5, { resamples: 10, seed: 0 })
    const options = { level: 0.95, bootstrap, wrongCacheKl: null }
    expect(() => quality({ ...identical(5, 10), tokensPerWindow: 9 }, options)).toThrow(LabError)
    expect(() => quality({ ...identical(5, 10), kl: new Float64Array(49) }, options)).toThrow(LabError)
    expect(() => quality(identical(4, 10), options)).toThrow(LabError)
  })
})

describe('coverage', () => {
  it('the interval of Δ ln PPL holds the truth in 95 % of runs, though the tokens of a window are correlated', () => {
    const [runs, clusters, tokensPerWindow, truth] = [2000, 100, 4, 0.01]
    let covered = 0
    let coveredLive = 0
    let coveredNaive = 0
    for (let run = 0; run < runs; run++) {
      const noise = normals(run, clusters * tokensPerWindow + clusters)
      const shift = noise.subarray(clusters * tokensPerWindow)
      const nllRef = new Float64Array(clusters * tokensPerWindow).fill(3)
      const nll = nllRef.map((loss, i) => loss + truth + 0.05 * noise[i]! + 0.06 * shift[Math.floor(i / tokensPerWindow)]!)
      const samples: TokenSamples = { tokensPerWindow, nllRef, nll, kl: new Float64Array(nll.length), agree: new Uint8Array(nll.length) }
      const { lnRatio } = quality(samples, { level: 0.95, bootstrap: new Bootstrap(clusters, { resamples: 300, seed: run }), wrongCacheKl: null })
      if (lnRatio.low < truth && truth < lnRatio.high) covered++
      const difference = nll.map((loss, i) => loss - nllRef[i]!)
      const live = liveInterval(windowSums(difference, tokensPerWindow), tokensPerWindow, 0.95)!
      if (live.low < truth && truth < live.high) coveredLive++
      const naive = liveInterval(difference, 1, 0.95)!
      if (naive.low < truth && truth < naive.high) coveredNaive++
    }
    expect(covered / runs).toBeGreaterThanOrEqual(0.93)
    expect(covered / runs).toBeLessThanOrEqual(0.97)
    expect(coveredLive / runs).toBeGreaterThanOrEqual(0.93)
    expect(coveredLive / runs).toBeLessThanOrEqual(0.97)
    // What ignoring the windows would cost: the test can tell.
    expect(coveredNaive / runs).toBeLessThan(0.8)
  })
})
