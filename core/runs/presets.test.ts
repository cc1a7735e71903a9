import { describe, expect, it } from 'vitest'
import { SIDES, type KvCache, type KvShape } from '#core/kv/cache.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { checkMethod, readMethod, writeMethod } from '#core/kv/methods.ts'
import { METHOD_PRESETS, specDefaults } from './presets.ts'
import { checkSpec, defaultSpec, demoSpec } from './spec.ts'

/** The demo model's cache of one window. */
const SHAPE: KvShape = { layers: 6, kvHeads: 2, tokens: 32, headDim: 64, dtype: 'F32' }

function someCache(): KvCache {
  const side = (from: number): Float32Array[] => Array.from({ length: SHAPE.layers }, (_, layer) => Float32Array.from({ length: 2 * 32 * 64 }, (_, i) => Math.sin(from + layer + i * i)))
  return { shape: SHAPE, key: side(0), value: side(9) }
}

describe.each(METHOD_PRESETS)('the preset $id', ({ methods, about }) => {
  it('has canonical methods, each once, and says what they are', () => {
    expect(methods.map((method) => writeMethod(readMethod(method)))).toEqual(methods)
    expect(new Set(methods).size).toBe(methods.length)
    expect(about).toMatch(/\w/)
  })

  it.each(methods)('%s works on the demo model’s cache', (text) => {
    const method = readMethod(text)
    checkMethod(method, SHAPE)
    const cache = someCache()
    const { bytes } = encodeKv(cache, method)
    const { arrays } = decodeKv(bytes)
    const differs = SIDES.some((side) => arrays[side].some((layer, i) => layer.some((value, at) => value !== cache[side][i]?.[at])))
    expect(differs).toBe(true)
    expect(arrays.value.every((layer) => layer.every(Number.isFinite))).toBe(true)
  })
})

describe('specDefaults', () => {
  it('has presets of their own ids', () => {
    const ids = METHOD_PRESETS.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(METHOD_PRESETS.find(({ id }) => id === 'origin')?.methods).toEqual(['int4:g64+lz4'])
  })

  it('puts the settings into the spec and leaves the demo as it is', () => {
    const { spec, demo, presets } = specDefaults({ threads: 3, memoryBudget: 5e8, modelFolders: [], dataFolders: [], hub: { endpoint: null, proxy: null, cache: null, offline: false } })
    expect(spec).toEqual({ ...defaultSpec({}), threads: 3, memoryBudget: 5e8 })
    expect(demo).toEqual(demoSpec())
    expect(checkSpec(spec)).toEqual(spec)
    expect(presets).toEqual(METHOD_PRESETS)
  })
})
