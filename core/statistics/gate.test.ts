import { describe, expect, it } from 'vitest'
import type { Interval, Outcome, Quality } from '#core/contract/run.ts'
import type { GateSpec } from '#core/contract/spec.ts'
import { judge, outcomeOf } from './gate.ts'

const NONE: GateSpec = { lnRatio: null, klMean: null, klP99: null, deltaPerplexity: null }

function interval(low: number, mean: number, high: number): Interval {
  return { mean, low, high, standardError: (high - low) / 4, level: 0.95 }
}

function qualityWith(change: { lnRatio?: Interval; deltaPerplexity?: Interval; kl?: Interval; p99?: number }): Quality {
  const zero = interval(0, 0, 0)
  return {
    tokens: 1000,
    clusters: 10,
    perplexity: 10,
    lnRatio: change.lnRatio ?? zero,
    deltaPerplexity: change.deltaPerplexity ?? zero,
    kl: { ...(change.kl ?? zero), median: 0, p90: 0, p99: change.p99 ?? 0, p999: 0, max: 0, topPercentShare: 0, shareOfWrongCache: null },
    flips: { rate: 0, low: 0, high: 0 },
    deltaP: { mean: 0, rms: 0 },
    byDepth: [],
  }
}

describe('judge', () => {
  const rows: [string, Interval, Outcome, number | null][] = [
    ['all below', interval(0.002, 0.004, 0.009), 'pass', null],
    ['an improvement', interval(-0.9, -0.8, -0.7), 'pass', null],
    ['nothing', interval(0, 0, 0), 'pass', null],
    ['upper bound on the limit', interval(0, 0.005, 0.01), 'inconclusive', 100],
    ['over the limit, mean below: half-width 0.02 must become under 0.01', interval(-0.02, 0, 0.02), 'inconclusive', 3100],
    ['mean on the limit', interval(0.008, 0.01, 0.012), 'inconclusive', null],
    ['mean over the limit', interval(0.008, 0.011, 0.014), 'inconclusive', null],
    ['lower bound on the limit', interval(0.01, 0.012, 0.014), 'inconclusive', null],
    ['all above', interval(0.011, 0.012, 0.014), 'fail', null],
  ]

  it.each(rows)('%s', (_, measured, outcome, moreTokens) => {
    for (const [metric, quality] of [
      ['lnRatio', qualityWith({ lnRatio: measured })],
      ['klMean', qualityWith({ kl: measured })],
      ['deltaPerplexity', qualityWith({ deltaPerplexity: measured })],
    ] as const) {
      const { mean: value, low, high } = measured
      expect(judge(quality, { ...NONE, [metric]: 0.01 }, 100)).toEqual([{ metric, limit: 0.01, value, low, high, outcome, moreTokens }])
    }
  })

  it('holds the 99th percentile as measured', () => {
    const rule = (p99: number): unknown => judge(qualityWith({ p99 }), { ...NONE, klP99: 0.1 }, 100)[0]
    expect(rule(0.0999)).toEqual({ metric: 'klP99', limit: 0.1, value: 0.0999, low: null, high: null, outcome: 'pass', moreTokens: null })
    expect(rule(0.1)).toMatchObject({ outcome: 'fail' })
    expect(rule(0.2)).toMatchObject({ outcome: 'fail', moreTokens: null })
  })

  it('asks for as many tokens as would do, were the mean to stay', () => {
    const [rule] = judge(qualityWith({ lnRatio: interval(-0.011, 0.003, 0.017) }), { ...NONE, lnRatio: 0.01 }, 100)
    const tokens = 1000 + (rule?.moreTokens ?? 0)
    const half = (scored: number): number => 0.014 * Math.sqrt(1000 / scored)
    expect(0.003 + half(tokens)).toBeLessThan(0.01)
    expect(0.003 + half(tokens - 100)).toBeGreaterThanOrEqual(0.01)
  })

  it('leaves out what the gate leaves out', () => {
    expect(judge(qualityWith({ p99: 9 }), NONE, 100)).toEqual([])
    expect(judge(qualityWith({}), { lnRatio: 1, klMean: 1, klP99: 1, deltaPerplexity: 1 }, 100).map(({ metric }) => metric)).toEqual(['lnRatio', 'klMean', 'klP99', 'deltaPerplexity'])
  })
})

describe('outcomeOf', () => {
  const of = (...outcomes: Outcome[]): Outcome => outcomeOf(outcomes.map((outcome) => ({ metric: 'klMean', limit: 1, value: 0, low: null, high: null, outcome, moreTokens: null })))

  it('passes only when all rules do; a failure settles it', () => {
    expect(of('pass')).toBe('pass')
    expect(of('pass', 'pass')).toBe('pass')
    expect(of('pass', 'inconclusive')).toBe('inconclusive')
    expect(of('inconclusive', 'fail', 'pass')).toBe('fail')
    expect(of('fail')).toBe('fail')
  })

  it('a gate without limits decides nothing', () => {
    expect(of()).toBe('inconclusive')
  })
})
