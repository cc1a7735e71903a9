import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeKv } from '#core/kv/file.ts'
import { readMethod, writeMethod } from '#core/kv/methods.ts'
import { tinyModel } from '../../test/tiny-model.ts'
import { writeSafetensors } from '#core/safetensors/write.ts'
import type { TensorFileInfo } from '#core/contract/files.ts'
import { inspectFile } from './inspect.ts'
import { resourcesFolder } from './resources.ts'

const golden = (path: string): string => fileURLToPath(new URL(`../../test/golden/safetensors/${path}`, import.meta.url))
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-inspect-'))
})
afterAll(() => rm(folder, { recursive: true }))

const f32 = (name: string, values: number[], shape = [values.length]) => ({ name, dtype: 'F32' as const, shape, bytes: new Uint8Array(Float32Array.from(values).buffer) })

async function inspectTensors(path: string): Promise<TensorFileInfo> {
  const info = await inspectFile(path)
  if (info.kind === 'onnx') throw new Error(`${path} was taken for a model`)
  return info
}

describe('inspectFile', () => {
  it('tells header, metadata and tensors of a safetensors file', async () => {
    const info = await inspectTensors(golden('valid/all-dtypes.safetensors'))
    expect(info).toMatchObject({ kind: 'safetensors', bytes: 1349, kv: null, metadata: { format: 'pt', note: 'ü – 漢字 " \\ \n' } })
    expect(info.tensors).toHaveLength(12)
    expect(info.headerBytes + info.tensors.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(info.bytes)
    expect(info.tensors.filter(({ stats }) => stats !== null).map(({ dtype }) => dtype).sort()).toEqual(['BF16', 'F16', 'F32', 'F8_E4M3', 'F8_E5M2'])
    expect(JSON.parse(JSON.stringify(info))).toEqual(info)
  })

  it('counts statistics over the finite values', async () => {
    const path = join(folder, 'stats.safetensors')
    await writeSafetensors(path, [f32('a', [1, -3, 0, NaN, Infinity, -0]), f32('b', [NaN, -Infinity]), f32('c', []), f32('d', [10_000_001, 10_000_003])], new Map())
    const { tensors } = await inspectTensors(path)
    expect(tensors.map(({ stats }) => stats)).toEqual([
      { min: -3, max: 1, mean: -0.5, std: Math.sqrt((2.25 + 6.25 + 0.25 + 0.25) / 4), zeros: 2, nonFinite: 2 },
      { min: null, max: null, mean: null, std: null, zeros: 0, nonFinite: 2 },
      { min: null, max: null, mean: null, std: null, zeros: 0, nonFinite: 0 },
      { min: 10_000_001, max: 10_000_003, mean: 10_000_002, std: 1, zeros: 0, nonFinite: 0 },
    ])
  })

  it('tells method, shape and streams of a KV file', async () => {
    const side = (from: number): Float32Array[] => [0, 1].map((layer) => Float32Array.from({ length: 2 * 8 * 64 }, (_, i) => Math.sin(from + layer + i)))
    const shape = { layers: 2, kvHeads: 2, tokens: 8, headDim: 64, dtype: 'F16' as const }
    const method = readMethod('int4:g64')
    const path = join(folder, 'cache.kv.safetensors')
    const { bytes } = encodeKv({ shape, key: side(0), value: side(5) }, method, { model: 'some-model' })
    await writeFile(path, bytes)
    const info = await inspectTensors(path)
    expect(info.kind).toBe('kvlab.kv')
    expect(info.kv).toMatchObject({ ...shape, method: writeMethod(method), model: 'some-model', ratio: (2 * 2 * 2 * 2 * 8 * 64) / bytes.length })
    expect(info.kv?.streams.map(({ name }) => name).sort()).toEqual(info.tensors.map(({ name }) => name).sort())
  })

  it('a broken file is MALFORMED_FILE with its path', async () => {
    const path = golden('malformed/hole.safetensors')
    await expect(inspectFile(path)).rejects.toMatchObject({ code: 'MALFORMED_FILE', message: expect.stringContaining(path) as string, details: { reason: 'InvalidOffset' } })
  })

  it('an ONNX model is described, a broken one MALFORMED_FILE', async () => {
    const path = join(resourcesFolder(), 'models', 'kvlab-demo', 'onnx', 'model.onnx')
    const info = await inspectFile(path)
    expect(info).toMatchObject({ kind: 'onnx', opsets: [{ domain: 'ai.onnx', version: 21 }], cache: { layers: 6, kvHeads: 2, headDim: 64, dtype: 'F32' }, unusable: null, externalFiles: [], notes: [] })
    if (info.kind !== 'onnx') throw new Error('not a model')
    expect(info.edits.map(({ reason }) => reason)).toEqual([null, null])
    expect(info.operators.find(({ type }) => type === 'MatMul')?.count).toBe(55)
    expect(info.weights.map(({ dtype }) => dtype)).toEqual(['F16', 'F32', 'I64'])
    expect(info.inputs[3]).toEqual({ name: 'past_key_values.0.key', type: 'float32', shape: ['batch_size', 2, 'past_sequence_length', 64] })
    expect(JSON.parse(JSON.stringify(info))).toEqual(info)
    const broken = join(folder, 'model.onnx')
    await writeFile(broken, 'Call me Ishmael. Some years ago')
    await expect(inspectFile(broken)).rejects.toMatchObject({ code: 'MALFORMED_FILE', message: expect.stringContaining(broken) as string })
  })

  it('an ONNX model that is no language model says why it cannot be used', async () => {
    const tiny = await tinyModel({ present: null })
    const info = await inspectFile(join(tiny, 'onnx', 'model.onnx'))
    await rm(tiny, { recursive: true })
    expect(info).toMatchObject({ kind: 'onnx', cache: null, unusable: expect.stringContaining('no present outputs') as string })
    if (info.kind === 'onnx') expect(info.edits.every(({ reason }) => reason !== null)).toBe(true)
  })

  it.each(['notes.txt', 'empty.bin'])('%s is INVALID_INPUT with its path', async (name) => {
    const path = join(folder, name)
    await writeFile(path, name.startsWith('empty') ? '' : 'Call me Ishmael. Some years ago')
    await expect(inspectFile(path)).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining(path) as string })
  })

  it('a missing file is FILE_NOT_FOUND', async () => {
    await expect(inspectFile(join(folder, 'missing.safetensors'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })
})
