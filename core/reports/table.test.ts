import { expect, it } from 'vitest'
import { doneTrial, failedTrial, partialTrial, sampleResult } from '../../test/sample-result.ts'
import { methodRows } from './table.ts'

it('has a row a method in the order asked for, and a dash where nothing was measured', () => {
  const table = methodRows(sampleResult([doneTrial('q8_0'), failedTrial('fp8-e4m3'), partialTrial('int4:g32:asym', 310)]))
  expect(table.header).toEqual(['method', 'bits', 'ratio', 'Δ ln PPL [95 %]', 'KL mean', 'KL p99', 'flips', 'encode', 'decode', 'verdict'])
  expect(table.align).toHaveLength(table.header.length)
  const measured = ['8.50', '1.88x', '+0.00010 [-0.00080, +0.00100]', '1.2e-5', '1.2e-4', '3.1 %', '1.4 GB/s', '850 MB/s']
  expect(table.rows).toEqual([
    ['q8_0', ...measured, 'pass'],
    ['fp8-e4m3', '–', '–', '–', '–', '–', '–', '–', '–', 'error: NOT_FINITE'],
    ['int4:g32:asym', ...measured, 'partial'],
  ])
})

it('says in a word what became of each', () => {
  const trials = [
    doneTrial('a', { outcome: 'fail' }),
    doneTrial('b', { outcome: 'inconclusive' }),
    doneTrial('c', { withheld: 'A/A' }),
    doneTrial('d', { rules: [], outcome: 'inconclusive' }),
    { ...doneTrial('e'), verdict: null },
  ]
  expect(methodRows(sampleResult(trials)).rows.map((row) => row.at(-1))).toEqual(['fail', 'inconclusive', 'withheld', 'no gate', '–'])
})
