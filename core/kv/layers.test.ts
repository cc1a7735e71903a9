import { describe, expect, it } from 'vitest'
import type { KvShape } from './cache.ts'
import { groupedLayers, groupSizes, layerMethods, layersOf } from './layers.ts'
import { kvLayout } from './layout.ts'
import { readMethod, writeMethod } from './methods.ts'

const shape: KvShape = { layers: 5, kvHeads: 2, tokens: 6, headDim: 16, dtype: 'F32' }
const method = readMethod('int4:g16@sinks1@layers1@layers0,-1=q8_0@layers2=none/int2:g16+lz4')

describe('groups of layers', () => {
  it('count from both ends, and only those there are', () => {
    expect([...groupedLayers(readMethod('int4@layers0,-1,4,-5,9,-9@layers2,77=int8'), 5)].sort()).toEqual([[0, 'kept'], [2, 1], [4, 'kept']])
    expect(new Map(groupSizes(method, 5))).toEqual(new Map<unknown, number>([[0, 1], ['kept', 1], [1, 2], [2, 1]]))
  })

  it('make up the cache, each in ascending order', () => {
    expect([0, 1, 2, 'kept' as const].map((group) => layersOf(method, group, 5))).toEqual([[3], [0, 4], [2], [1]])
  })

  it('take no time by the layers that a method only names', () => {
    expect(groupSizes(readMethod('int4@layers0-9999=int8'), 2 ** 31 - 1).get(0)).toBe(2 ** 31 - 10_001)
  })

  it('have methods of their own', () => {
    const texts = layerMethods(method, 5).map((own) => own && writeMethod(own))
    expect(texts).toEqual(['q8_0@sinks1+lz4', null, 'none/int2:g16@sinks1+lz4', 'int4:g16@sinks1+lz4', 'q8_0@sinks1+lz4'])
  })

  it('have streams of their own, named by their number in the canonical method', () => {
    const names = kvLayout(method, { ...shape, headDim: 32 }).flatMap(({ group, streams }) => streams.map(({ name, shape: [layers] }) => [group, name, layers]))
    expect(names).toEqual([
      [0, 'key.codes', 1],
      [0, 'key.scales', 1],
      [0, 'key.sinks', 1],
      [1, 'key.1.blocks', 2],
      [1, 'key.1.sinks', 2],
      [2, 'key.2.values', 1],
      [2, 'key.2.sinks', 1],
      ['kept', 'key.layers', 1],
      [0, 'value.codes', 1],
      [0, 'value.scales', 1],
      [0, 'value.sinks', 1],
      [1, 'value.1.blocks', 2],
      [1, 'value.1.sinks', 2],
      [2, 'value.2.codes', 1],
      [2, 'value.2.scales', 1],
      [2, 'value.2.sinks', 1],
      ['kept', 'value.layers', 1],
    ])
  })
})
