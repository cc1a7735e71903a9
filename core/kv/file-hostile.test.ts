import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { xxh64 } from '#core/bytes/xxh64.ts'
import { codecById } from '#core/codecs/index.ts'
import { LabError } from '#core/contract/errors.ts'
import type { KvCache, KvShape } from './cache.ts'
import { decodeKv, encodeKv } from './file.ts'
import { openKv, sealHeader, storedBytes } from './file-header.ts'
import { readMethod } from './methods.ts'

function cacheOf(shape: KvShape): KvCache {
  // Keys repeat, so that a codec shortens them; values do not.
  const layers = (value: (i: number) => number): Float32Array[] => {
    return Array.from({ length: shape.layers }, () => Float32Array.from({ length: shape.kvHeads * shape.tokens * shape.headDim }, (_, i) => value(i)))
  }
  return { shape, key: layers((i) => (i % 16) - 7), value: layers((i) => (Math.imul(i + 1, 0x9e3779b1) >>> 20) / 2048 - 1) }
}

const TINY: KvShape = { layers: 1, kvHeads: 1, tokens: 2, headDim: 16, dtype: 'F32' }
const SMALL: KvShape = { layers: 2, kvHeads: 2, tokens: 6, headDim: 16, dtype: 'F16' }
const tiny = encodeKv(cacheOf(TINY), readMethod('int4:g16')).bytes
const small = encodeKv(cacheOf(SMALL), readMethod('int8:g16/none@sinks1@recent1@layers0+lz4'), { model: 'm' }).bytes

const LAYERED = 'int8:g16@sinks1@layers0=q4_0@layers1,-1=int4:g16/none+lz4'
const layered = encodeKv(cacheOf({ ...SMALL, layers: 4, headDim: 32 }), readMethod(LAYERED)).bytes

/** The error of decoding, null where it decodes; anything but the two codes, with their details, fails the test. */
function faultOf(bytes: Uint8Array): { code: string; reason: string } | null {
  try {
    decodeKv(bytes)
    return null
  } catch (error) {
    // Plain comparisons: this runs tens of thousands of times.
    if (!(error instanceof LabError) || !['MALFORMED_FILE', 'CHECKSUM_MISMATCH'].includes(error.code)) throw error
    const { format, reason, at } = error.details as { format: string; reason: string; at: number }
    if (!['safetensors', 'kvlab.kv'].includes(format) || !(at >= 0)) throw new Error(`details of ${error.message}`, { cause: error })
    return { code: error.code, reason }
  }
}

type TensorText = { dtype: string; shape: number[]; data_offsets: number[] }
/** Changes a header in place, and gives other data where it is not to be the old. */
type Edit = (header: HeaderText, data: Uint8Array) => Uint8Array | void
type HeaderText = { metadata: Record<string, string>; tensors: Record<string, TensorText> }

/** The file with another header and other data, its header's checksum right again. */
function forge(bytes: Uint8Array, edit: Edit, seal = true): Uint8Array {
  const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const { __metadata__: metadata = {}, ...tensors } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size))) as Record<string, never>
  const header: HeaderText = { metadata, tensors }
  const data = edit(header, bytes.slice(8 + size)) ?? bytes.slice(8 + size)
  header.metadata['checksum'] = '0'.repeat(16)
  const json = new TextEncoder().encode(JSON.stringify({ __metadata__: header.metadata, ...header.tensors }))
  const file = new Uint8Array(8 + json.length + data.length)
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true)
  file.set(json, 8)
  file.set(data, 8 + json.length)
  if (seal) sealHeader(file)
  return file
}

const metadata = (change: Record<string, string | undefined>) => (header: HeaderText): void => {
  for (const [key, value] of Object.entries(change)) {
    if (value === undefined) delete header.metadata[key]
    else header.metadata[key] = value
  }
}
type RecordText = { rawBytes: unknown; codec: unknown; xxh64?: unknown; storedXxh64?: unknown }
const records = (edit: (records: Record<string, RecordText>) => void) => (header: HeaderText): void => {
  const parsed = JSON.parse(header.metadata['streams'] ?? '') as Record<string, RecordText>
  edit(parsed)
  header.metadata['streams'] = JSON.stringify(parsed)
}

it('the files are sound, and a forgery that changes nothing is one of them', () => {
  for (const file of [tiny, small, layered]) {
    expect(faultOf(file)).toBeNull()
    expect(faultOf(forge(file, () => undefined))).toBeNull()
    expect(faultOf(forge(file, records(() => undefined)))).toBeNull()
  }
  expect([...openKv(small).records.values()].map(({ codec }) => codec)).toContain('lz4')
  expect([...openKv(small).records.values()].map(({ codec }) => codec)).toContain('raw')
})

it('cut at any byte, or with bytes after it, it is refused', () => {
  for (const file of [tiny, small, layered]) {
    for (let size = 0; size < file.length; size++) if (faultOf(file.subarray(0, size)) === null) throw new Error(`cut to ${size} bytes it decodes`)
    expect(faultOf(Uint8Array.from([...file, 0]))).not.toBeNull()
  }
})

it.each([
  ['any bit of any byte', tiny, [0, 1, 2, 3, 4, 5, 6, 7]],
  ['a bit of any byte', small, [3]],
  ['a bit of any byte of one with overrides', layered, [6]],
])('%s flipped, it is refused', (_, file, flips) => {
  const mutant = file.slice()
  for (let at = 0; at < file.length; at++) {
    for (const bit of flips) {
      mutant[at]! ^= 1 << bit
      if (faultOf(mutant) === null) throw new Error(`bit ${bit} of byte ${at} was flipped and it decodes`)
      mutant[at]! ^= 1 << bit
    }
  }
})

it('any bytes changed, swapped or moved are refused', () => {
  const edit: fc.Arbitrary<(bytes: Uint8Array) => Uint8Array> = fc.oneof(
    fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => (bytes: Uint8Array) => {
      bytes[at % bytes.length]! ^= flip
      return bytes
    }),
    fc.tuple(fc.nat(), fc.nat(40), fc.uint8Array({ maxLength: 20 })).map(([where, cut, more]) => (bytes: Uint8Array) => {
      const at = where % bytes.length
      return Uint8Array.from([...bytes.subarray(0, at), ...more, ...bytes.subarray(at + cut)])
    }),
    fc.bigInt(0n, 2n ** 64n - 1n).map((length) => (bytes: Uint8Array) => {
      new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(0, length, true)
      return bytes
    }),
  )
  fc.assert(
    fc.property(fc.constantFrom(tiny, small, layered), fc.array(edit, { minLength: 1, maxLength: 4 }), (file, edits) => {
      const mutant = edits.reduce<Uint8Array>((bytes, change) => (bytes.length < 9 ? bytes : change(bytes)), file.slice())
      fc.pre(Buffer.compare(mutant, file) !== 0)
      expect(faultOf(mutant)).not.toBeNull()
    }),
    { numRuns: 1000 },
  )
})

it('bytes that are no file at all are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(faultOf(bytes)).not.toBeNull()
    }),
    { numRuns: 300 },
  )
})

describe('with its checksums made right again, a forged file is refused for', () => {
  const cases: [string, Edit, string][] = [
    ['another format', metadata({ format: 'kvlab.run' }), 'NotKvFile'],
    ['no format', metadata({ format: undefined }), 'NotKvFile'],
    ['another version', metadata({ version: '2' }), 'UnknownVersion'],
    ['no version', metadata({ version: undefined }), 'MissingField'],
    ['no dtype', metadata({ dtype: undefined }), 'MissingField'],
    ['no streams', metadata({ streams: undefined }), 'MissingField'],
    ['an unknown field', metadata({ note: 'x' }), 'UnknownField'],
    ['a prototype field', (header) => void Object.defineProperty(header.metadata, '__proto__', { value: 'x', enumerable: true }), 'UnknownField'],
    ['a token hash that is none', metadata({ tokenIdsSha256: 'abc' }), 'InvalidField'],
    ['an unknown method', metadata({ method: 'int9:g16' }), 'InvalidField'],
    ['a broken method', metadata({ method: '///' }), 'InvalidField'],
    ['a method that is not canonical', metadata({ method: 'int4:g16/int4:g16' }), 'InvalidField'],
    ['a method that its shape refuses', metadata({ method: 'int4:g32' }), 'InvalidField'],
    ['a method with other streams', metadata({ method: 'int8:g16' }), 'InvalidStreams'],
    ['a method with more streams', metadata({ method: 'int4:g16:asym' }), 'InvalidStreams'],
    ['a method that keeps tokens', metadata({ method: 'int4:g16@sinks1' }), 'InvalidStreams'],
    ['a method that keeps everything', metadata({ method: 'int4:g16@sinks9' }), 'InvalidField'],
    ['another dtype', metadata({ dtype: 'F64' }), 'InvalidField'],
    ['no layers', metadata({ layers: '0' }), 'InvalidField'],
    ['more layers', metadata({ layers: '2' }), 'InvalidStreams'],
    ['more heads', metadata({ kvHeads: '2' }), 'InvalidStreams'],
    ['more tokens', metadata({ tokens: '2147483647' }), 'InvalidStreams'],
    ['too many tokens', metadata({ tokens: '2147483648' }), 'InvalidField'],
    ['tokens that overflow', metadata({ tokens: '2147483647', kvHeads: '2147483647' }), 'InvalidField'],
    ['tokens by another spelling', metadata({ tokens: '02' }), 'InvalidField'],
    ['tokens with a sign', metadata({ tokens: '+2' }), 'InvalidField'],
    ['tokens as a fraction', metadata({ tokens: '2.0' }), 'InvalidField'],
    ['tokens below zero', metadata({ tokens: '-2' }), 'InvalidField'],
    ['tokens in letters', metadata({ tokens: 'two' }), 'InvalidField'],
    ['another head size', metadata({ headDim: '32' }), 'InvalidStreams'],
    ['streams that are no JSON', metadata({ streams: '{' }), 'InvalidStreams'],
    ['streams that are no object', metadata({ streams: '[]' }), 'InvalidStreams'],
    ['streams with white space', (header) => metadata({ streams: `${header.metadata['streams']} ` })(header), 'InvalidStreams'],
    ['a stream said twice', (header) => metadata({ streams: `${header.metadata['streams']?.slice(0, -1)},"key.codes":{}}` })(header), 'InvalidStreams'],
    ['a stream too many', records((all) => (all['key.extra'] = { rawBytes: 0, codec: 'raw', xxh64: '0'.repeat(16) })), 'InvalidStreams'],
    ['a stream too few', records((all) => delete all['value.scales']), 'InvalidStreams'],
    ['a record with more in it', records((all) => Object.assign(all['key.codes'] ?? {}, { note: 1 })), 'InvalidStreams'],
    ['a record of another size', records((all) => Object.assign(all['key.codes'] ?? {}, { rawBytes: 17 })), 'InvalidStreams'],
    ['a record of a huge size', records((all) => Object.assign(all['key.codes'] ?? {}, { rawBytes: 1e300 })), 'InvalidStreams'],
    ['a record without a checksum', records((all) => delete all['key.codes']?.xxh64), 'InvalidStreams'],
    ['a record with half a checksum', records((all) => Object.assign(all['key.codes'] ?? {}, { xxh64: 'abc' })), 'InvalidStreams'],
    ['a codec that the method does not name', records((all) => Object.assign(all['key.codes'] ?? {}, { codec: 'lz4', storedXxh64: '0'.repeat(16) })), 'InvalidStreams'],
    ['a codec that nobody knows', records((all) => Object.assign(all['key.codes'] ?? {}, { codec: 'zip' })), 'InvalidStreams'],
    ['another checksum', records((all) => Object.assign(all['key.codes'] ?? {}, { xxh64: '0'.repeat(16) })), 'StreamChecksum'],
    ['another byte of a stream', (_, data) => data.fill(1, 5, 6), 'StreamChecksum'],
    ['a tensor of another name', (header) => renamed(header, 'key.codes', 'key.other'), 'UnknownTensor'],
    ['tensors that changed places', (header) => swapped(header, 'key.scales', 'value.scales'), 'StreamChecksum'],
    ['a tensor of another dtype', (header) => void Object.assign(header.tensors['key.codes'] ?? {}, { dtype: 'I8' }), 'InvalidTensor'],
    ['a tensor of another shape', (header) => void Object.assign(header.tensors['key.codes'] ?? {}, { shape: [1, 2, 1, 8] }), 'InvalidTensor'],
    ['a tensor of another rank', (header) => void Object.assign(header.tensors['key.codes'] ?? {}, { shape: [16] }), 'InvalidTensor'],
    ['a tensor too many', (header, data) => {
      header.tensors['key.more'] = { dtype: 'U8', shape: [1], data_offsets: [data.length, data.length + 1] }
      return Uint8Array.from([...data, 0])
    }, 'UnknownTensor'],
    ['a tensor too few', (header, data) => {
      delete header.tensors['value.codes']
      return data.subarray(0, -16)
    }, 'MissingTensor'],
    ['a scale that is no number', restream('key.scales', (raw) => raw.set([0x00, 0x7e])), 'NotFinite'],
    ['a scale without end', restream('value.scales', (raw) => raw.set([0x00, 0x7c])), 'NotFinite'],
  ]

  it.each(cases)('%s', (_, edit, reason) => {
    expect(faultOf(forge(tiny, edit))?.reason).toBe(reason)
  })

  it('outliers that lie outside of a token, come twice, or are no numbers', () => {
    const sparse = encodeKv(cacheOf(TINY), readMethod('int4:g16:outliers100')).bytes
    expect(faultOf(forge(sparse, restream('key.places', () => undefined)))).toBeNull()
    expect(faultOf(forge(sparse, restream('key.places', (raw) => raw.set([16, 0]))))?.reason).toBe('InvalidTransform')
    expect(faultOf(forge(sparse, restream('value.places', (raw) => raw.copyWithin(2, 0, 2))))?.reason).toBe('InvalidTransform')
    expect(faultOf(forge(sparse, restream('value.outliers', (raw) => raw.set([0, 0x7c]))))?.reason).toBe('InvalidTransform')
    expect(faultOf(forge(sparse, metadata({ method: 'int4:g16:outliers1' })))?.reason).toBe('InvalidStreams')
  })

  it('a rotation that is missing, none, of another size, or of no use', () => {
    const rope = { theta: 10_000, rotaryDims: 16, scaling: null }
    const turned = encodeKv(cacheOf({ ...TINY, rope }), readMethod('int4:g16:pre-rope')).bytes
    const reason = (text: string | undefined): string | undefined => faultOf(forge(turned, metadata({ rope: text })))?.reason
    expect(reason(JSON.stringify(rope))).toBeUndefined()
    expect(reason(undefined)).toBe('InvalidField')
    expect(reason('{}')).toBe('InvalidField')
    expect(reason(`${JSON.stringify(rope)} `)).toBe('InvalidField')
    expect(reason(JSON.stringify({ ...rope, rotaryDims: 18 }))).toBe('InvalidField')
    expect(reason(JSON.stringify({ ...rope, rotaryDims: 2_000_000_000 }))).toBe('InvalidField')
    expect(reason(JSON.stringify({ ...rope, theta: -1 }))).toBe('InvalidField')
    expect(faultOf(forge(tiny, metadata({ rope: JSON.stringify(rope) })))?.reason).toBe('UnknownField')
  })

  it.each([
    ['an override less', LAYERED.replace('@layers0=q4_0', ''), 'InvalidStreams'],
    ['an override more', LAYERED.replace('+', '@layers2=none+'), 'InvalidField'],
    ['an override more where a layer is left', LAYERED.replace('1,-1=int4:g16/none', '1=int4:g16/none@layers2=none'), 'InvalidStreams'],
    ['layers that are kept instead', LAYERED.replace('@layers0=q4_0', '@layers0'), 'InvalidStreams'],
    ['an override of more layers', LAYERED.replace('1,-1=', '1,2,-1='), 'InvalidField'],
    ['an override of fewer layers', LAYERED.replace('1,-1=', '1='), 'InvalidStreams'],
    ['an override with other streams', LAYERED.replace('=q4_0', '=q8_0'), 'InvalidStreams'],
    ['sides that changed places', 'int8:g16@sinks1@layers0=int4:g16/none@layers1,-1=q4_0+lz4', 'InvalidStreams'],
    ['overrides that changed places', 'int8:g16@sinks1@layers1,-1=int4:g16/none@layers0=q4_0+lz4', 'InvalidField'],
    ['an override by the method’s own sides', LAYERED.replace('=q4_0', '=int8:g16'), 'InvalidField'],
    ['two overrides by the same sides', LAYERED.replace('=q4_0', '=int4:g16/none'), 'InvalidField'],
    ['an override without a side', LAYERED.replace('=q4_0', '='), 'InvalidField'],
    ['an override by nothing there is', LAYERED.replace('=q4_0', '=q9_0'), 'InvalidField'],
    ['a layer that is not there', LAYERED.replace('1,-1=', '1,4='), 'InvalidField'],
    ['a layer far out', LAYERED.replace('1,-1=', '1,9999='), 'InvalidField'],
    ['a layer named from both ends', LAYERED.replace('1,-1=', '1,-4='), 'InvalidField'],
    ['a layer named twice', LAYERED.replace('1,-1=', '0,1='), 'InvalidField'],
    ['a list out of order', LAYERED.replace('1,-1=', '-1,1='), 'InvalidField'],
    ['a side that the head size refuses', LAYERED.replace('=q4_0', '=int4:g64'), 'InvalidField'],
  ])('a method with %s', (_, method, reason) => {
    expect(faultOf(forge(layered, metadata({ method })))?.reason).toBe(reason)
  })

  it.each<[string, Edit, string]>([
    ['no record of an override’s stream', records((all) => delete all['key.2.codes']), 'InvalidStreams'],
    ['records of an override that is not there', records((all) => Object.assign(all, { 'key.3.codes': all['key.2.codes'] })), 'InvalidStreams'],
    ['a record of an override of another size', records((all) => Object.assign(all['key.1.blocks'] ?? {}, { rawBytes: 1 })), 'InvalidStreams'],
    ['streams of two overrides that changed places', (header) => swapped(header, 'key.2.scales', 'key.scales'), 'StreamChecksum'],
    ['an override’s tensor of another name', (header) => renamed(header, 'value.2.values', 'value.9.values'), 'UnknownTensor'],
    ['an override’s tensor of another dtype', (header) => void Object.assign(header.tensors['key.2.codes'] ?? {}, { dtype: 'I8' }), 'InvalidTensor'],
    ['fewer layers', metadata({ layers: '3' }), 'InvalidField'],
    ['more layers', metadata({ layers: '5' }), 'InvalidStreams'],
    ['all layers there can be', metadata({ layers: '2147483647' }), 'InvalidStreams'],
  ])('with overrides: %s', (_, edit, reason) => {
    expect(faultOf(forge(layered, edit))?.reason).toBe(reason)
  })

  it('streams that are too long to parse', () => {
    const file = forge(tiny, metadata({ streams: `[${'[],'.repeat(30_000)}[]]` }))
    expect(() => decodeKv(file)).toThrow('streams has 90004 characters, over 65536')
  })

  it('a header that begins otherwise', () => {
    const edit = (header: HeaderText): void => void (header.metadata = { model: 'm', ...header.metadata })
    expect(faultOf(forge(tiny, edit, false))?.reason).toBe('InvalidHeader')
  })

  it('a coded stream that is broken, longer or shorter than it says', () => {
    const name = [...openKv(small).records].find(([, { codec }]) => codec === 'lz4')?.[0] ?? ''
    const changed = restream(name, (raw) => raw.fill(1))
    expect(faultOf(forge(small, recode(name, (block) => block)))).toBeNull()
    expect(faultOf(forge(small, recode(name, (block) => block.subarray(0, -1))))?.reason).toBe('InvalidStream')
    expect(faultOf(forge(small, recode(name, (block) => Uint8Array.from([...block, 0]))))?.reason).toMatch(/InvalidStream|StreamChecksum/)
    const raw = codecById('lz4').decode(storedBytes(small, openKv(small), name), openKv(small).records.get(name)?.rawBytes ?? 0)
    expect(faultOf(forge(small, recode(name, () => codecById('lz4').encode(raw.subarray(1), {}))))?.reason).toBe('InvalidStream')
    expect(faultOf(forge(small, recode(name, () => codecById('lz4').encode(Uint8Array.from([...raw, 0]), {}))))?.reason).toBe('InvalidStream')
    expect(faultOf(forge(small, recode(name, () => new Uint8Array(raw.length))))?.reason).toBe('InvalidTensor')
    expect(faultOf(forge(small, changed))?.reason).toMatch(/InvalidStream|StreamChecksum/)
  })
})

it('claims of any size with right checksums cost no memory', () => {
  const file = encodeKv(cacheOf({ ...SMALL, tokens: 4000 }), readMethod('int4:g16+lz4')).bytes
  const before = process.memoryUsage().rss
  for (const size of ['layers', 'kvHeads', 'tokens']) {
    for (const claim of [1e4, 1e6, 2 ** 31 - 1]) {
      // As large as it is claimed, and the record says so, too: only the codec can tell that so few bytes cannot hold it.
      const grown = forge(file, (header) => {
        const factor = claim / Number(header.metadata[size])
        metadata({ [size]: String(claim) })(header)
        records((all) => Object.values(all).forEach((record) => (record.rawBytes = Number(record.rawBytes) * factor)))(header)
      })
      expect(faultOf(grown)?.reason).toMatch(/InvalidStream|InvalidTensor/)
    }
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(100e6)
})

it('any number of the header forged, with right checksums, is refused', () => {
  const number = fc.oneof(fc.nat(100), fc.integer({ min: 0, max: 2 ** 31 }), fc.maxSafeInteger().filter((value) => value >= 0))
  fc.assert(
    fc.property(fc.constantFrom(tiny, small, layered), fc.nat(), number, (file, which, forged) => {
      let same = false
      const mutant = forge(file, (header) => {
        const text = JSON.stringify(header)
        const hits = [...text.matchAll(/(?<=[[,:"])\d+(?=[\],}"])/g)].filter(({ index }) => index > text.indexOf('layers'))
        const hit = hits[which % hits.length]
        if (!hit) return
        same = hit[0] === String(forged)
        const edited = JSON.parse(text.slice(0, hit.index) + String(forged) + text.slice(hit.index + hit[0].length)) as HeaderText
        Object.assign(header, edited)
      })
      fc.pre(!same)
      expect(faultOf(mutant)).not.toBeNull()
    }),
    { numRuns: 800 },
  )
})

function renamed(header: HeaderText, from: string, to: string): void {
  const tensor = header.tensors[from]
  if (tensor) header.tensors[to] = tensor
  delete header.tensors[from]
}

function swapped(header: HeaderText, a: string, b: string): void {
  const [first, second] = [header.tensors[a]?.data_offsets ?? [], header.tensors[b]?.data_offsets ?? []]
  Object.assign(header.tensors[a] ?? {}, { data_offsets: second })
  Object.assign(header.tensors[b] ?? {}, { data_offsets: first })
}

/** Changes a stream's stored bytes in place and makes its record's checksums those of the stored bytes. */
function restream(name: string, change: (raw: Uint8Array) => void): Edit {
  return (header: HeaderText, data: Uint8Array): Uint8Array => {
    const [begin = 0, end = 0] = header.tensors[name]?.data_offsets ?? []
    const stored = data.subarray(begin, end)
    change(stored)
    records((all) => {
      const record = all[name]
      if (record?.storedXxh64 === undefined) Object.assign(record ?? {}, { xxh64: xxh64(stored) })
      else record.storedXxh64 = xxh64(stored)
    })(header)
    return data
  }
}

/** Puts other stored bytes in the place of a coded stream's, moves what follows, and makes its stored checksum right. */
function recode(name: string, change: (block: Uint8Array) => Uint8Array): Edit {
  return (header: HeaderText, data: Uint8Array): Uint8Array => {
    const [begin = 0, end = 0] = header.tensors[name]?.data_offsets ?? []
    const block = change(data.subarray(begin, end))
    const shift = block.length - (end - begin)
    for (const tensor of Object.values(header.tensors)) {
      tensor.data_offsets = tensor.data_offsets.map((offset) => (offset >= end ? offset + shift : offset))
    }
    Object.assign(header.tensors[name] ?? {}, { shape: [block.length], data_offsets: [begin, begin + block.length] })
    records((all) => Object.assign(all[name] ?? {}, { storedXxh64: xxh64(block) }))(header)
    return Uint8Array.from([...data.subarray(0, begin), ...block, ...data.subarray(end)])
  }
}
