import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ByteSource, memorySource } from '#core/bytes/source.ts'
import { LabError } from '#core/contract/errors.ts'
import { describeModel } from '#core/onnx/describe.ts'
import { readModel } from '#core/onnx/model.ts'
import { tinyModel } from '../../test/tiny-model.ts'
import { readGraphHead } from './graph-head.ts'
import { resourcesFolder } from './resources.ts'

const folders: string[] = []
let demo = new Uint8Array()
let tiny = new Uint8Array()
let external = new Uint8Array()
beforeAll(async () => {
  demo = new Uint8Array(await readFile(join(resourcesFolder(), 'models', 'kvlab-demo', 'onnx', 'model.onnx')))
  const bytesOf = async (options: Parameters<typeof tinyModel>[0]): Promise<Uint8Array<ArrayBuffer>> => {
    const folder = await tinyModel(options)
    folders.push(folder)
    return new Uint8Array(await readFile(join(folder, 'onnx', 'model.onnx')))
  }
  tiny = await bytesOf({})
  external = await bytesOf({ external: true })
})
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

function counting(bytes: Uint8Array): ByteSource & { taken: number } {
  const memory = memorySource(bytes)
  const source = {
    size: bytes.length,
    taken: 0,
    read: (begin: number, end: number): Promise<Uint8Array> => {
      source.taken += end - begin
      return memory.read(begin, end)
    },
  }
  return source
}

/** The description of a model from its head, or from all of its bytes; or the code of its LabError. */
async function outcome(bytes: Uint8Array, whole = false): Promise<unknown> {
  try {
    return describeModel(whole ? readModel(bytes, 'it') : await readGraphHead(memorySource(bytes), 'it'), 'it', bytes.length)
  } catch (error) {
    if (error instanceof LabError) return error.code
    throw error
  }
}

describe('readGraphHead', () => {
  it('describes a model as the whole of it does, and reads little', async () => {
    for (const bytes of [demo, tiny, external]) {
      expect(await outcome(bytes)).toMatchObject({ unusable: null })
      expect(await outcome(bytes)).toEqual(await outcome(bytes, true))
    }
    const source = counting(demo)
    const head = await readGraphHead(source, 'demo')
    expect(source.taken).toBeLessThan(demo.length / 5)
    expect(head.graph.initializer.reduce((sum, tensor) => sum + tensor.length, 0)).toBeLessThan(20_000)
  })

  it('refuses what is cut short at any place as a reader of all of it does, and what is no model', async () => {
    for (let length = 0; length < tiny.length; length++) {
      const cut = tiny.subarray(0, length)
      expect(await outcome(cut), `${length} bytes`).toEqual(await outcome(cut, true))
    }
    expect(await outcome(tiny.subarray(0, 3000))).toBe('MALFORMED_FILE')
    for (const text of ['', 'Call me Ishmael. Some years ago', '\0'.repeat(100), '{"format": "onnx"}']) expect(await outcome(Buffer.from(text))).toBe('MALFORMED_FILE')
    expect(await outcome(demo.subarray(0, demo.length - 1))).toBe('MALFORMED_FILE')
  })

  it('refuses a weight that ends beyond its tensor', async () => {
    // A graph with one node and one initializer, whose raw_data has this many bytes.
    const model = (length: number): Uint8Array => Uint8Array.from([0x3a, 10, 0x0a, 2, 0x22, 0, 0x2a, 4, 0x4a, length, 1, 2])
    expect(await outcome(model(2))).toMatchObject({ kind: 'onnx' })
    for (const length of [3, 100]) expect(await outcome(model(length))).toBe('MALFORMED_FILE')
  })

  it('refuses an endless row of fields', async () => {
    expect(await outcome(new Uint8Array(2_000_010).fill(8))).toBe('MALFORMED_FILE')
  })

  it('refuses what is too large to be a graph before it reads', async () => {
    const read = (): never => {
      throw new Error('it was read')
    }
    await expect(readGraphHead({ size: 2 ** 31, read }, 'large')).rejects.toMatchObject({ code: 'MALFORMED_FILE' })
  })

  it('any mutation is described or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(tiny.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }), async (changes) => {
        const bytes = tiny.slice()
        for (const [at, byte] of changes) bytes[at] = byte
        const result = await outcome(bytes)
        if (typeof result === 'string') expect(result).toBe('MALFORMED_FILE')
        else expect(result).toMatchObject({ kind: 'onnx' })
      }),
      { numRuns: 1000 },
    )
  })
})
