import { describe, expect, it } from 'vitest'
import { codecById } from '#core/codecs/index.ts'
import { LabError } from '#core/contract/errors.ts'
import { layerValues, SIDES, type KvCache, type KvShape } from './cache.ts'
import { decodeKv, encodeKv } from './file.ts'
import { openKv, storedBytes } from './file-header.ts'
import { kvMetadata, MetadataFault, readKvMetadata } from './file-metadata.ts'
import { checkMethod, readMethod, writeMethod } from './methods.ts'
import { kvPlan } from './plan.ts'

const SHAPE: KvShape = { layers: 2, kvHeads: 2, tokens: 160, headDim: 64, dtype: 'BF16' }

/** Channels of different scales, rounded to BF16, and a side that nothing shortens. */
function cacheOf(): KvCache {
  let state = 7
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  const bits = new Uint32Array(1)
  const value = new Float32Array(bits.buffer)
  const layer = (make: (i: number) => number): Float32Array =>
    Float32Array.from({ length: layerValues(SHAPE) }, (_, i) => {
      value[0] = make(i)
      bits[0]! &= 0xffff0000
      return value[0]
    })
  const key = (): Float32Array => layer((i) => (next() + next() + next() - 1.5) * 2 ** ((i % 64) % 9))
  const noise = (): Float32Array => layer(() => next() * 2 ** Math.floor(30 * next() - 15) * (next() < 0.5 ? -1 : 1))
  return { shape: SHAPE, key: Array.from({ length: SHAPE.layers }, key), value: Array.from({ length: SHAPE.layers }, noise) }
}

const cache = cacheOf()
const bytesUnder = (layer?: Float32Array): Uint8Array => new Uint8Array(layer?.buffer ?? new ArrayBuffer(0), layer?.byteOffset, layer?.byteLength)
const fileOf = (text: string): Uint8Array => encodeKv(cache, readMethod(text)).bytes
const codecsIn = (bytes: Uint8Array): Record<string, string> => Object.fromEntries([...openKv(bytes).records].map(([name, { codec }]) => [name, codec]))

describe('a stream is coded by its rows and elements', () => {
  it('of none in BF16: planes of two bytes, channels of 128', () => {
    const [planes, channels] = ['none+planes-rans', 'none+rans-channel'].map((text) => {
      const bytes = fileOf(text)
      return storedBytes(bytes, openKv(bytes), 'key.values')[0]
    })
    expect(planes).toBe(2 - 1)
    expect(channels).toBe(128 - 1)
  })

  it.each(['none+planes-rans', 'none+rans-channel', 'none+planes-lz4', 'int4:g64+rans-channel', 'q8_0+rans', 'none+auto', 'int4:g64/none+auto'])('%s gives back every value', (text) => {
    const plain = decodeKv(fileOf(text.replace(/\+.*/, '')))
    const coded = decodeKv(fileOf(text))
    for (const side of SIDES) coded.arrays[side].forEach((layer, i) => expect(Buffer.compare(bytesUnder(layer), bytesUnder(plain.arrays[side][i]))).toBe(0))
    expect(writeMethod(coded.method)).toBe(writeMethod(readMethod(text)))
    expect(fileOf(text).length).toBeLessThan(fileOf(text.replace(/\+.*/, '')).length)
    expect(Buffer.compare(fileOf(text), fileOf(text))).toBe(0)
  })
})

describe('auto', () => {
  const bytes = fileOf('int4:g64/none+auto')

  it('says in each record which codec was used', () => {
    const used = codecsIn(bytes)
    expect(Object.keys(used)).toEqual(['key.codes', 'key.scales', 'value.values'])
    expect(Object.values(used)).not.toContain('auto')
    for (const id of Object.values(used)) expect(codecById(id).missing).toBeUndefined()
    expect(new Set(Object.values(used)).size).toBeGreaterThan(1)
  })

  it('alone lets a record name any codec that there is', () => {
    const { shape, about, records } = openKv(bytes)
    const read = (method: string, used: (codec: string) => string): string | null => {
      const claimed = new Map([...records].map(([name, record]) => [name, { ...record, codec: record.codec === 'raw' ? 'raw' : used(record.codec) }]))
      try {
        readKvMetadata(kvMetadata({ shape, method, about, records: claimed }))
        return null
      } catch (error) {
        return error instanceof MetadataFault ? error.reason : String(error)
      }
    }
    expect(read('int4:g64/none+auto', (codec) => codec)).toBeNull()
    expect(read('int4:g64/none+auto', () => 'zstd')).toBeNull()
    expect(read('int4:g64/none+rans', () => 'rans')).toBeNull()
    expect(read('int4:g64/none+rans', (codec) => codec)).toBe('InvalidStreams')
    expect(read('int4:g64/none+lz4', () => 'rans')).toBe('InvalidStreams')
    for (const id of ['auto', 'zip', '__proto__']) expect(read('int4:g64/none+auto', () => id)).toBe('InvalidStreams')
  })
})

describe('a codec that this Node.js has not', () => {
  const missing = codecById('zstd').missing
  const refused = (text: string): LabError | null => {
    try {
      checkMethod(readMethod(text), SHAPE)
      return null
    } catch (error) {
      if (error instanceof LabError) return error
      throw error
    }
  }

  it.skipIf(missing === undefined)('is refused before anything runs, with the nearest that there is (skipped where Node.js has zstd)', () => {
    for (const codec of ['zstd', 'zstd19', 'planes-zstd']) {
      const error = refused(`int4:g64+${codec}`)
      expect(error?.code).toBe('INVALID_METHOD')
      expect(error?.message).toContain('22.15')
      expect(error?.details).toEqual({ reason: missing, nearest: 'int4:g64+deflate6' })
    }
    expect(() => fileOf('int4:g64+zstd')).toThrow(expect.objectContaining({ code: 'INVALID_METHOD' }) as Error)
  })

  it('is no reason to refuse a file that names it, and auto does without', () => {
    expect(kvPlan('int4:g64+zstd3', SHAPE).streams).toHaveLength(4)
    expect(refused('int4:g64+auto')).toBeNull()
  })
})
