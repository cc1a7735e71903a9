import { describe, expect, it } from 'vitest'
import type { Protocol, RunResult } from '#core/contract/run.ts'
import { doneTrial, sampleResult } from '../../test/sample-result.ts'
import { compareRuns, type Compared } from './compare.ts'

const conclusion = ({ status }: RunResult): string => `it is ${status}`

function run(id: string, methods: string[], change: Partial<Protocol> = {}, more: Partial<RunResult> = {}): Compared {
  const result = sampleResult(methods.map((method) => doneTrial(method)), more)
  return { id, folder: `/runs/${id}`, result: { ...result, protocol: { ...result.protocol, ...change } } }
}

describe('compareRuns', () => {
  it('puts the trials of each method side by side, in the order of the runs', () => {
    const [a, b, c] = [run('a', ['q8_0', 'q4_0']), run('b', ['int8:g64', 'q8_0'], { windows: 10, scoredTokens: 310 }), run('c', [], {}, { status: 'cancelled' })]
    const { runs, protocol, rows } = compareRuns([a, b, c], conclusion)
    expect(runs.map(({ id, status, conclusion }) => [id, status, conclusion])).toEqual([['a', 'done', 'it is done'], ['b', 'done', 'it is done'], ['c', 'cancelled', 'it is cancelled']])
    expect(protocol).toEqual(a.result.protocol)
    expect(rows.map(({ method, trials }) => [method, trials.map((trial) => trial?.method ?? null)])).toEqual([
      ['q8_0', ['q8_0', 'q8_0', null]],
      ['q4_0', ['q4_0', null, null]],
      ['int8:g64', [null, 'int8:g64', null]],
    ])
  })

  it('names the first field that differs, with both values', () => {
    const runs = [run('a', ['q8_0']), run('b', ['q8_0']), run('c', ['q8_0'], { contextLength: 128, prefixLength: 64, fingerprint: 'x' })]
    expect(() => compareRuns(runs, conclusion)).toThrow(
      expect.objectContaining({ code: 'RUN_MISMATCH', message: expect.stringMatching(/contextLength is 64 in a and 128 in c/) as string, details: { field: 'contextLength', values: [64, 64, 128] } }),
    )
    expect(() => compareRuns([run('a', []), run('b', [], { bos: 'never', bosApplied: false, fingerprint: 'x' })], conclusion)).toThrow(/bos is "model" in a and "never" in b/)
  })

  it('names the text where the protocol is the same, and the rule of scoring where that is too', () => {
    const { data } = sampleResult([])
    const other = run('b', [], { fingerprint: 'x' }, { data: { ...data, name: 'wiki', tokenIdsSha256: 'abcdef0123' } })
    expect(() => compareRuns([run('a', []), other], conclusion)).toThrow(
      expect.objectContaining({ code: 'RUN_MISMATCH', message: expect.stringMatching(/token ids of the text .*demo.*wiki, abcdef01/) as string, details: { field: 'tokenIds', values: [data.tokenIdsSha256, 'abcdef0123'] } }),
    )
    expect(() => compareRuns([run('a', []), run('b', [], { fingerprint: 'x' })], conclusion)).toThrow(expect.objectContaining({ details: { field: 'fingerprint', values: ['f1'.repeat(32), 'x'] } }))
  })
})
