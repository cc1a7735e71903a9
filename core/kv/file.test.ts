import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from '#core/bytes/float.ts'
import { codecs } from '#core/codecs/index.ts'
import { entropyBound } from '#core/codecs/entropy.ts'
import { LabError } from '#core/contract/errors.ts'
import type { AnyParams, Method, ParamDefs } from '#core/contract/method.ts'
import { quantizerById, quantizers } from '#core/quantizers/index.ts'
import type { StreamLayout, Streams } from '#core/quantizers/quantizer.ts'
import { DTYPE_BITS } from '#core/safetensors/dtype.ts'
import { transformById, transforms } from '#core/transforms/index.ts'
import { learnedFrom } from './calibration.ts'
import { cacheValues, f16Bytes, type KvArrays, type KvCache, type KvShape, layerValues, type RopeFacts, SIDES, type Side } from './cache.ts'
import { decodeKv, describeKvFile, encodeKv, isKvFile } from './file.ts'
import { openKv, storedBytes } from './file-header.ts'
import { elementsOf } from './layout.ts'
import { readMethod, writeMethod } from './methods.ts'
import { parseHeader } from '#core/safetensors/header.ts'

const SHAPE: KvShape = { layers: 3, kvHeads: 2, tokens: 7, headDim: 64, dtype: 'F32' }
const ROPE: RopeFacts = { theta: 10_000, rotaryDims: 48, scaling: { type: 'linear', factor: 2 } }

/** Every quantizer by itself and with each of its flags. */
const sides = quantizers.flatMap(({ id, params }) => [id.startsWith('kivi') ? `${id}:g16:r16` : id, ...Object.values(params).flatMap((param) => (param.kind === 'flag' ? [`${id}:${param.option}`] : []))])
const keeps = ['', '@sinks2', '@recent3', '@layers1', '@sinks1@recent2@layers0,-1', '@sinks1@layers0=int4:g32/q8_0']
const suffixes = [...codecs.flatMap(({ id, missing }) => (missing !== undefined ? [] : id === 'raw' ? [''] : [`+${id}`])), '+auto']

/** Values of a small linear congruential generator, in -4..4; `levels` few distinct ones make streams that a codec shortens. */
function cacheOf(shape: KvShape, seed = 1, levels = 0): KvCache {
  let state = seed
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const unit = state / 2 ** 32
    return levels === 0 ? 8 * unit - 4 : Math.floor(unit * levels) / levels
  }
  const layers = (): Float32Array[] => Array.from({ length: shape.layers }, () => ownPrecision(Float32Array.from({ length: layerValues(shape) }, next), shape))
  return { shape, key: layers(), value: layers() }
}

function ownPrecision(values: Float32Array, { dtype }: KvShape): Float32Array {
  const bits = new Uint16Array(values.length)
  if (dtype === 'F16') encodeF16(values, bits)
  if (dtype === 'BF16') encodeBf16(values, bits)
  if (dtype === 'F16') decodeF16(bits, values)
  if (dtype === 'BF16') decodeBf16(bits, values)
  return values
}

/** What must come out, worked out layer by layer from the quantizer and the transforms alone. `text`: the cache of another text that a method may ask for. */
function expected(cache: KvCache, method: Method, text = cache): KvArrays {
  const { layers, kvHeads, tokens, headDim, dtype } = cache.shape
  const { sinks, recent } = method.keep
  const names = (list: readonly number[], layer: number): boolean => list.includes(layer) || list.includes(layer - layers)
  const one = (side: Side, layer: Float32Array, index: number): Float32Array => {
    if (names(method.keep.layers, index)) return layer
    const spec = (method.overrides.find(({ layers: own }) => names(own, index)) ?? method)[side]
    const { params } = spec
    const quantizer = quantizerById(spec.quantizer)
    const run = tokens - sinks - recent
    const settled = quantizer.settled?.(run, side, params) ?? run
    const inside = (i: number): boolean => {
      const token = Math.floor(i / headDim) % tokens
      return token >= sinks && token < sinks + settled
    }
    const shape = { side, kvHeads, tokens: settled, headDim, dtype }
    const context = { from: sinks, rope: cache.shape.rope ?? null }
    const streamsOf = (layout: Readonly<Record<string, StreamLayout>>): Streams =>
      Object.fromEntries(Object.entries(layout).map(([name, { dtype, shape: sizes }]) => [name, elementsOf(new Uint8Array(sizes.reduce((a, b) => a * b, DTYPE_BITS[dtype] / 8)), dtype)]))
    const maps = spec.transforms.map(({ id, params }) => {
      const map = transformById(id)
      return { map, params, streams: streamsOf(map.layout?.(shape, params) ?? {}) }
    })
    const [values, others] = [layer, text[side][index] ?? new Float32Array()].map((all) => all.filter((_, i) => inside(i))) as [Float32Array, Float32Array]
    const tables = quantizer.learner?.asked(params) === true ? quantizer.learner.learn(others, shape, params) : undefined
    for (const { map, params, streams } of maps) map.forward(values, shape, params, context, streams)
    const streams = streamsOf(quantizer.layout(shape, params))
    quantizer.encode(values, shape, params, streams, tables)
    quantizer.decode(streams, shape, params, values)
    for (const { map, params, streams } of maps.reverse()) map.inverse(values, shape, params, context, streams)
    let next = 0
    return layer.map((value, i) => (inside(i) ? (values[next++] ?? NaN) : value))
  }
  return { key: cache.key.map((layer, i) => one('key', layer, i)), value: cache.value.map((layer, i) => one('value', layer, i)) }
}

/** Bit for bit: -0 is not 0. */
function expectSame(actual: KvArrays, wanted: KvArrays): void {
  const bytes = (arrays: KvArrays): Buffer[] => SIDES.flatMap((side) => arrays[side].map((layer) => Buffer.from(layer.buffer, layer.byteOffset, layer.byteLength)))
  const [ours, theirs] = [bytes(actual), bytes(wanted)]
  expect(ours.length).toBe(theirs.length)
  for (const [i, layer] of ours.entries()) expect(Buffer.compare(layer, theirs[i] ?? Buffer.of())).toBe(0)
}

const thrown = (work: () => unknown): LabError => {
  try {
    work()
  } catch (error) {
    if (error instanceof LabError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('a KV file gives back what the quantizers give back', () => {
  describe.each(sides)('%s', (side) => {
    it.each(keeps)('with %s, as keys and as values, by every dtype, by raw and another codec or, where nothing is kept, by every one', (keep) => {
      const other = suffixes[1 + ((side.length + keep.length) % (suffixes.length - 1))] ?? ''
      for (const [i, suffix] of (keep === '' ? suffixes : ['', other]).entries()) {
        for (const pair of [`${side}/none`, `none/${side}`, side]) {
          const method = readMethod(`${pair}${keep}${suffix}`)
          const dtype = (['F32', 'F16', 'BF16'] as const)[(pair.length + i) % 3] ?? 'F32'
          // What keeps a residual needs more tokens than that.
          const tokens = side.startsWith('kivi') ? 40 : SHAPE.tokens
          const cache = cacheOf({ ...SHAPE, tokens, dtype }, pair.length, i === 0 ? 0 : 3)
          const before = structuredClone(cache)
          const text = cacheOf(cache.shape, pair.length + 1)
          const file = encodeKv(cache, method, {}, learnedFrom([text], method))
          const decoded = decodeKv(file.bytes)
          expect(decoded.shape).toEqual(cache.shape)
          expect(writeMethod(decoded.method)).toBe(writeMethod(method))
          expectSame(decoded.arrays, expected(cache, method, text))
          expectSame(cache, before)
          const stored = Object.values(file.streams).reduce((sum, { coded }) => sum + coded, 0)
          expect(file.header + stored).toBe(file.bytes.length)
        }
      }
    })
  })

  it.each(transforms.map(({ id }) => id))('with the transform %s, by itself and before the others', (id) => {
    const named = transforms.map((other) => (other.id === 'sparse' ? 'sparse30' : other.id))
    const own = id === 'sparse' ? 'sparse30' : id
    const others = named.filter((other) => other !== own)
    for (const text of [`int4:g32:${own}`, `none:${own}`, `int8:${[own, ...others].join(':')}/q8_0:${own}@sinks2@layers0`]) {
      const method = readMethod(text)
      const cache = cacheOf({ ...SHAPE, rope: ROPE }, 5)
      const before = structuredClone(cache)
      expectSame(decodeKv(encodeKv(cache, method).bytes).arrays, expected(cache, method))
      expectSame(cache, before)
    }
  })

  it('says how keys were rotated where the method undoes it, and only there', () => {
    const cache = cacheOf({ ...SHAPE, rope: ROPE }, 5)
    const file = encodeKv(cache, readMethod('int8:g64:pre-rope/none@sinks2')).bytes
    const decoded = decodeKv(file)
    expect(decoded.shape).toEqual(cache.shape)
    const other = encodeKv(cacheOf({ ...SHAPE, rope: { ...ROPE, theta: 20_000 } }, 5), readMethod('int8:g64:pre-rope/none@sinks2')).bytes
    expect(decodeKv(other).arrays.key).not.toEqual(decoded.arrays.key)
    expect(decodeKv(other).arrays.value).toEqual(decoded.arrays.value)
    const plain = encodeKv(cache, readMethod('int8:g64')).bytes
    expect(plain).toEqual(encodeKv(cacheOf(SHAPE, 5), readMethod('int8:g64')).bytes)
    expect(decodeKv(plain).shape).toEqual(SHAPE)
    expect(thrown(() => encodeKv(cacheOf(SHAPE, 5), readMethod('int8:g64:pre-rope'))).message).toContain('not known')
    expect(thrown(() => encodeKv(cacheOf({ ...SHAPE, rope: { ...ROPE, theta: NaN } }), readMethod('none:pre-rope'))).code).toBe('INVALID_INPUT')
  })

  it('of any size', () => {
    const size = fc.integer({ min: 1, max: 4 })
    const tokens = fc.integer({ min: 1, max: 9 })
    const dtype = fc.constantFrom('F32', 'F16', 'BF16')
    const shapes = fc.record({ layers: size, kvHeads: size, tokens, headDim: fc.constantFrom(32, 64, 96), dtype })
    const side = fc.constantFrom('int4:g32', 'int3:g16:asym', 'q5_0', 'fp8-e4m3', 'none')
    const texts = fc.record({ side, sinks: fc.nat(4), recent: fc.nat(4), suffix: fc.constantFrom(...suffixes) })
    fc.assert(
      fc.property(shapes, texts, fc.constantFrom(0, 2), fc.nat(), (shape, { side, sinks, recent, suffix }, levels, seed) => {
        fc.pre(sinks + recent < shape.tokens)
        const method = readMethod(`${side}${sinks ? `@sinks${sinks}` : ''}${recent ? `@recent${recent}` : ''}${suffix}`)
        const cache = cacheOf(shape, seed, levels)
        expectSame(decodeKv(encodeKv(cache, method).bytes).arrays, expected(cache, method))
      }),
      { numRuns: 150 },
    )
  })

  it.each(['F32', 'F16', 'BF16'] as const)('none keeps every bit of a %s cache', (dtype) => {
    const shape = { ...SHAPE, layers: 1, dtype }
    const cache = cacheOf(shape)
    const edge = { F32: [1e-45, 3.4028234663852886e38], F16: [2 ** -24, 65504], BF16: [2 ** -133, 3.3895313892515355e38] }[dtype]
    for (const side of SIDES) cache[side][0]?.set([0, -0, ...edge, ...edge.map((value) => -value)])
    for (const text of ['none', 'none+lz4', 'none@sinks1@recent1']) expectSame(decodeKv(encodeKv(cache, readMethod(text)).bytes).arrays, cache)
  })
})

describe('sizes', () => {
  it('the header stays under 1 % at 512 tokens of SmolLM2-135M', () => {
    const { key, value } = cacheOf({ ...SHAPE, layers: 1, kvHeads: 3, tokens: 512 })
    const thirty = (side: readonly Float32Array[]): Float32Array[] => Array.from({ length: 30 }, () => side[0] ?? new Float32Array())
    const cache: KvCache = { shape: { layers: 30, kvHeads: 3, tokens: 512, headDim: 64, dtype: 'F32' }, key: thirty(key), value: thirty(value) }
    const { bytes, header } = encodeKv(cache, readMethod('int4:g64'), { model: 'SmolLM2-135M-Instruct', tokenIdsSha256: 'ab'.repeat(32) })
    expect(header / bytes.length).toBeLessThan(0.01)
    expect((8 * (bytes.length - header)) / cacheValues(cache.shape)).toBe(4.25)
  })

  it('say raw, coded and the entropy bound of every stream', () => {
    const cache = cacheOf({ ...SHAPE, tokens: 64 }, 1, 2)
    const file = encodeKv(cache, readMethod('int8:g64/none@sinks1+lz4'))
    expect(Object.keys(file.streams)).toEqual(['key.codes', 'key.scales', 'key.sinks', 'value.values', 'value.sinks'])
    const header = openKv(file.bytes)
    for (const [name, { raw, coded, entropyBound: bound }] of Object.entries(file.streams)) {
      expect(coded).toBe(storedBytes(file.bytes, header, name).length)
      expect(coded).toBeLessThanOrEqual(raw)
      expect(bound).toBeLessThanOrEqual(raw)
    }
    const plain = encodeKv(cache, readMethod('int8:g64/none@sinks1'))
    const codes = storedBytes(plain.bytes, openKv(plain.bytes), 'key.codes')
    expect(file.streams['key.codes']).toMatchObject({ raw: codes.length, entropyBound: entropyBound(codes) })
    expect(file.streams['key.codes']?.coded).toBeLessThan(codes.length)
    expect(plain.streams['key.codes']?.coded).toBe(codes.length)
  })

  it('are described from the header alone', () => {
    const cache = cacheOf({ ...SHAPE, dtype: 'F16' }, 1, 2)
    const { bytes, header, streams } = encodeKv(cache, readMethod('int4:g32/q8_0@recent1+lz4'), { model: 'a' })
    const parsed = parseHeader(bytes.subarray(8, header), header, bytes.length)
    expect(isKvFile(parsed)).toBe(true)
    const info = describeKvFile(parsed)
    expect(info).toMatchObject({ version: '1', method: 'int4:g32/q8_0@recent1+lz4', ...cache.shape, model: 'a', tokenIdsSha256: null })
    expect(info).toMatchObject({ fileBytes: bytes.length, headerBytes: header })
    expect(info.ratio).toBe(f16Bytes(cache.shape) / bytes.length)
    expect(info.bitsPerValue).toBe((8 * bytes.length) / cacheValues(cache.shape))
    const sizes = Object.entries(streams).map(([name, { raw, coded }]) => [name, raw, coded])
    expect(info.streams.map(({ name, rawBytes, storedBytes }) => [name, rawBytes, storedBytes])).toEqual(sizes)
    expect(info.streams[0]).toMatchObject({ name: 'key.codes', dtype: 'U8', shape: [3, 2, 6, 32] })
    expect(JSON.parse(JSON.stringify(info))).toEqual(info)
  })
})

describe('encodeKv', () => {
  it('names the place of a NaN or an infinity, wherever its values go', () => {
    const method = readMethod('int4:g64:hadamard/none@sinks2@recent1@layers1')
    const bad = fc.constantFrom(NaN, Infinity, -Infinity)
    fc.assert(
      fc.property(fc.constantFrom(...SIDES), fc.nat(2), fc.nat(1), fc.nat(6), fc.nat(63), bad, (side, layer, head, token, channel, value) => {
        const cache = cacheOf(SHAPE)
        cache[side][layer]?.set([value], (head * 7 + token) * 64 + channel)
        const error = thrown(() => encodeKv(cache, method))
        expect(error.code).toBe('NOT_FINITE')
        expect(error.details).toEqual({ side, layer, head, token, value: String(value) })
        expect(error.message).toContain(`layer ${layer}, ${side}, head ${head}, token ${token}`)
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    ['int4:g64@sinks4@recent3', 'INVALID_METHOD'],
    ['int4:g64@recent9', 'INVALID_METHOD'],
    ['int4:g64@layers0,1,2', 'INVALID_METHOD'],
    ['int4:g48', 'INVALID_METHOD'],
  ])('refuses %s for a cache of 3 layers, 7 tokens, head size 64', (text, code) => {
    expect(thrown(() => encodeKv(cacheOf(SHAPE), readMethod(text))).code).toBe(code)
  })

  it('refuses values that a scale or a transform cannot hold', () => {
    const cache = cacheOf(SHAPE)
    cache.key[0]?.fill(3e38, 0, 64)
    expect(thrown(() => encodeKv(cache, readMethod('int4:g64'))).code).toBe('OUT_OF_RANGE')
    expect(thrown(() => encodeKv(cache, readMethod('none:hadamard'))).code).toBe('OUT_OF_RANGE')
  })

  it('refuses a cache that is larger than a file, before it takes memory for it', () => {
    const layers = new Array<Float32Array>(40_000)
    layers.fill(new Float32Array(layerValues({ ...SHAPE, tokens: 128 })))
    const cache = { shape: { ...SHAPE, layers: layers.length, tokens: 128 }, key: layers, value: layers }
    expect(thrown(() => encodeKv(cache, readMethod('none'))).code).toBe('OUT_OF_RANGE')
  })

  it('refuses arrays and facts that contradict each other', () => {
    const cache = cacheOf(SHAPE)
    const wrong = [
      { ...cache, key: cache.key.slice(1) },
      { ...cache, value: cache.value.map((layer) => layer.subarray(1)) },
      { ...cache, shape: { ...SHAPE, tokens: 8 } },
      { ...cache, shape: { ...SHAPE, tokens: 0 } },
      { ...cache, shape: { ...SHAPE, headDim: 0.5 } },
    ]
    for (const each of wrong) expect(thrown(() => encodeKv(each, readMethod('none'))).code).toBe('INVALID_INPUT')
    for (const about of [{ model: '\ud800' }, { tokenIdsSha256: 'AB'.repeat(32) }, { tokenIdsSha256: 'ab' }]) {
      expect(thrown(() => encodeKv(cache, readMethod('none'), about)).code).toBe('INVALID_INPUT')
    }
  })

  it('gives the same bytes for the same cache, and bytes of their own', () => {
    const texts = ['none', 'int4:g64', 'int8:g64:hadamard@sinks1+lz4', 'q4_0@layers0']
    const files = texts.map((text) => encodeKv(cacheOf(SHAPE, 3), readMethod(text)).bytes)
    const copies = files.map((file) => file.slice())
    for (const text of texts.toReversed()) encodeKv(cacheOf({ ...SHAPE, tokens: 30 }, 4), readMethod(text))
    texts.forEach((text, i) => {
      const again = encodeKv(cacheOf(SHAPE, 3), readMethod(text)).bytes
      for (const bytes of [files[i], again]) expect(Buffer.compare(bytes ?? Buffer.of(), copies[i] ?? Buffer.of())).toBe(0)
    })
  })
})

describe('decodeKv', () => {
  const cache = cacheOf(SHAPE, 9)

  it.each(['none', 'int4:g64', 'int8:g64:hadamard@sinks1@layers0+lz4'])('decodes %s into rows of a batch and touches nothing beside them', (text) => {
    const size = layerValues(SHAPE)
    const batch = (): Float32Array[] => Array.from({ length: 3 }, () => new Float32Array(3 * size).fill(7))
    const buffers = { key: batch(), value: batch() }
    const row = (side: Side): Float32Array[] => buffers[side].map((buffer) => buffer.subarray(size, 2 * size))
    const into = { key: row('key'), value: row('value') }
    const { bytes } = encodeKv(cache, readMethod(text))
    expect(decodeKv(bytes, into).arrays).toBe(into)
    for (const side of SIDES) {
      for (const [layer, values] of decodeKv(bytes).arrays[side].entries()) {
        expect(into[side][layer]).toEqual(values)
        expect(buffers[side][layer]?.every((value, i) => (i >= size && i < 2 * size) || value === 7)).toBe(true)
      }
    }
  })

  it('reads files at any address, leaves them as they are and keeps no view of them', () => {
    for (const text of ['none', 'int4:g64@sinks1', 'none+lz4']) {
      const { bytes } = encodeKv(cache, readMethod(text))
      for (const offset of [0, 1, 2, 4]) {
        const shifted = new Uint8Array(bytes.length + 8)
        shifted.set(bytes, offset)
        const { arrays } = decodeKv(shifted.subarray(offset, offset + bytes.length))
        expect(Buffer.compare(shifted.subarray(offset, offset + bytes.length), bytes)).toBe(0)
        shifted.fill(0xff)
        expectSame(arrays, expected(cache, readMethod(text)))
      }
    }
  })

  it('refuses arrays that are not of the file’s shape, and leaves them alone', () => {
    const { bytes } = encodeKv(cache, readMethod('none'))
    const short = { key: cache.key.map(() => new Float32Array(5)), value: cache.value.map(() => new Float32Array(5)) }
    expect(thrown(() => decodeKv(bytes, short)).code).toBe('INVALID_INPUT')
    const few = { key: [new Float32Array(layerValues(SHAPE))], value: cache.value }
    expect(thrown(() => decodeKv(bytes, few)).code).toBe('INVALID_INPUT')
    expect(few.key[0]?.every((value) => value === 0)).toBe(true)
  })

  it('gives back what the file says of its origin', () => {
    for (const about of [{}, { model: '' }, { model: 'ü "漢" \\ \n' }, { tokenIdsSha256: '0f'.repeat(32) }, { model: 'm', tokenIdsSha256: '0f'.repeat(32) }]) {
      expect(decodeKv(encodeKv(cache, readMethod('int4:g64'), about).bytes).about).toEqual(about)
    }
  })
})

it('no quantizer or transform has a stream of the name of a kept part or of another', () => {
  const block = { side: 'key', kvHeads: 1, tokens: 1, headDim: 64, dtype: 'F32' } as const
  const full = ({ params }: { params: ParamDefs }): AnyParams => Object.fromEntries(Object.entries(params).map(([name, def]) => [name, def.kind === 'int' ? def.default : true]))
  const ofTransforms = transforms.flatMap((transform) => Object.keys(transform.layout?.(block, full(transform)) ?? {}))
  const taken = ['sinks', 'recent', 'layers', ...ofTransforms]
  expect(new Set(taken).size).toBe(taken.length)
  for (const quantizer of quantizers) for (const name of Object.keys(quantizer.layout(block, full(quantizer)))) expect(taken).not.toContain(name)
})
