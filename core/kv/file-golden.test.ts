import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { codecs } from '#core/codecs/index.ts'
import { quantizers } from '#core/quantizers/index.ts'
import type { KvArrays, KvShape } from './cache.ts'
import { SIDES } from './cache.ts'
import { decodeKv, encodeKv, type KvAbout } from './file.ts'
import { openKv, storedBytes } from './file-header.ts'
import { readMethod, writeMethod } from './methods.ts'

type Numbers = Record<'key' | 'value', number[][]>
type Golden = { method: string; shape: KvShape; about: KvAbout; cache: Numbers; decoded: Numbers }

/** Made by make.py beside them, which shares no code with us. */
const folder = new URL('../../test/golden/kv-file/', import.meta.url)
const golden = JSON.parse(await readFile(new URL('values.json', folder), 'utf8')) as Record<string, Golden>
const fileOf = async (name: string): Promise<Uint8Array> => new Uint8Array(await readFile(new URL(`${name}.safetensors`, folder)))
const floatsOf = (layers: number[][]): Float32Array[] => layers.map((layer) => Float32Array.from(layer))
const floats = ({ key, value }: Numbers): KvArrays => ({ key: floatsOf(key), value: floatsOf(value) })
const bits = (arrays: KvArrays): Int32Array[] => SIDES.flatMap((side) => arrays[side].map((layer) => new Int32Array(layer.buffer, layer.byteOffset, layer.length)))

describe.each(Object.entries(golden))('the golden file %s', (name, { method, shape, about, cache, decoded }) => {
  it('decodes to the values that Python worked out, bit for bit', async () => {
    const file = decodeKv(await fileOf(name))
    expect(file.shape).toEqual(shape)
    expect(writeMethod(file.method)).toBe(method)
    expect(file.about).toEqual(about)
    expect(bits(file.arrays)).toEqual(bits(floats(decoded)))
  })

  it('is what we write, byte for byte where nothing is coded', async () => {
    const ours = encodeKv({ shape, ...floats(cache) }, readMethod(method), about).bytes
    const theirs = await fileOf(name)
    if (!method.includes('+')) return expect(Buffer.compare(ours, theirs)).toBe(0)
    // Coders may differ in how they code: then the streams are equal, not the bytes of their codes.
    const raw = (bytes: Uint8Array): unknown => [...openKv(bytes).records].map(([stream, { rawBytes, xxh64 }]) => [stream, rawBytes, xxh64])
    expect(raw(ours)).toEqual(raw(theirs))
  })
})

const python = spawnSync('python3', ['-c', 'import safetensors'])
const absent = python.status !== 0

describe('Python', () => {
  it.skipIf(absent)('opens a file of every method and sees our tensors (skipped where python3 has no safetensors)', async () => {
    const shape: KvShape = { layers: 2, kvHeads: 2, tokens: 5, headDim: 64, dtype: 'BF16' }
    const layer = (): Float32Array => Float32Array.from({ length: 2 * 5 * 64 }, (_, i) => (i % 9) - 4)
    const cache = { shape, key: [layer(), layer()], value: [layer(), layer()] }
    const paths = await mkdtemp(join(tmpdir(), 'kvlab-'))
    try {
      const wanted: Record<string, unknown> = {}
      for (const { id } of quantizers) {
        for (const codec of codecs.filter(({ missing }) => missing === undefined)) {
          const method = readMethod(`${id}/none@sinks1@recent1@layers0${codec.id === 'raw' ? '' : `+${codec.id}`}`)
          const { bytes } = encodeKv(cache, method, { model: 'ü "漢"' })
          await writeFile(join(paths, `${id}-${codec.id}`), bytes)
          const file = openKv(bytes)
          const hex = (name: string): string => Buffer.from(storedBytes(bytes, file, name)).toString('hex')
          wanted[`${id}-${codec.id}`] = Object.fromEntries([...file.tensors.values()].map(({ name, dtype, shape }) => [name, [dtype, shape, hex(name)]]))
        }
      }
      const script = `
import json, os, sys
from safetensors import deserialize, safe_open
seen = {}
for name in os.listdir(sys.argv[1]):
    path = os.path.join(sys.argv[1], name)
    seen[name] = {key: [t["dtype"], t["shape"], bytes(t["data"]).hex()] for key, t in deserialize(open(path, "rb").read())}
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["format"] == "kvlab.kv" and file.metadata()["model"] == 'ü "漢"' and set(file.keys()) == set(seen[name])
print(json.dumps(seen))`
      const { stdout, stderr } = spawnSync('python3', ['-c', script, paths], { encoding: 'utf8', maxBuffer: 1e8 })
      expect(stderr).toBe('')
      expect(JSON.parse(stdout)).toEqual(wanted)
    } finally {
      await rm(paths, { recursive: true })
    }
  })
})
