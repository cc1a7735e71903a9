import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { KvCache } from '#core/kv/cache.ts'
import { encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { plainCacheTensors } from '#core/kv/plain.ts'
import type { TensorData } from '#core/safetensors/write.ts'
import { writeSafetensors } from '#core/safetensors/write.ts'
import { compareFiles } from './compare.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-compare-'))
})
afterAll(() => rm(folder, { recursive: true }))

const f32 = (name: string, values: number[], shape = [values.length]): TensorData => ({ name, dtype: 'F32', shape, bytes: new Uint8Array(Float32Array.from(values).buffer) })

async function written(name: string, tensors: TensorData[]): Promise<string> {
  const path = join(folder, `${name}.safetensors`)
  await writeSafetensors(path, tensors, new Map())
  return path
}

function someCache(): KvCache {
  const side = (from: number): Float32Array[] => [0, 1].map((layer) => Float32Array.from({ length: 2 * 8 * 64 }, (_, i) => Math.fround(Math.sin(from + layer + i * i))))
  return { shape: { layers: 2, kvHeads: 2, tokens: 8, headDim: 64, dtype: 'F32' }, key: side(0), value: side(5) }
}

describe('compareFiles', () => {
  it('measures each tensor and all together, the first file as the original', async () => {
    const a = await written('a', [f32('x', [3, 4]), f32('y', [1, 0])])
    const b = await written('b', [f32('y', [1, 0]), f32('x', [3, 5])])
    const comparison = await compareFiles(a, b)
    expect(comparison).toMatchObject({ rmse: 0.5, max_error: 1, quality_level: 'POOR' })
    expect(comparison.snr_db).toBeCloseTo(10 * Math.log10(26), 10)
    expect(comparison.cosine_similarity).toBeCloseTo(30 / Math.sqrt(26 * 35), 10)
    expect(comparison.violations.map((text) => text.split(' ')[0])).toEqual(['RMSE', 'max', 'SNR'])
    expect(comparison.tensor_metrics).toEqual([
      { name: 'x', rmse: Math.sqrt(0.5), snr_db: 10 * Math.log10(25), cosine_similarity: 29 / Math.sqrt(25 * 34), max_error: 1, quality_level: 'POOR' },
      { name: 'y', rmse: 0, snr_db: null, cosine_similarity: 1, max_error: 0, quality_level: 'EXCELLENT' },
    ])
    expect((await compareFiles(b, a)).snr_db).toBeCloseTo(10 * Math.log10(35), 10)
  })

  it('decodes a KV file on either side and reads the other as a cache', async () => {
    const cache = someCache()
    const plain = await written('plain', plainCacheTensors(cache))
    const renamed = await written('renamed', plainCacheTensors(cache).map((tensor) => ({ ...tensor, name: tensor.name.replace(/layer_(\d)_(.*)/, 'present.$1.$2'), shape: tensor.shape.slice(1) })))
    const paths = await Promise.all(
      ['none', 'int4:g64+lz4'].map(async (method, i) => {
        const path = join(folder, `${i}.kv.safetensors`)
        await writeFile(path, encodeKv(cache, readMethod(method)).bytes)
        return path
      }),
    )
    const [none = '', int4 = ''] = paths
    expect(await compareFiles(plain, none)).toMatchObject({ rmse: 0, snr_db: null, quality_level: 'EXCELLENT', violations: [] })
    expect(await compareFiles(renamed, none)).toMatchObject({ rmse: 0 })
    const lossy = await compareFiles(plain, int4)
    expect(lossy.snr_db).toBeGreaterThan(15)
    expect(lossy.snr_db).toBeLessThan(30)
    expect(lossy).toEqual(await compareFiles(none, int4))
    expect(lossy.tensor_metrics.map(({ name }) => name).sort()).toEqual(['layer_0_key', 'layer_0_value', 'layer_1_key', 'layer_1_value'])
  })

  it('a KV file with a changed byte is refused by its path, not measured', async () => {
    const path = join(folder, 'broken.kv.safetensors')
    const bytes = encodeKv(someCache(), readMethod('int4:g64')).bytes
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    await writeFile(path, bytes)
    await expect(compareFiles(path, path)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH', message: expect.stringContaining(path) as string })
    expect(new Uint8Array(await readFile(path))).toEqual(bytes)
  })

  it.each<[string, TensorData[], RegExp]>([
    ['a tensor that is missing', [f32('x', [1, 2])], /other\.safetensors has no y/],
    ['a tensor more', [f32('x', [1, 2]), f32('y', [1]), f32('z', [1])], /original\.safetensors has no z/],
    ['another shape', [f32('x', [1, 2], [1, 2]), f32('y', [1])], /x is \[2\] in .* and \[1, 2\]/],
    ['no floats', [f32('x', [1, 2]), { ...f32('y', [1]), dtype: 'I32' }], /I32/],
  ])('%s is INVALID_INPUT that names it', async (_, tensors, words) => {
    const original = await written('original', [f32('x', [1, 2]), f32('y', [1])])
    const other = await written('other', tensors)
    await expect(compareFiles(original, other)).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(words) as string })
  })

  it('a NaN is NOT_FINITE with the tensor that has it; no tensors is INVALID_INPUT', async () => {
    const a = await written('sound', [f32('x', [1]), f32('y', [1])])
    const b = await written('nan', [f32('x', [1]), f32('y', [NaN])])
    await expect(compareFiles(a, b)).rejects.toMatchObject({ code: 'NOT_FINITE', message: expect.stringContaining('y: ') as string })
    const none = await written('none', [])
    await expect(compareFiles(none, none)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})
