import { describe, expect, it } from 'vitest'
import type { KvShape } from './cache.ts'
import { gather, scatter, settledThrough, soFar } from './keep.ts'
import { kvLayout } from './layout.ts'
import { readMethod, writeMethod } from './methods.ts'

const shape: KvShape = { layers: 5, kvHeads: 2, tokens: 6, headDim: 16, dtype: 'F32' }

describe('what settles as tokens come', () => {
  const method = readMethod('kivi2:g32:r32@sinks1')

  it('counts the sinks with the first that are encoded', () => {
    expect([0, 1, 32, 33, 34, 65, 66].map((tokens) => settledThrough(method, 'key', tokens))).toEqual([0, 0, 0, 33, 33, 65, 65])
    expect([0, 1, 32, 33, 34, 65, 66].map((tokens) => settledThrough(method, 'value', tokens))).toEqual([0, 0, 0, 0, 2, 33, 34])
  })

  it.each([
    ['kivi2:g32:r32@sinks1', 33, 'kivi2:g32:r32/none@sinks1'],
    ['kivi2:g32:r32@sinks1', 34, 'kivi2:g32:r32@sinks1'],
    ['int4:g16@layers0=kivi2:g32:r32', 32, 'int4:g16@layers0=kivi2:g32:r32/none'],
    ['kivi2:g32:r64@layers0=int4:g16@layers-1=kivi2:g32:r32+lz4', 40, 'none@layers0=int4:g16@layers-1=kivi2:g32:r32+lz4'],
    ['int4:g16@recent8', 8, 'none@recent8'],
  ])('of %s in a cache of %i tokens: %s', (text, tokens, due) => {
    expect(writeMethod(soFar(readMethod(text), tokens))).toBe(due)
  })
})

it('gathers the tokens of each head and scatters them back to their places', () => {
  const parts = kvLayout(readMethod('int4:g16@sinks1@recent2'), shape).filter((part) => part.side === 'value')
  const layer = Float32Array.from({ length: 2 * 6 * 16 }, (_, i) => i)
  const restored = new Float32Array(layer.length).fill(-1)
  for (const part of parts) {
    const values = new Float32Array(part.block.kvHeads * part.block.tokens * part.block.headDim)
    gather(layer, part, values)
    // The first value of the second head.
    expect(values[part.block.tokens * 16]).toBe(6 * 16 + part.from * 16)
    scatter(values, part, restored)
  }
  expect(parts.map((part) => [part.from, part.block.tokens])).toEqual([[1, 3], [0, 1], [4, 2]])
  expect(restored).toEqual(layer)
})
