import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ByteSource, memorySource } from '#core/bytes/source.ts'
import { LabError } from '#core/contract/errors.ts'
import { type SafetensorsReason, parseHeader } from './header.ts'
import { openSafetensors } from './read.ts'
import { serialize } from './write.ts'

const golden = new URL('../../test/golden/safetensors/', import.meta.url)
const fileNames = (folder: string): string[] => readdirSync(new URL(folder, golden)).filter((name) => name.endsWith('.safetensors'))
const bytesOf = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(path, golden)))
const jsonOf = <T>(path: string): T => JSON.parse(readFileSync(new URL(path, golden), 'utf8')) as T

/** A source that counts what is asked of it and fails the test when that is outside the file. */
function counting(bytes: Uint8Array): ByteSource & { reads: number; bytesRead: number } {
  const inner = memorySource(bytes)
  const source = {
    size: bytes.length,
    reads: 0,
    bytesRead: 0,
    read: async (begin: number, end: number) => {
      if (begin < 0 || end > bytes.length || end < begin) throw new Error(`read of ${begin} to ${end} in ${bytes.length} bytes`)
      source.reads++
      source.bytesRead += end - begin
      return inner.read(begin, end)
    },
  }
  return source
}

async function faultOf(bytes: Uint8Array): Promise<LabError | null> {
  try {
    const file = await openSafetensors(counting(bytes))
    for (const name of file.header.tensors.keys()) await file.tensor(name)
    return null
  } catch (error) {
    if (error instanceof LabError) return error
    throw error
  }
}

function reasonOf(error: LabError | null): string | null {
  return (error?.details as { reason: string } | undefined)?.reason ?? null
}

/** The reference's words for each variant of its error. */
const VARIANTS: [RegExp, SafetensorsReason][] = [
  [/header too small/, 'HeaderTooSmall'],
  [/header too large/, 'HeaderTooLarge'],
  [/invalid header length/, 'InvalidHeaderLength'],
  [/invalid UTF-8/, 'InvalidHeader'],
  [/invalid JSON/, 'InvalidHeaderDeserialization'],
  [/invalid offset for tensor/, 'InvalidOffset'],
  [/overflow computing/, 'ValidationOverflow'],
  [/invalid shape, data type, or offset/, 'TensorInvalidInfo'],
  [/incomplete metadata/, 'MetadataIncompleteBuffer'],
]

describe('files of the reference library', () => {
  type Tensor = { dtype: string; shape: number[]; float32: (number | string | null)[] }
  const expected = jsonOf<Record<string, { metadata: Record<string, string>; tensors: Record<string, Tensor> }>>('valid/values.json')
  const DTYPES: Record<string, string> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16', float8_e4m3fn: 'F8_E4M3', float8_e5m2: 'F8_E5M2' }

  it.each(fileNames('valid/'))('%s: metadata, shapes and values', async (fileName) => {
    const want = expected[fileName.replace('.safetensors', '')]
    if (want === undefined) throw new Error(`no values for ${fileName}`)
    const source = counting(bytesOf(`valid/${fileName}`))
    const file = await openSafetensors(source)
    expect(source.reads).toBeLessThanOrEqual(2)
    expect(Object.fromEntries(file.header.metadata)).toEqual(want.metadata)
    expect([...file.header.tensors.keys()].sort()).toEqual(Object.keys(want.tensors).sort())
    for (const [name, tensor] of Object.entries(want.tensors)) {
      expect(file.header.tensors.get(name)?.shape).toEqual(tensor.shape)
      const dtype = DTYPES[tensor.dtype]
      if (dtype === undefined) {
        await expect(file.floats(name)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
        continue
      }
      expect(file.header.tensors.get(name)?.dtype).toBe(dtype)
      const numbers = tensor.float32.map((value) => (value === null ? NaN : Number(value === 'inf' ? Infinity : value === '-inf' ? -Infinity : value)))
      // JSON writes -0 as -0.0 and reads it back as -0, so signs of zeros are compared too.
      expect([...(await file.floats(name))]).toEqual(numbers)
    }
  })

  it.each(fileNames('valid/'))('%s: written again, the same bytes', async (fileName) => {
    const bytes = bytesOf(`valid/${fileName}`)
    const file = await openSafetensors(memorySource(bytes))
    const tensors = await Promise.all([...file.header.tensors.values()].map(async (info) => ({ ...info, bytes: await file.tensor(info.name) })))
    const written = serialize(tensors.reverse(), file.header.metadata)
    expect(Buffer.from(written).equals(bytes)).toBe(true)
  })
})

describe('malformed files and the verdict of the reference', () => {
  const verdicts = jsonOf<Record<string, { reference: string; error?: string; tensors?: string[] }>>('malformed/reference.json')
  /** Two readers may take either of two equal keys; we take neither. */
  const STRICTER = ['duplicate-key']

  it.each(fileNames('malformed/'))('%s', async (fileName) => {
    const name = fileName.replace('.safetensors', '')
    const verdict = verdicts[name]
    if (verdict === undefined) throw new Error(`no verdict for ${name}`)
    const bytes = bytesOf(`malformed/${fileName}`)
    if (verdict.reference === 'accepted' && !STRICTER.includes(name)) {
      const { header } = await openSafetensors(memorySource(bytes))
      expect([...header.tensors.keys()].sort()).toEqual(verdict.tensors)
      return
    }
    const variant = VARIANTS.find(([words]) => words.test(verdict.error ?? 'invalid JSON'))?.[1]
    const fault = await faultOf(bytes)
    expect(fault?.code).toBe('MALFORMED_FILE')
    expect(fault?.details).toEqual({ format: 'safetensors', reason: variant, at: expect.any(Number) as number })
  })
})

describe('rules that no golden file shows', () => {
  const fileWith = (json: string, data = 0): Uint8Array => {
    const text = new TextEncoder().encode(json)
    const bytes = new Uint8Array(8 + text.length + data)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
    bytes.set(text, 8)
    return bytes
  }
  const tensor = (fields: string): string => `{"a":{${fields}}}`

  it.each([
    ['half a byte', tensor('"dtype":"F4","shape":[3],"data_offsets":[0,2]'), 2, 'MisalignedSlice'],
    ['6 bits, no whole bytes', tensor('"dtype":"F6_E2M3","shape":[5],"data_offsets":[0,4]'), 4, 'MisalignedSlice'],
    ['an end before its begin', '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[4,0]}}', 4, 'InvalidOffset'],
    ['an unsafe size beside a zero', tensor('"dtype":"F32","shape":[0,9007199254740992],"data_offsets":[0,0]'), 0, 'ValidationOverflow'],
    ['2^64', tensor('"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,0]'), 0, 'InvalidHeaderDeserialization'],
    ['a leading zero', tensor('"dtype":"U8","shape":[01],"data_offsets":[0,1]'), 1, 'InvalidHeaderDeserialization'],
    ['an exponent', tensor('"dtype":"U8","shape":[1e0],"data_offsets":[0,1]'), 1, 'InvalidHeaderDeserialization'],
    ['a million digits', tensor(`"dtype":"U8","shape":[${'1'.repeat(1e6)}],"data_offsets":[0,1]`), 1, 'InvalidHeaderDeserialization'],
    ['a field twice', tensor('"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]'), 1, 'InvalidHeaderDeserialization'],
    ['an unknown field', tensor('"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":[]'), 1, 'InvalidHeaderDeserialization'],
    ['three offsets', tensor('"dtype":"U8","shape":[1],"data_offsets":[0,1,2]'), 1, 'InvalidHeaderDeserialization'],
    ['65 dimensions', tensor(`"dtype":"U8","shape":[1${',1'.repeat(64)}],"data_offsets":[0,1]`), 1, 'InvalidHeaderDeserialization'],
    ['a comma too many', tensor('"dtype":"U8","shape":[1,],"data_offsets":[0,1]'), 1, 'InvalidHeaderDeserialization'],
    ['a lone surrogate', '{"__metadata__":{"a":"\\ud800"}}', 0, 'InvalidHeaderDeserialization'],
    ['a bare control character', '{"__metadata__":{"a":"\n"}}', 0, 'InvalidHeaderDeserialization'],
    ['an unclosed string', '{"__metadata__":{"a":"b', 0, 'InvalidHeaderDeserialization'],
    ['metadata twice', '{"__metadata__":{},"__metadata__":{}}', 0, 'InvalidHeaderDeserialization'],
    ['a byte order mark', '\ufeff{}', 0, 'InvalidHeaderDeserialization'],
    ['an inherited name for a dtype', tensor('"dtype":"toString","shape":[1],"data_offsets":[0,1]'), 1, 'InvalidHeaderDeserialization'],
  ])('%s is refused', async (_, json, data, reason) => {
    expect(reasonOf(await faultOf(fileWith(json, data)))).toBe(reason)
  })

  it.each([
    ['sub-byte dtypes in whole bytes', tensor('"dtype":"F6_E3M2","shape":[2,2],"data_offsets":[0,3]'), 3],
    ['tensors in any order', '{"b":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', 5],
    ['an empty tensor after the one it touches', '{"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', 4],
    ['white space around', ' \n{ "a" : { "shape" : [ 1 ] , "data_offsets" : [ 0 , 1 ] , "dtype" : "U8" } } \t', 1],
    ['no metadata, said so', '{"__metadata__":null}', 0],
    ['escapes', '{"__metadata__":{"\\u00e9\\n":"\\ud83d\\ude00"}}', 0],
  ])('%s: read', async (_, json, data) => {
    expect(await faultOf(fileWith(json, data))).toBeNull()
  })

  it('names the byte of the fault in the file', async () => {
    const fault = await faultOf(fileWith('{"__metadata__":{"é":"漢","é":""}}'))
    expect(fault?.details).toMatchObject({ at: 8 + new TextEncoder().encode('{"__metadata__":{"é":"漢",').length })
  })

  it('a name like __proto__ is a name', async () => {
    const { header } = await openSafetensors(memorySource(bytesOf('malformed/proto-key.safetensors')))
    expect(header.tensors.get('__proto__')?.shape).toEqual([4])
    expect(({} as { dtype?: unknown }).dtype).toBeUndefined()
  })

  it('reads floats wherever their bytes lie', async () => {
    const json = '{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    for (const padding of ['', ' ']) {
      const bytes = fileWith(json + padding, 8)
      bytes.set([0x00, 0x3c, 0x00, 0xc0, 0, 0, 0x80, 0x3f], bytes.length - 8)
      const file = await openSafetensors(memorySource(bytes))
      expect([...(await file.floats('a')), ...(await file.floats('b'))]).toEqual([1, -2, 1])
    }
  })

  it('a tensor that is not there is named with those that are', async () => {
    const file = await openSafetensors(memorySource(bytesOf('valid/kv-plain.safetensors')))
    await expect(file.tensor('layer_9_key')).rejects.toThrow(/layer_9_key.*layer_0_key/)
  })
})

describe('any change of a valid file', () => {
  const valid = fileNames('valid/').map((name) => bytesOf(`valid/${name}`))
  const anyFile = fc.constantFrom(...valid)

  it('cut at any byte, it is refused', async () => {
    for (const bytes of valid) {
      // Of a long one, every cut in and round the header and one in 41 after it.
      for (let size = 0; size < bytes.length; size += size < 600 ? 1 : 41) expect((await faultOf(bytes.subarray(0, size)))?.code).toBe('MALFORMED_FILE')
    }
  })

  it('with any bytes changed, it reads or is refused', async () => {
    const change = fc.tuple(fc.nat(500), fc.integer({ min: 1, max: 255 }))
    await fc.assert(
      fc.asyncProperty(anyFile, fc.array(change, { minLength: 1, maxLength: 4 }), async (bytes, changes) => {
        const mutant = bytes.slice()
        for (const [at, flip] of changes) mutant[at % mutant.length] = (mutant[at % mutant.length] ?? 0) ^ flip
        const fault = await faultOf(mutant)
        expect([undefined, 'MALFORMED_FILE']).toContain(fault?.code)
      }),
      { numRuns: 1500 },
    )
  })

  it('with a forged header length, it is refused', async () => {
    await fc.assert(
      fc.asyncProperty(anyFile, fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.bigInt(0n, 20_000n)), async (bytes, length) => {
        const mutant = bytes.slice()
        const view = new DataView(mutant.buffer)
        fc.pre(length !== view.getBigUint64(0, true))
        view.setBigUint64(0, length, true)
        expect((await faultOf(mutant))?.code).toBe('MALFORMED_FILE')
      }),
      { numRuns: 300 },
    )
  })

  it('with forged numbers in the header, it reads or is refused', async () => {
    const number = fc.oneof(fc.nat().map(String), fc.bigInt(0n, 2n ** 66n).map(String), fc.constantFrom('-1', '1e3', '0.5', 'null', '[]', '"1"', ''))
    await fc.assert(
      fc.asyncProperty(anyFile, fc.nat(), number, async (bytes, which, forged) => {
        const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
        const text = new TextDecoder().decode(bytes.subarray(8, 8 + size))
        const numbers = [...text.matchAll(/(?<=[[,])\d+/g)]
        const hit = numbers[which % Math.max(numbers.length, 1)]
        fc.pre(hit !== undefined)
        const json = new TextEncoder().encode(text.slice(0, hit.index) + forged + text.slice(hit.index + hit[0].length))
        const fileSize = 8 + json.length + bytes.length - 8 - size
        try {
          parseHeader(json, 8 + json.length, fileSize)
        } catch (error) {
          expect(error).toBeInstanceOf(LabError)
        }
      }),
      { numRuns: 500 },
    )
  })
})
