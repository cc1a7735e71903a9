import { describe, expect, it } from 'vitest'
import type { LabError } from '#core/contract/errors.ts'
import type { RunResult } from '#core/contract/run.ts'
import { doneTrial, droppedTrial, failedTrial, partialTrial, sampleResult, soundControls } from '../../test/sample-result.ts'
import { reportById, reports } from './index.ts'

function render(id: string, result: RunResult): string {
  return reportById(id).render(result)
}

/** A strict RFC 4180 reader: fields of rows. */
function readCsv(text: string): string[][] {
  expect(text.endsWith('\r\n')).toBe(true)
  const rows: string[][] = [[]]
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gy
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    rows.at(-1)?.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    if (match[3] === '\r\n') rows.push([])
    if (pattern.lastIndex === text.length) break
  }
  expect(rows.pop()).toEqual([])
  return rows
}

/** Rows of a CSV report as objects by title. */
function csvRows(result: RunResult): Record<string, string>[] {
  const [header = [], ...rows] = readCsv(render('csv', result))
  return rows.map((row) => {
    expect(row).toHaveLength(header.length)
    return Object.fromEntries(header.map((title, i) => [title, row[i] ?? '']))
  })
}

describe('registry', () => {
  it('has unique ids and names them where one is unknown', () => {
    expect(new Set(reports.map(({ id }) => id)).size).toBe(reports.length)
    expect(() => reportById('pdf')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', message: 'no report format "pdf": use json, csv, markdown' }) as LabError)
  })

  it.each(reports.map(({ id }) => id))('%s renders every kind of result and ends in a newline', (id) => {
    const trials = [doneTrial('a'), failedTrial('b'), partialTrial('c', 31), droppedTrial('d', 'a')]
    for (const result of [
      sampleResult(trials),
      sampleResult([], { status: 'failed', baseline: null, controls: null }),
      sampleResult([doneTrial('a', { withheld: 'identity' })], { controls: soundControls({ identity: { windows: 4, klMax: 1, flips: 2, equalBits: false, passed: false } }) }),
    ]) {
      const text = render(id, result)
      expect(text.endsWith('\n')).toBe(true)
      expect(text).not.toMatch(/undefined|NaN|\[object/)
    }
  })
})

describe('json', () => {
  it('is the result as it is', () => {
    const result = sampleResult([doneTrial('q8_0'), failedTrial('x')])
    expect(JSON.parse(render('json', result))).toEqual(result)
  })
})

describe('csv', () => {
  it('has a row a method, in full precision, with empty fields where nothing was measured', () => {
    const done = doneTrial('int4:g64@layers0,-1+lz4', { lnRatio: [-1 / 3, 0.1, 0.2], outcome: 'fail' })
    const [first, second] = csvRows(sampleResult([done, failedTrial('fp8-e4m3', 'window 3: a "hole", in layer 1')]))
    expect(first).toMatchObject({
      method: 'int4:g64@layers0,-1+lz4',
      status: 'done',
      verdict: 'fail',
      'rules not passed': 'lnRatio fail',
      'delta ln PPL low': String(-1 / 3),
      'KL mean [nats]': String(1.234e-5),
      'encode p50 [bytes of F16 per second]': '1400000000',
      'protocol fingerprint': 'f1'.repeat(32),
    })
    expect(second).toMatchObject({ status: 'failed', reason: 'NOT_FINITE: window 3: a "hole", in layer 1', verdict: '', perplexity: '', 'encoded [bytes]': '' })
  })

  it('names the control that took a verdict away', () => {
    expect(csvRows(sampleResult([doneTrial('a', { withheld: 'wrong cache' })]))[0]).toMatchObject({ verdict: 'withheld: wrong cache' })
  })

  it('says what is on the front, and what was stopped when and for what', () => {
    const [best, stopped, open] = csvRows(sampleResult([{ ...doneTrial('a'), front: true }, droppedTrial('b', 'a', { outcome: 'fail' }), doneTrial('c')]))
    expect(best).toMatchObject({ 'on Pareto front': 'yes', 'stopped after windows': '', 'stopped for': '' })
    expect(stopped).toMatchObject({ status: 'dropped', verdict: 'fail', 'on Pareto front': 'no', 'stopped after windows': '41', 'stopped for': 'a', tokens: '1271', windows: '41' })
    expect(open).toMatchObject({ 'on Pareto front': '' })
  })

  it('gives a spreadsheet no formulas, and leaves numbers alone', () => {
    const names = ['=HYPERLINK("http://x")', '+1', '-1+2', '@SUM(A1)', '\tx', '\r=1']
    for (const name of names) {
      const result = sampleResult([doneTrial('a', { lnRatio: [-2, -1, -0.5] })])
      const [row] = csvRows({ ...result, data: { ...result.data, name } })
      expect(row).toMatchObject({ data: `'${name}`, 'delta ln PPL': '-1' })
    }
  })

  it('leaves out a number that JSON could not carry', () => {
    const result = JSON.parse(JSON.stringify(sampleResult([doneTrial('a', { lnRatio: [0, 800, Infinity] })]))) as RunResult
    expect(csvRows(result)[0]).toMatchObject({ 'delta ln PPL': '800', 'delta ln PPL high': '' })
    expect(render('markdown', result)).toContain('–')
  })
})

describe('markdown', () => {
  it('has the answer, the table, the controls, the protocol and how to measure it again', () => {
    const text = render('markdown', sampleResult([doneTrial('q8_0'), failedTrial('fp8-e4m3')], { warnings: ['only 5 windows'] }))
    expect(text).toMatch(/^# KV Lab: kvlab-demo on demo\n\nq8_0 is the smallest that passes/)
    expect(text).toContain('**Baseline**: perplexity 11.516 ± 0.12 (standard error; 10,230 scored tokens in 330 windows, F32 cache).')
    expect(text).toContain('| `q8_0` | 8.50 | 1.88x | +0.00010 [-0.00080, +0.00100] | 1.2e-5 | 1.2e-4 | 3.1 % | 1.4 GB/s | 850 MB/s | pass |')
    expect(text).toContain('- `fp8-e4m3`: NOT_FINITE: window 3: the cache holds no number')
    expect(text).toContain('identity passed (equal bits, KL max 0, flips 0); A/A passed (KL mean 1.2e-12, max 3.0e-11, batch 2); wrong cache passed (KL mean 0.230, lower bound 0.200, needed 0.100).')
    expect(text).toContain('**Gate**: Δ ln PPL < 0.01, mean KL < 0.01, KL p99 (as measured) < 0.1;')
    expect(text).toContain('handoff 32 → 64, advance 64, 330 windows, 10,230 scored tokens, join file, BOS model (applied), fingerprint `f1f1')
    expect(text).toContain(
      '```sh\nkvlab sweep --model demo --data demo --context 64 --prefix 32 --windows 330 --methods q8_0,fp8-e4m3 --batch 1 --threads 2 --gate lnRatio=0.01,klMean=0.01,klP99=0.1\n```',
    )
    expect(text).toContain('- only 5 windows')
    expect(text).not.toContain('/home/')
  })

  it('marks the front where it is known, and what racing stopped', () => {
    const text = render('markdown', sampleResult([{ ...doneTrial('a'), front: true }, droppedTrial('b', 'a', { outcome: 'fail' })]))
    expect(text).toContain('| decode | front | verdict |')
    expect(text).toContain('| 850 MB/s | ● | pass |')
    expect(text).toContain('| 850 MB/s |  | fail (stopped after 41 windows) |')
    expect(render('markdown', sampleResult([doneTrial('a')]))).not.toContain('| front |')
  })

  it('names the graph of a model with several', () => {
    const result = sampleResult([doneTrial('q8_0')])
    const model = { ...result.model, name: 'SmolLM2-135M', weights: 'q4', files: [{ path: 'onnx/model_q4.onnx', sha256: '', bytes: 1 }] }
    expect(render('markdown', { ...result, model })).toContain('kvlab sweep --model SmolLM2-135M/onnx/model_q4.onnx --data demo')
  })

  it('keeps its table and its code whole whatever names contain', () => {
    const result = sampleResult([doneTrial('a|b`c')], { warnings: ['a\nb | <b>c</b> [x](http://y) *z*'] })
    const text = render('markdown', { ...result, data: { ...result.data, name: 'x`|```\n```y' } })
    const row = text.split('\n').find((line) => line.includes('1.88x')) ?? ''
    expect(row.replaceAll('\\|', '').split('|')).toHaveLength(12)
    expect(row).toContain('`` a\\|b`c ``')
    expect(text).toMatch(/\n(`{4,})sh\n[^]*\n\1\n/)
    expect(text).toContain('- a b \\| \\<b>c\\</b> [x\\](http://y) \\*z\\*')
  })
})
