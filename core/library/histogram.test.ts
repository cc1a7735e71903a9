import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { f32ToBf16, f32ToF16, f32ToF8e4m3, f32ToF8e5m2 } from '#core/bytes/float.ts'
import type { Histogram } from '#core/contract/library.ts'
import { encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { writeSafetensors, type TensorData } from '#core/safetensors/write.ts'
import { tensorHistogram } from './histogram.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-histogram-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const never = new AbortController().signal

async function written(name: string, tensors: TensorData[]): Promise<string> {
  const path = join(folder, `${name}.safetensors`)
  await writeSafetensors(path, tensors, new Map())
  return path
}

const f32 = (name: string, values: Float32Array): TensorData => ({ name, dtype: 'F32', shape: [values.length], bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) })

async function histogramOf(values: ArrayLike<number>): Promise<Histogram> {
  return tensorHistogram(await written('any', [f32('x', Float32Array.from(values))]), 'x', never)
}

describe('tensorHistogram', () => {
  it('counts finite values in 64 equal bins from the smallest to the largest', async () => {
    const histogram = await histogramOf([0, 1, 2, 3, 64, 63.5, 32, NaN, -Infinity])
    expect(histogram).toMatchObject({ tensor: 'x', nonFinite: 2 })
    expect(histogram.edges).toEqual(Array.from({ length: 65 }, (_, i) => i))
    expect(histogram.counts).toHaveLength(64)
    expect([0, 1, 2, 3, 32, 63].map((bin) => histogram.counts[bin])).toEqual([1, 1, 1, 1, 1, 2])
    expect(histogram.counts.reduce((sum, each) => sum + each, 0)).toBe(7)
  })

  it('is empty where no value is finite, and has bins around a single value', async () => {
    expect(await histogramOf([])).toEqual({ tensor: 'x', edges: [], counts: [], nonFinite: 0 })
    expect(await histogramOf([NaN, Infinity])).toEqual({ tensor: 'x', edges: [], counts: [], nonFinite: 2 })
    const single = await histogramOf([2, 2])
    expect([single.edges[0], single.edges[64], single.counts[32]]).toEqual([1.5, 2.5, 2])
    const huge = await histogramOf([-3e38])
    expect(huge.edges[64]).toBeGreaterThan(huge.edges[0] ?? 0)
  })

  it('any values are counted in the bin that they lie in', async () => {
    const value = fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(NaN, Infinity, -Infinity, 0, -0), fc.integer({ min: -64, max: 64 }))
    await fc.assert(
      fc.asyncProperty(fc.array(value, { maxLength: 200 }), async (any) => {
        const values = Float32Array.from(any)
        const finite = [...values].filter(Number.isFinite)
        const { edges, counts, nonFinite } = await histogramOf(values)
        expect(nonFinite).toBe(values.length - finite.length)
        expect(counts).toHaveLength(finite.length === 0 ? 0 : 64)
        for (let bin = 0; bin < counts.length; bin++) {
          const [low = NaN, high = NaN] = edges.slice(bin)
          expect(low).toBeLessThan(high)
          expect(counts[bin]).toBe(finite.filter((one) => one >= low && (one < high || (bin === 63 && one === high))).length)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('reads every float dtype, and tensors longer than one read', async () => {
    const values = [-2, -1, 0, 1, 2]
    const halves = (encode: (value: number) => number): Uint8Array => new Uint8Array(Uint16Array.from(values, encode).buffer)
    const path = await written('dtypes', [
      { name: 'F16', dtype: 'F16', shape: [5], bytes: halves(f32ToF16) },
      { name: 'BF16', dtype: 'BF16', shape: [5], bytes: halves(f32ToBf16) },
      { name: 'F8_E4M3', dtype: 'F8_E4M3', shape: [5], bytes: Uint8Array.from(values, f32ToF8e4m3) },
      { name: 'F8_E5M2', dtype: 'F8_E5M2', shape: [5], bytes: Uint8Array.from(values, f32ToF8e5m2) },
    ])
    const expected = (await histogramOf(values)).counts
    for (const name of ['F16', 'BF16', 'F8_E4M3', 'F8_E5M2']) expect(await tensorHistogram(path, name, never)).toMatchObject({ tensor: name, counts: expected })
    const length = 2 ** 21 + 3
    const { edges, counts } = await histogramOf(Float32Array.from({ length }, (_, i) => i))
    expect(edges[64]).toBe(length - 1)
    expect(counts.reduce((sum, each) => sum + each, 0)).toBe(length)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
  })

  it('shows the plain streams of a KV file', async () => {
    const side = [Float32Array.from({ length: 2 * 8 * 64 }, (_, i) => Math.sin(i))]
    const path = join(folder, 'kv.safetensors')
    await writeFile(path, encodeKv({ shape: { layers: 1, kvHeads: 2, tokens: 8, headDim: 64, dtype: 'F32' }, key: side, value: side }, readMethod('int4:g64')).bytes)
    const { counts } = await tensorHistogram(path, 'key.scales', never)
    expect(counts.reduce((sum, each) => sum + each, 0)).toBe(16)
    await expect(tensorHistogram(path, 'key.codes', never)).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('key.codes of') as string })
  })

  it('refuses other tensors and files, and ends when it is cancelled', async () => {
    const path = await written('some', [f32('x', Float32Array.of(1))])
    await expect(tensorHistogram(path, 'y', never)).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('no tensor "y"') as string })
    await expect(tensorHistogram(path, '__proto__', never)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(tensorHistogram(join(folder, 'none'), 'x', never)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    const text = join(folder, 'text.safetensors')
    await writeFile(text, 'Call me Ishmael. Some years ago')
    await expect(tensorHistogram(text, 'x', never)).rejects.toMatchObject({ code: 'MALFORMED_FILE' })
    await expect(tensorHistogram(path, 'x', AbortSignal.abort(new Error('left')))).rejects.toThrow('left')
  })
})
