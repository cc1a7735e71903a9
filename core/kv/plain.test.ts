import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '#core/bytes/float.ts'
import { memorySource } from '#core/bytes/source.ts'
import type { Dtype } from '#core/safetensors/header.ts'
import { openSafetensors } from '#core/safetensors/read.ts'
import { serialize } from '#core/safetensors/write.ts'
import type { KvCache, KvDtype } from './cache.ts'
import { plainCacheTensors, readPlainCache } from './plain.ts'

type Spec = { name: string; dtype?: Dtype; shape?: number[] }
const F32_BYTES = 4

async function readOf(specs: Spec[]): Promise<KvCache> {
  const tensors = specs.map(({ name, dtype = 'F32', shape = [1, 2, 3, 4] }) => {
    const values = Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => i + 1)
    const width = dtype === 'F32' || dtype === 'I32' ? F32_BYTES : 2
    return { name, dtype, shape, bytes: new Uint8Array(values.buffer).slice(0, values.length * width) }
  })
  return readPlainCache(await openSafetensors(memorySource(serialize(tensors, new Map()))))
}

const pairs = (name: (layer: number, side: string) => string, layers: number, rest: Omit<Spec, 'name'> = {}): Spec[] =>
  Array.from({ length: layers }, (_, layer) => ['key', 'value'].map((side) => ({ name: name(layer, side), ...rest }))).flat()

describe('readPlainCache', () => {
  it.each([
    ['layer_N_side', (layer: number, side: string) => `layer_${layer}_${side}`],
    ['past_key_values.N.side', (layer: number, side: string) => `past_key_values.${layer}.${side}`],
    ['present.N.side', (layer: number, side: string) => `present.${layer}.${side}`],
  ])('reads %s, layers by number, with and without the batch of 1', async (_, name) => {
    for (const shape of [[1, 2, 3, 4], [2, 3, 4]]) {
      const cache = await readOf(pairs(name, 11, { shape }))
      expect(cache.shape).toEqual({ layers: 11, kvHeads: 2, tokens: 3, headDim: 4, dtype: 'F32' })
      expect(cache.key).toHaveLength(11)
      expect(cache.value[10]).toEqual(Float32Array.from({ length: 24 }, (_, i) => i + 1))
    }
  })

  it('reads the file of the reference library, layer by layer', async () => {
    const bytes = readFileSync(new URL('../../test/golden/safetensors/valid/kv-plain.safetensors', import.meta.url))
    const file = await openSafetensors(memorySource(bytes))
    const cache = await readPlainCache(file)
    expect(cache.shape).toEqual({ layers: 2, kvHeads: 2, tokens: 16, headDim: 64, dtype: 'F16' })
    expect(cache.key[1]).toEqual(await file.floats('layer_1_key'))
    expect(cache.value[0]).toEqual(await file.floats('layer_0_value'))
  })

  const good = pairs((layer, side) => `layer_${layer}_${side}`, 3)
  it.each<[string, Spec[], RegExp]>([
    ['no tensors', [], /no tensors/],
    ['a layer is missing', good.filter(({ name }) => !name.startsWith('layer_1')), /layer_1_key is missing/],
    ['a value is missing', good.filter(({ name }) => name !== 'layer_2_value'), /layer_2_value is missing/],
    ['another tensor', [...good, { name: 'codes' }], /codes/],
    ['two names for one layer', [...good, { name: 'present.0.key' }], /present\.0\.key/],
    ['another length', [...good.slice(1), { name: 'layer_0_key', shape: [1, 2, 4, 4] }], /layer_0_key/],
    ['another dtype', [...good.slice(1), { name: 'layer_0_key', dtype: 'F16' }], /F16/],
    ['a dtype that is no cache', pairs((layer, side) => `layer_${layer}_${side}`, 1, { dtype: 'I32' }), /I32/],
    ['a batch of 2', pairs((layer, side) => `layer_${layer}_${side}`, 1, { shape: [2, 2, 3, 4] }), /kvHeads/],
    ['two dimensions', pairs((layer, side) => `layer_${layer}_${side}`, 1, { shape: [6, 4] }), /kvHeads/],
    ['no tokens', pairs((layer, side) => `layer_${layer}_${side}`, 1, { shape: [1, 2, 0, 4] }), /kvHeads/],
    ['a gap of a million layers', [{ name: 'layer_999999_key' }, { name: 'layer_999999_value' }], /layer_0_key is missing/],
  ])('%s: INVALID_INPUT that says so', async (_, specs, words) => {
    await expect(readOf(specs)).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(words) as string })
  })
})

describe('plainCacheTensors', () => {
  const round: Record<KvDtype, (value: number) => number> = {
    F32: (value) => value,
    F16: (value) => f16ToF32(f32ToF16(value)),
    BF16: (value) => bf16ToF32(f32ToBf16(value)),
  }

  it.each(['F32', 'F16', 'BF16'] as const)('%s caches come back as they were, views too', async (dtype) => {
    await fc.assert(
      fc.asyncProperty(fc.nat(2), fc.nat(2), fc.nat(4), fc.nat(3), fc.nat(1000), async (layers, heads, tokens, dim, seed) => {
        const shape = { layers: layers + 1, kvHeads: heads + 1, tokens: tokens + 1, headDim: dim + 1, dtype }
        const size = shape.kvHeads * shape.tokens * shape.headDim
        const pool = Float32Array.from({ length: 2 * shape.layers * size }, (_, i) => round[dtype](Math.fround(Math.sin(i * 7 + seed) * 100)))
        const part = (from: number): Float32Array[] => Array.from({ length: shape.layers }, (_, i) => pool.subarray((from + i) * size, (from + i + 1) * size))
        const cache = { shape, key: part(0), value: part(shape.layers) }
        const file = await openSafetensors(memorySource(serialize(plainCacheTensors(cache), new Map())))
        expect(file.header.tensors.get('layer_0_value')?.shape).toEqual([1, shape.kvHeads, shape.tokens, shape.headDim])
        expect(await readPlainCache(file)).toEqual(cache)
      }),
      { numRuns: 25 },
    )
  })

  it('infinities and NaN are kept, a finite value beyond F16 is OUT_OF_RANGE', () => {
    const cache = (value: number): KvCache => ({
      shape: { layers: 1, kvHeads: 1, tokens: 1, headDim: 2, dtype: 'F16' },
      key: [Float32Array.of(0, value)],
      value: [Float32Array.of(0, 0)],
    })
    expect(plainCacheTensors(cache(-Infinity))[0]?.bytes).toEqual(Uint8Array.of(0, 0, 0, 0xfc))
    expect(plainCacheTensors(cache(NaN))[0]?.bytes).toEqual(Uint8Array.of(0, 0, 0, 0x7e))
    expect(plainCacheTensors(cache(65519))[0]?.bytes).toEqual(Uint8Array.of(0, 0, 0xff, 0x7b))
    expect(() => plainCacheTensors(cache(65520))).toThrow(expect.objectContaining({ code: 'OUT_OF_RANGE' }) as Error)
  })
})
