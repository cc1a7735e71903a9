import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codecs } from '#core/codecs/index.ts'
import type { Method } from '#core/contract/method.ts'
import { type KvCache, type KvShape, layerValues, SIDES } from './cache.ts'
import { decodeKv, encodeKv } from './file.ts'
import { openKv, sealHeader } from './file-header.ts'
import { checkFit, nominalBits, readMethod, writeMethod } from './methods.ts'

const SHAPE: KvShape = { layers: 5, kvHeads: 2, tokens: 40, headDim: 64, dtype: 'F32' }

function cacheOf(shape: KvShape, seed = 1): KvCache {
  let state = seed
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 29 - 4
  const layers = (): Float32Array[] => Array.from({ length: shape.layers }, () => Float32Array.from({ length: layerValues(shape) }, next))
  return { shape, key: layers(), value: layers() }
}

/** One layer of a cache, or the bytes of its values. */
const oneOf = (cache: KvCache, layer: number): KvCache => ({ shape: { ...cache.shape, layers: 1 }, key: cache.key.slice(layer, layer + 1), value: cache.value.slice(layer, layer + 1) })
const bytesOf = (values: Float32Array | undefined): Buffer => (values ? Buffer.from(values.buffer, values.byteOffset, values.byteLength) : Buffer.of())

/** Each layer of the decoded file must be what its own method, `texts[layer]`, makes of that layer by itself, bit for bit; null: as it was. */
function expectLayers(cache: KvCache, method: Method, texts: readonly (string | null)[]): void {
  const { arrays } = decodeKv(encodeKv(cache, method).bytes)
  for (const [layer, text] of texts.entries()) {
    const one = oneOf(cache, layer)
    const wanted = text === null ? one : decodeKv(encodeKv(one, readMethod(text)).bytes).arrays
    for (const side of SIDES) if (bytesOf(arrays[side][layer]).compare(bytesOf(wanted[side][0])) !== 0) expect.fail(`layer ${layer}, ${side} of ${writeMethod(method)} is not what ${text} makes of it`)
  }
}

const some = ['none', 'int4:g64', 'int8:g32:asym', 'q8_0', 'q4_0:hadamard', 'fp8-e4m3', 'int2:g16:axis-channel', 'kivi2:g16:r16', 'kivi4:g32:r32/none', 'turbo3', 'nf4', 'int4:g32:outliers20', 'cachegen:b16', 'polar', 'q8_0/q4_0', 'int8:g64:interleaved/int3:g16', 'nvfp4', 'none:sparse30/int5:g64', 'gear2']
const suffixes = codecs.flatMap(({ id, missing }) => (missing === undefined ? [id === 'raw' ? '' : `+${id}`] : []))

describe('a file of a method with sides of their own for some layers', () => {
  it('holds every layer as its own method alone would hold it, whatever the method', () => {
    const rule = fc.constantFrom('kept', ...some)
    const methods = fc.record({ own: fc.constantFrom(...some), rules: fc.array(rule, { minLength: 4, maxLength: 4 }), keep: fc.constantFrom('', '@sinks2', '@recent4', '@sinks1@recent3'), suffix: fc.constantFrom(...suffixes), seed: fc.nat(), signs: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }) })
    let overridden = 0
    fc.assert(
      fc.property(methods, ({ own, rules, keep, suffix, seed, signs }) => {
        // Layer 2 has the method's own sides; the others are named from either end, and those of one rule together.
        const others = [0, 1, 3, 4]
        const names = (text: string): number[] => others.flatMap((layer, i) => (rules[i] === text ? [signs[i] ? layer : layer - SHAPE.layers] : []))
        const texts = [...new Set(rules)].map((text) => `@layers${names(text).join(',')}${text === 'kept' ? '' : `=${text}`}`)
        const method = readMethod(`${own}${keep}${texts.join('')}${suffix}`)
        overridden += method.overrides.length
        const each = [0, 1, 2, 3, 4].map((layer) => (layer === 2 ? own : (rules[others.indexOf(layer)] ?? '')))
        const cache = cacheOf(SHAPE, seed)
        expect(writeMethod(decodeKv(encodeKv(cache, method).bytes).method)).toBe(writeMethod(method))
        expectLayers(cache, method, each.map((text) => (text === 'kept' ? null : `${text}${keep}${suffix}`)))
      }),
      { numRuns: 60 },
    )
    expect(overridden).toBeGreaterThan(60)
  })

  it('has the streams of its parts: those of the plain method of each, stacked', () => {
    const cache = cacheOf(SHAPE)
    const file = encodeKv(cache, readMethod('int4:g64@sinks1@layers1@layers0,-1=q8_0/int4:g64'))
    const { plan } = openKv(file.bytes)
    const shapes = Object.fromEntries(plan.streams.map(({ name, dtype, shape }) => [name, `${dtype} ${shape.join(' ')}`]))
    expect(shapes).toMatchObject({ 'key.codes': 'U8 2 2 39 32', 'key.1.blocks': 'U8 2 2 39 68', 'key.1.sinks': 'F32 2 2 1 64', 'value.1.codes': 'U8 2 2 39 32', 'value.layers': 'F32 1 2 40 64' })
    expect(Object.keys(file.streams)).toEqual(plan.streams.map(({ name }) => name))
    const [four, eight] = ['int4:g64@sinks1', 'q8_0/int4:g64@sinks1'].map((text) => nominalBits(readMethod(text), SHAPE))
    const data = plan.streams.reduce((sum, { rawBytes }) => sum + rawBytes, 0)
    expect(file.bytes.length).toBe(file.header + data)
    expect(nominalBits(plan.method, SHAPE)).toBeCloseTo((8 * data) / (2 * 5 * layerValues(SHAPE)), 10)
    expect(nominalBits(plan.method, SHAPE)).toBeCloseTo((2 * (four ?? 0) + 2 * (eight ?? 0) + 32) / 5, 10)
  })

  it('says how keys were rotated where an override undoes it', () => {
    const cache = cacheOf({ ...SHAPE, rope: { theta: 10_000, rotaryDims: 64, scaling: null } })
    const method = readMethod('int4:g64@layers0=int4:g64:pre-rope/int4:g64')
    const decoded = decodeKv(encodeKv(cache, method).bytes)
    expect(decoded.shape).toEqual(cache.shape)
    expectLayers(cache, method, ['int4:g64:pre-rope/int4:g64', 'int4:g64', 'int4:g64', 'int4:g64', 'int4:g64'])
    expect(() => checkFit(method, SHAPE)).toThrow('pre-rope')
  })

  it('may have as many groups with as many streams as a method has room for, and is read', () => {
    const sides = Array.from({ length: 13 }, (_, i) => `@layers${i}=gear2:g16:k${4 + (i % 2)}:outliers${i + 1}`)
    const method = readMethod(`int4@sinks1@recent1${sides.join('')}+auto`)
    expect(method.overrides).toHaveLength(13)
    const cache = cacheOf({ ...SHAPE, layers: 14, kvHeads: 1, tokens: 34 })
    expect(decodeKv(encodeKv(cache, method).bytes).shape).toEqual(cache.shape)
  })
})

describe('a file that was written before lists of layers had ranges', () => {
  const cache = cacheOf(SHAPE)
  const file = encodeKv(cache, readMethod('int4:g64@layers0,1,2')).bytes
  const text = new TextDecoder('latin1').decode(file)

  /** The same with another method text, of the same length in bytes or longer by what the header's padding gives. */
  function renamed(method: string): Uint8Array {
    const was = 'int4:g64@layers0-2"'
    expect(text).toContain(was)
    const header = text.slice(8, 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true)))
    const changed = header.replace(was, `${method}"`).trimEnd()
    const padded = changed.padEnd(Math.ceil(changed.length / 8) * 8)
    const bytes = new Uint8Array(8 + padded.length + file.length - 8 - header.length)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(padded.length), true)
    bytes.set(new TextEncoder().encode(padded), 8)
    bytes.set(file.subarray(8 + header.length), 8 + padded.length)
    sealHeader(bytes)
    return bytes
  }

  it('is read', () => {
    const decoded = decodeKv(renamed('int4:g64@layers0,1,2'))
    expect(writeMethod(decoded.method)).toBe('int4:g64@layers0-2')
    expect(decoded.arrays).toEqual(decodeKv(file).arrays)
  })

  it.each(['int4:g64@layers2,1,0', 'int4:g64@layers0-1,2', 'int4:g64@layers0,1,2,2', 'int4:g64@layers0-2@layers0-2', 'int4:g64@layers0-2=int4:g64'])('but not with a list that nothing writes: %s', (method) => {
    expect(() => decodeKv(renamed(method))).toThrow(expect.objectContaining({ code: 'MALFORMED_FILE' }) as Error)
  })
})
