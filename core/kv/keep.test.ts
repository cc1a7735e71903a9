import { describe, expect, it } from 'vitest'
import type { KvShape } from './cache.ts'
import { gather, keptLayers, layersOf, scatter } from './keep.ts'
import { kvLayout } from './layout.ts'
import { readMethod } from './methods.ts'

const shape: KvShape = { layers: 5, kvHeads: 2, tokens: 6, headDim: 16, dtype: 'F32' }

describe('kept layers', () => {
  it('count from both ends, once each, and only those there are', () => {
    expect([...keptLayers({ sinks: 0, recent: 0, layers: [0, -1, 4, -5, 9, -9] }, 5)].sort()).toEqual([0, 4])
  })

  it('and the others make up the cache, in ascending order', () => {
    const method = readMethod('int4:g16@layers0,-1')
    const [compressed, kept] = kvLayout(method, shape).filter((part) => part.side === 'key').map((part) => layersOf(part, method.keep, 5))
    expect(compressed).toEqual([1, 2, 3])
    expect(kept).toEqual([0, 4])
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
