import { expect, it } from 'vitest'
import { modeText } from './mode.ts'

it('names the block where there is one', () => {
  expect(modeText({ mode: 'handoff', block: null, prefixLength: 32, contextLength: 64 })).toBe('handoff 32→64')
  expect(modeText({ mode: 'streaming', block: 16, prefixLength: 32, contextLength: 64 })).toBe('streaming 32→64 in blocks of 16')
  expect(modeText({ mode: 'in-pass', block: null, queries: 'q8_0', prefixLength: 32, contextLength: 64 })).toBe('in-pass 32→64 with queries q8_0')
})
