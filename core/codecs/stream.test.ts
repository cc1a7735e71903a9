import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { xxh64 } from '#core/bytes/xxh64.ts'
import { LabError } from '#core/contract/errors.ts'
import type { StreamLayout } from './codec.ts'
import { codecsOf } from './index.ts'
import { decodeStream, encodeStream, type StreamRecord } from './stream.ts'

const raw = new Uint8Array(readFileSync(new URL('../../test/golden/lz4/outlier-channels.raw', import.meta.url)))
const noise = new Uint8Array(readFileSync(new URL('../../test/golden/lz4/random.raw', import.meta.url)))
const LZ4 = { id: 'lz4', params: {} }
const AUTO = { id: 'auto', params: {} }
const specs = [...codecsOf(AUTO).map(({ codec, params }) => ({ id: codec.id, params })), AUTO]

const codeOf = (work: () => unknown): string | null => {
  try {
    work()
    return null
  } catch (error) {
    return error instanceof LabError ? error.code : String(error)
  }
}

describe('encodeStream', () => {
  it('codes where that is smaller, and keeps both checksums', () => {
    const { record, stored } = encodeStream(raw, LZ4)
    expect(stored.length).toBeLessThan(3000)
    expect(record).toEqual({ rawBytes: 20_000, codec: 'lz4', xxh64: xxh64(raw), storedXxh64: xxh64(stored) })
  })

  it.each([['noise', noise], ['nothing', new Uint8Array(0)], ['one byte', Uint8Array.of(1)]])('stores %s raw', (_, bytes) => {
    const { record, stored } = encodeStream(bytes, LZ4)
    expect(stored).toBe(bytes)
    expect(record).toEqual({ rawBytes: bytes.length, codec: 'raw', xxh64: xxh64(bytes) })
  })

  it('is undone by decodeStream for every codec', () => {
    fc.assert(
      fc.property(fc.constantFrom(...specs), fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 50 }), fc.nat(70), (spec, part, times, row) => {
        const bytes = Uint8Array.from({ length: part.length * times }, (_, i) => part[i % part.length]!)
        const { record, stored } = encodeStream(bytes, spec, { element: 2, row })
        expect(decodeStream(record, stored)).toEqual(bytes)
        expect(stored.length).toBeLessThanOrEqual(bytes.length)
      }),
      { numRuns: 200 },
    )
  })
})

describe('auto', () => {
  const layout: StreamLayout = { element: 2, row: 64 }

  it('is the smallest of all codecs that this Node.js has, under its own name', () => {
    const halves = Uint8Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? noise[(i >>> 1) % noise.length] ?? 0 : 0x30 + ((i * i) % 7)))
    for (const bytes of [raw, noise, halves, new Uint8Array(0), raw.subarray(0, 40)]) {
      const { record, stored } = encodeStream(bytes, AUTO, layout)
      const alone = specs.filter(({ id }) => id !== 'auto').map((spec) => encodeStream(bytes, spec, layout))
      expect(stored.length).toBe(Math.min(...alone.map((other) => other.stored.length)))
      expect(record).toEqual(alone.find((other) => other.stored.length === stored.length)?.record)
      expect(encodeStream(bytes, AUTO, layout)).toEqual({ record, stored })
      expect(decodeStream(record, stored)).toEqual(bytes)
    }
    expect(encodeStream(noise, AUTO, layout).record.codec).toBe('raw')
    expect(encodeStream(halves, AUTO, layout).record.codec).toMatch(/^planes-/)
  })

  it('is no codec of a stream', () => {
    const { record, stored } = encodeStream(raw, LZ4)
    expect(codeOf(() => decodeStream({ ...record, codec: 'auto' }, stored))).toBe('UNKNOWN_METHOD')
  })
})

describe('decodeStream', () => {
  it.each([['coded', raw], ['raw', noise]])('any byte changed of a %s stream is a checksum mismatch', (_, bytes) => {
    const { record, stored } = encodeStream(bytes, LZ4)
    for (let at = 0; at < stored.length; at += 5) {
      const mutant = stored.slice()
      mutant[at]! ^= 1 << at % 8
      expect(codeOf(() => decodeStream(record, mutant))).toBe('CHECKSUM_MISMATCH')
    }
  })

  it('refuses a record that was forged', () => {
    const { record, stored } = encodeStream(raw, LZ4)
    const forged = (change: Partial<StreamRecord>, bytes = stored): string | null => codeOf(() => decodeStream({ ...record, ...change }, bytes))
    expect(forged({})).toBeNull()
    expect(forged({ xxh64: '0'.repeat(16) })).toBe('CHECKSUM_MISMATCH')
    expect(forged({ storedXxh64: '0'.repeat(16) })).toBe('CHECKSUM_MISMATCH')
    expect(forged({ rawBytes: raw.length + 1 })).toBe('MALFORMED_FILE')
    expect(forged({ rawBytes: 2 ** 31 })).toBe('MALFORMED_FILE')
    expect(forged({ rawBytes: stored.length })).toBe('MALFORMED_FILE')
    expect(forged({ codec: 'raw' })).toBe('MALFORMED_FILE')
    expect(forged({ codec: 'zip' })).toBe('UNKNOWN_METHOD')
    const plain = encodeStream(noise, LZ4)
    expect(codeOf(() => decodeStream({ ...plain.record, codec: 'lz4' }, noise))).toBe('MALFORMED_FILE')
    expect(codeOf(() => decodeStream(plain.record, noise.subarray(1)))).toBe('MALFORMED_FILE')
  })
})
