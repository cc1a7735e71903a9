import { describe, expect, it } from 'vitest'
import { layerValues, SIDES, type KvCache, type KvShape } from './cache.ts'
import { learnedFrom, learnedOfLayer, learnTables } from './calibration.ts'
import { decodeKv, encodeKv } from './file.ts'
import { learnsFromText, readMethod } from './methods.ts'

const rope = { theta: 10_000, rotaryDims: 32, scaling: null }
const SHAPE: KvShape = { layers: 3, kvHeads: 2, tokens: 24, headDim: 32, dtype: 'F32' }

/** Waves, each channel of another height and place. */
function cache(seed: number, shape: KvShape = SHAPE): KvCache {
  const layer = (salt: number): Float32Array =>
    Float32Array.from({ length: layerValues(shape) }, (_, i) => {
      const channel = Math.floor(i / (shape.tokens * shape.headDim)) * shape.headDim + (i % shape.headDim)
      return Math.sin(i * 0.7 + seed * 3 + salt) * (1 + (channel % 7)) + ((channel * 5) % 11) - 5
    })
  return { shape, key: Array.from({ length: shape.layers }, (_, l) => layer(l)), value: Array.from({ length: shape.layers }, (_, l) => layer(l + 0.5)) }
}

/** The caches one after another along their tokens. */
function joined(caches: readonly KvCache[]): KvCache {
  const { kvHeads, tokens, headDim, layers } = SHAPE
  const run = tokens * headDim
  const shape = { ...SHAPE, tokens: caches.length * tokens }
  const side = (of: 'key' | 'value'): Float32Array[] =>
    Array.from({ length: layers }, (_, l) => Float32Array.from(Array.from({ length: kvHeads }, (_, head) => caches.flatMap((one) => Array.from(one[of][l]?.subarray(head * run, (head + 1) * run) ?? []))).flat()))
  return { shape, key: side('key'), value: side('value') }
}

describe('what is learned from several caches', () => {
  const caches = [1, 2, 3].map((seed) => cache(seed))

  it('is what one cache of all their tokens gives', () => {
    for (const text of ['nuq3:cal', 'nuq2:cal/skvq3:g16:cal', 'nuq4:cal:outliers20']) expect(learnedFrom(caches, readMethod(text))).toEqual(learnedFrom([joined(caches)], readMethod(text)))
  })

  it('leaves out what the method keeps, and what does not learn', () => {
    const method = readMethod('nuq3:cal/q4_0@sinks4@layers1')
    const learned = learnedFrom(caches, method)
    expect(learned.value).toEqual([null, null, null])
    expect(learned.key.map((tables) => tables !== null)).toEqual([true, false, true])
    const changed = caches.map((one) => ({ ...one, key: one.key.map((layer) => layer.map((x, i) => (Math.floor(i / SHAPE.headDim) % SHAPE.tokens < 4 ? 1000 : x))) }))
    expect(learnedFrom(changed, method)).toEqual(learned)
    expect(learnedFrom(changed, readMethod('nuq3:cal'))).not.toEqual(learnedFrom(caches, readMethod('nuq3:cal')))
  })

  it('is after the transforms: of keys before their rotation where the method encodes them so', () => {
    const turned = caches.map((one) => ({ ...one, shape: { ...one.shape, rope } }))
    const before = learnedFrom(turned, readMethod('nuq3:cal:pre-rope/nuq3:cal'))
    const after = learnedFrom(caches, readMethod('nuq3:cal'))
    expect(before.key).not.toEqual(after.key)
    expect(before.value).toEqual(after.value)
  })

  it('tells of every layer that it is done with it', () => {
    expect([...learnTables(caches, readMethod('nuq3:cal'))]).toHaveLength(6)
    expect([...learnTables(caches, readMethod('nuq3:cal/none'))]).toHaveLength(3)
    expect([...learnTables(caches, readMethod('int4:g32'))]).toHaveLength(0)
  })

  it('names layer and side of a NaN and of what a format cannot hold', () => {
    const broken = (value: number): KvCache[] => [{ ...cache(1), value: cache(1).value.map((layer, l) => (l === 2 ? layer.fill(value, 70, 71) : layer)) }]
    expect(() => learnedFrom(broken(NaN), readMethod('nuq4:cal'))).toThrow(expect.objectContaining({ code: 'NOT_FINITE', message: expect.stringContaining('calibration text, layer 2, value') as string }) as Error)
    expect(() => learnedFrom(broken(1e9), readMethod('nuq4:cal'))).toThrow(expect.objectContaining({ code: 'OUT_OF_RANGE', message: expect.stringContaining('layer 2, value') as string }) as Error)
  })
})

describe('a file that was encoded by tables', () => {
  const learned = learnedFrom([cache(7), cache(8)], readMethod('nuq4:cal/skvq3:g16:cal'))

  it('decodes from its own bytes; a layer by itself is as within the whole', () => {
    const method = readMethod('nuq4:cal/skvq3:g16:cal')
    const own = cache(9)
    const { arrays } = decodeKv(encodeKv(own, method, {}, learned).bytes)
    for (let layer = 0; layer < SHAPE.layers; layer++) {
      const one: KvCache = { shape: { ...SHAPE, layers: 1 }, key: own.key.slice(layer, layer + 1), value: own.value.slice(layer, layer + 1) }
      const { arrays: alone } = decodeKv(encodeKv(one, method, {}, learnedOfLayer(learned, layer)).bytes)
      for (const side of SIDES) expect(alone[side][0]).toEqual(arrays[side][layer])
    }
  })

  it('and rules for layers: each layer by what its own sides learned', () => {
    const method = readMethod('nuq4:cal@layers1=q8_0/nuq2:cal')
    expect(learnsFromText(method)).toBe(true)
    expect(learnsFromText(readMethod('q8_0@layers1=q8_0/nuq2:cal'))).toBe(true)
    expect(learnsFromText(readMethod('nuq4'))).toBe(false)
    const by = learnedFrom([cache(7)], method)
    expect(by.key.map((tables) => tables?.['levels']?.length)).toEqual([16, undefined, 16])
    expect(by.value.map((tables) => tables?.['levels']?.length)).toEqual([16, 4, 16])
    const own = cache(9)
    const { arrays } = decodeKv(encodeKv(own, method, {}, by).bytes)
    const plain = decodeKv(encodeKv(own, readMethod('nuq2:cal'), {}, learnedFrom([cache(7)], readMethod('nuq2:cal'))).bytes)
    expect(arrays.value[1]).toEqual(plain.arrays.value[1])
  })

  it('cannot be made without them, which is said with what to do', () => {
    for (const given of [undefined, null, { key: [], value: [] }]) {
      expect(() => encodeKv(cache(9), readMethod('nuq4:cal'), {}, given)).toThrow(expect.objectContaining({ code: 'INVALID_METHOD', message: expect.stringContaining('needs a calibration text: measure it with kvlab sweep --calibration') as string }) as Error)
    }
  })

  it('holds what lies far beyond the ranges', () => {
    const method = readMethod('nuq4:cal/none')
    const own = cache(9)
    own.key[0]?.set([3e38, -3e38, 1e-40, -0])
    const back = decodeKv(encodeKv(own, method, {}, learnedFrom([cache(7)], method)).bytes).arrays.key[0] ?? new Float32Array()
    // Both are held at the ends of their channels' ranges, which the text that was learned from gave.
    const channel = (c: number): number[] => Array.from({ length: SHAPE.tokens }, (_, token) => cache(7).key[0]?.[token * SHAPE.headDim + c] ?? NaN)
    const width = (c: number): number => Math.max(...channel(c)) - Math.min(...channel(c))
    expect(Math.abs((back[0] ?? NaN) - Math.max(...channel(0)))).toBeLessThan(width(0) / 8)
    expect(Math.abs((back[1] ?? NaN) - Math.min(...channel(1)))).toBeLessThan(width(1) / 8)
    expect(back.every(Number.isFinite)).toBe(true)
  })
})
