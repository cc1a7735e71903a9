import { describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { gateOf, specOf, splitMethods } from './run-flags.ts'

function messageOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof LabError) return `${error.code} ${error.message}`
    throw error
  }
  return 'no error'
}

describe('flags of a sweep', () => {
  it('sets methods apart at commas, but not within a list of layers', () => {
    expect(splitMethods('int8:g64,q8_0')).toEqual(['int8:g64', 'q8_0'])
    expect(splitMethods('int4:g64@layers0,1,-1+lz4, q8_0/q4_0')).toEqual(['int4:g64@layers0,1,-1+lz4', 'q8_0/q4_0'])
    expect(splitMethods('none@layers-2,-1,none')).toEqual(['none@layers-2,-1', 'none'])
    expect(splitMethods('int4@layers0-3,-1=int8:g32/q4_0,q8_0@layers1,2=none,none')).toEqual(['int4@layers0-3,-1=int8:g32/q4_0', 'q8_0@layers1,2=none', 'none'])
    expect(splitMethods(' none , ')).toEqual(['none'])
  })

  it('gives only what was given', () => {
    expect(specOf({})).toEqual({})
    expect(specOf({ model: 'm', column: 'text', context: '64', windows: 'all', batch: 'auto', threads: '2', memory: '1.5GB', keepKv: true })).toEqual({
      model: 'm',
      column: 'text',
      contextLength: 64,
      windows: 'all',
      batch: 'auto',
      threads: 2,
      memoryBudget: 1_500_000_000,
      keepKv: true,
    })
    expect(specOf({ memory: '500 MB' }).memoryBudget).toBe(500e6)
    expect(specOf({ memory: '123' }).memoryBudget).toBe(123)
  })

  it('of a calibration text come together, with what a text is read by', () => {
    expect(specOf({ calibration: 'train.txt' })).toEqual({ calibration: { data: 'train.txt', column: null, join: 'file', windows: 16 } })
    const flags = { calibration: 'org/name:train', calibrationColumn: 'text', calibrationJoin: 'hf-rows', calibrationWindows: '8' }
    expect(specOf(flags)).toEqual({ calibration: { data: 'org/name:train', column: 'text', join: 'hf-rows', windows: 8 } })
    expect(messageOf(() => specOf({ calibrationWindows: '8' }))).toContain('give --calibration TEXT')
    expect(messageOf(() => specOf({ ...flags, calibrationJoin: 'x' }))).toContain('--calibration-join')
    expect(messageOf(() => specOf({ ...flags, calibrationWindows: 'x' }))).toContain('--calibration-windows')
  })

  it('names what there is where a mode or provider is not', () => {
    expect(specOf({ mode: 'streaming', block: '32' })).toEqual({ mode: 'streaming', block: 32 })
    expect(messageOf(() => specOf({ mode: 'online' }))).toBe('INVALID_INPUT --mode: this version has no "online": there is handoff, streaming, in-pass')
    expect(specOf({ mode: 'in-pass', queries: 'q8_0' })).toEqual({ mode: 'in-pass', queries: 'q8_0' })
    expect(messageOf(() => specOf({ queries: 'q4_0' }))).toContain('--queries: this version has no "q4_0": there is exact, q8_0')
    expect(messageOf(() => specOf({ provider: 'cuda' }))).toContain('there is cpu')
    expect(messageOf(() => specOf({ join: 'x' }))).toContain('file, hf-rows, documents')
  })

  it('refuses numbers that are none, naming the flag', () => {
    expect(messageOf(() => specOf({ context: '12k' }))).toBe('INVALID_INPUT --context: "12k" is not a whole number')
    expect(messageOf(() => specOf({ windows: '-3' }))).toContain('--windows: "-3" is not a whole number or all')
    expect(messageOf(() => specOf({ level: '' }))).toContain('--level')
    expect(messageOf(() => specOf({ memory: 'much' }))).toContain('--memory')
  })

  it('reads a gate: what is not named is not part of it', () => {
    expect(gateOf('klMean=0.02,deltaPerplexity=0.5')).toEqual({ lnRatio: null, klMean: 0.02, klP99: null, deltaPerplexity: 0.5 })
    expect(messageOf(() => gateOf('kl=0.1'))).toContain('there is lnRatio, klMean, klP99, deltaPerplexity')
    expect(messageOf(() => gateOf('klMean=0'))).toContain('above 0')
    expect(messageOf(() => gateOf('klMean'))).toContain('not a number')
  })
})
