import { describe, expect, it } from 'vitest'
import { emptySnapshot, type LiveTrial, type RunSnapshot } from '#core/contract/run.ts'
import { defaultSpec } from '#core/runs/spec.ts'
import { doneTrial, failedTrial, partialTrial, samplePlan, sampleResult } from '../../test/sample-result.ts'
import { paretoOption, paretoTable } from '../charts/pareto.ts'
import type { Palette } from '../charts/palette.ts'
import { controlsOf, rowsOf } from './rows.ts'

const METHODS = ['int8:g64', 'q8_0', 'int2:g32']
const spec = defaultSpec({ methods: METHODS })
const begun: RunSnapshot = { ...emptySnapshot({ id: 'run', folder: '/runs/run', createdAt: '', spec }), plan: samplePlan(METHODS) }
const interval = (mean: number, half: number): NonNullable<LiveTrial['klMean']> => ({ mean, low: mean - half, high: mean + half, standardError: half / 2, level: 0.95 })
const live = (method: string, bits: number, kl: number): LiveTrial => ({ method, status: 'running', reason: null, tokens: 310, lnRatio: interval(0.001, 0.002), klMean: interval(kl, kl / 10), flipRate: 0.01, bitsPerValue: bits })
const palette = new Proxy({}, { get: () => '#000' }) as Palette

describe('the rows of a run', () => {
  it('are its methods from the first moment, with nothing in them that was not measured', () => {
    const rows = rowsOf(begun)
    expect(rows.map(({ method, status, bits, kl, verdict, front }) => [method, status, bits, kl, verdict, front])).toEqual(METHODS.map((method) => [method, 'waiting', null, null, 'waiting', false]))
    expect(controlsOf(begun)).toBeNull()
  })

  it('hold what is known so far while it is measured, without verdicts, and the front of that', () => {
    const rows = rowsOf({ ...begun, live: [live('int8:g64', 8.4, 1e-5), live('q8_0', 8.6, 2e-5), live('int2:g32', 2.6, 0.5)] })
    expect(rows.map(({ outcome, verdict }) => [outcome, verdict])).toEqual(METHODS.map(() => [null, 'measuring']))
    expect(rows.map(({ front }) => front)).toEqual([true, false, true])
    expect(rows[0]?.ratio).toBeCloseTo(16 / 8.4)
  })

  it('are those of the result once there is one, with the front that it names', () => {
    const result = sampleResult([{ ...doneTrial('int8:g64', { bits: 8.4 }), front: false }, { ...doneTrial('q8_0', { bits: 8.6, outcome: 'inconclusive' }), front: true }, failedTrial('int2:g32')])
    const rows = rowsOf({ ...begun, status: 'done', live: [live('int8:g64', 1, 1)], result })
    expect(rows.map(({ status, outcome, verdict, front }) => [status, outcome, verdict, front])).toEqual([
      ['done', 'pass', 'pass', false],
      ['done', 'open', 'inconclusive', true],
      ['failed', null, 'error: NOT_FINITE', false],
    ])
    expect(controlsOf({ ...begun, result })).toBe(result.controls)
  })

  it('give no verdict where a control took it away or the run was stopped', () => {
    const result = sampleResult([doneTrial('int8:g64', { withheld: 'wrongCache' }), partialTrial('q8_0', 310)])
    expect(rowsOf({ ...begun, result }).map(({ outcome, verdict }) => [outcome, verdict])).toEqual([[null, 'withheld'], [null, 'partial'], [null, 'waiting']])
  })
})

describe('the chart of size against damage', () => {
  const rows = rowsOf({ ...begun, live: [live('int8:g64', 8.4, 0), live('q8_0', 8.6, 2e-5), live('int2:g32', 2.6, 0.5)] })

  it('draws every measured method at a place that a logarithm has, a KL of 0 at the bottom', () => {
    const { series, yAxis } = paretoOption({ rows, selected: 'q8_0', floor: 0, limit: 0.01 }, palette) as { series: { name: string; data: { name: string; value: number[] }[] }[]; yAxis: { min: number; max: number } }
    const points = series.find(({ name }) => name === 'methods')?.data ?? []
    expect(points.map(({ name }) => name)).toEqual(METHODS)
    expect(points[0]?.value).toEqual([8.4, yAxis.min])
    for (const { value: [, kl = 0] } of points) expect(kl >= yAxis.min && kl <= yAxis.max).toBe(true)
    for (const { value } of series.find(({ name }) => name === 'interval')?.data ?? []) expect(Math.min(...value)).toBeGreaterThan(0)
  })

  it('draws nothing of what was not measured, and its table says the numbers as they are', () => {
    const { series } = paretoOption({ rows: rowsOf(begun), selected: null, floor: null, limit: null }, palette) as { series: { data: unknown[] }[] }
    expect(series.map(({ data }) => data.length)).toEqual([0, 0, 0])
    expect(paretoTable(rows).rows[1]).toEqual(['q8_0', '8.6', String(16 / 8.6), '0.00002', '0.000018', String(2e-5 + 2e-6), '', 'measuring'])
  })
})
