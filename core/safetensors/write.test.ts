import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memorySource } from '#core/bytes/source.ts'
import { DTYPE_BITS, DTYPES } from './dtype.ts'
import { openSafetensors } from './read.ts'
import { type TensorData, headerBytes, serialize, writeSafetensors } from './write.ts'

const tensor = (name: string, dtype: TensorData['dtype'], shape: number[]): TensorData => {
  const length = (shape.reduce((product, size) => product * size, 1) * DTYPE_BITS[dtype]) / 8
  return { name, dtype, shape, bytes: Uint8Array.from({ length }, (_, i) => (i * 37 + name.length) & 255) }
}

describe('serialize', () => {
  it('lays tensors out by alignment, then name, behind a header padded to 8', () => {
    const tensors = [tensor('b', 'F16', [3]), tensor('a', 'F16', [1]), tensor('z', 'F32', [2]), tensor('c', 'U8', [1]), tensor('i', 'I64', [1])]
    const { header, order } = headerBytes(tensors, new Map([['k', 'v']]))
    expect(order).toEqual(['i', 'z', 'a', 'b', 'c'])
    expect(header.length % 8).toBe(0)
    expect(new TextDecoder().decode(header.subarray(8, 9))).toBe('{')
    expect(new DataView(header.buffer).getBigUint64(0, true)).toBe(BigInt(header.length - 8))
  })

  it('what it writes is read back, whatever the names, dtypes, shapes and metadata', async () => {
    const shape = fc.array(fc.nat(4), { maxLength: 4 })
    // Shapes of 8 more values keep the 4- and 6-bit dtypes at whole bytes.
    const arbitrary = fc.record({ name: fc.string({ unit: 'binary' }), dtype: fc.constantFrom(...DTYPES), shape: shape.map((sizes) => [...sizes, 8]) })
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(arbitrary, { maxLength: 6, selector: ({ name }) => name }),
        fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })),
        async (specs, metadata) => {
          fc.pre(specs.every(({ name }) => name !== '__metadata__'))
          const tensors = specs.map(({ name, dtype, shape }) => tensor(name, dtype, shape))
          const file = await openSafetensors(memorySource(serialize(tensors, new Map(Object.entries(metadata)))))
          expect([...file.header.metadata]).toEqual(Object.entries(metadata))
          expect(file.header.tensors.size).toBe(tensors.length)
          for (const { name, dtype, shape, bytes } of tensors) {
            expect(file.header.tensors.get(name)).toMatchObject({ dtype, shape })
            expect(Buffer.from(await file.tensor(name)).equals(bytes)).toBe(true)
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  it.each([
    ['a name twice', [tensor('a', 'U8', [1]), tensor('a', 'I8', [1])]],
    ['the reserved name', [tensor('__metadata__', 'U8', [1])]],
    ['bytes that do not fit the shape', [{ ...tensor('a', 'F32', [2]), shape: [3] }]],
    ['half a byte', [{ name: 'a', dtype: 'F4' as const, shape: [3], bytes: new Uint8Array(2) }]],
    ['a broken size', [{ name: 'a', dtype: 'U8' as const, shape: [0.5], bytes: new Uint8Array(1) }]],
  ])('%s is INVALID_INPUT', (_, tensors) => {
    expect(() => serialize(tensors, new Map())).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }) as Error)
  })
})

const python = spawnSync('python3', ['-c', 'import safetensors']).status === 0

describe('writeSafetensors', () => {
  const tensors = [...DTYPES.map((dtype) => tensor(`all ${dtype} ü"\\`, dtype, [2, 8])), tensor('scalar', 'F64', []), tensor('empty', 'F16', [0, 3])]
  const metadata = new Map([['format', 'pt'], ['note', 'ü 漢 " \\ \n']])

  it('writes what serialize gives', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kvlab-'))
    await writeSafetensors(join(folder, 'a.safetensors'), tensors, metadata)
    expect(new Uint8Array(await readFile(join(folder, 'a.safetensors')))).toEqual(serialize(tensors, metadata))
    await rm(folder, { recursive: true })
  })

  it.skipIf(!python)("Python's safetensors reads the same names, shapes and bytes (skipped where python3 has no safetensors)", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kvlab-'))
    const path = join(folder, 'a.safetensors')
    await writeSafetensors(path, tensors, metadata)
    const script = `
import json, sys
from safetensors import deserialize
print(json.dumps({name: [t["dtype"], t["shape"], bytes(t["data"]).hex()] for name, t in deserialize(open(sys.argv[1], "rb").read())}))`
    const seen = JSON.parse(execFileSync('python3', ['-c', script, path], { encoding: 'utf8' })) as Record<string, unknown>
    const wanted = tensors.map(({ name, dtype, shape, bytes }) => [name, [dtype, shape, Buffer.from(bytes).toString('hex')]])
    expect(seen).toEqual(Object.fromEntries(wanted))
    await rm(folder, { recursive: true })
  })
})
