import { readFileSync, readdirSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it as plainIt } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import type { ParamDefs, ParamValues } from '#core/contract/method.ts'
import { describe as describeCodec, type StreamLayout } from './codec.ts'
import { codecById, codecInfos, codecs, codecsOf } from './index.ts'

const golden = new URL('../../test/golden/lz4/', import.meta.url)
const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, golden)))

/** Anything but a LabError of a reader is a defect. */
function malformedOr<T>(work: () => T): T | null {
  try {
    return work()
  } catch (error) {
    expect(error).toBeInstanceOf(LabError)
    expect((error as LabError).code).toBe('MALFORMED_FILE')
    return null
  }
}

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  // Runs and repeats, which a codec shortens.
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 300 }))
    .map(([part, times]) => Uint8Array.from({ length: part.length * times }, (_, i) => part[i % part.length]!)),
)

/** How bytes may repeat: as one knows nothing of them, as floats, as packed codes, as blocks. */
const layouts: StreamLayout[] = [{ element: 1, row: 1 }, { element: 2, row: 128 }, { element: 4, row: 256 }, { element: 1, row: 34 }, { element: 4, row: 512 }]

describe.each(codecs.map((codec) => [codec.id, codec] as const))('codec %s', (id, codec) => {
  const it = codec.missing === undefined ? plainIt : plainIt.skip

  const params = Object.fromEntries(Object.entries(codec.params).map(([name, def]) => [name, def.kind === 'int' ? def.default : false])) as ParamValues<ParamDefs>
  const roundTrip = (raw: Uint8Array, layout?: StreamLayout): Uint8Array => codec.decode(codec.encode(raw, params, layout), raw.length)

  it('is found by its id and says what it is', () => {
    expect(codecById(id)).toBe(codec)
    expect(describeCodec(codec)).toEqual({ id, label: codec.label, source: codec.source, formula: codec.formula, caveats: codec.caveats, params: codec.params })
    expect(codec.label.length * codec.source.length).toBeGreaterThan(0)
    expect(codecs.filter((other) => other.id === id)).toHaveLength(1)
  })

  it('gives back any bytes, also of a view into a larger buffer', () => {
    fc.assert(
      fc.property(bytes, fc.nat(3), fc.constantFrom(...layouts, undefined), (raw, offset, layout) => {
        const large = new Uint8Array(raw.length + 8).fill(0xaa)
        large.set(raw, offset)
        const view = large.subarray(offset, offset + raw.length)
        expect(Buffer.compare(roundTrip(view, layout), raw)).toBe(0)
        expect(Buffer.compare(view, raw)).toBe(0)
      }),
      { numRuns: 200 },
    )
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['one byte', Uint8Array.of(7)],
    ['a million equal bytes', new Uint8Array(1_000_000).fill(3)],
    ['a million bytes without order', Uint8Array.from({ length: 1_000_000 }, (_, i) => (Math.imul(i, 0x9e3779b1) ^ Math.imul(i * i, 0x85ebca6b)) >>> 24)],
  ])('gives back %s, in plain memory of its size', (_, raw) => {
    const decoded = roundTrip(raw)
    expect(Buffer.compare(decoded, raw)).toBe(0)
    expect(decoded.constructor).toBe(Uint8Array)
  })

  it('is deterministic', () => {
    const raw = fixture('outlier-channels.raw')
    expect(codec.encode(raw, params)).toEqual(codec.encode(raw.slice(), params))
  })

  it('decodes hostile bytes to exactly what is due, or refuses them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.oneof(fc.nat(400), fc.nat(2 ** 31), fc.constantFrom(-1, 0.5, NaN, 2 ** 32, 2 ** 53)), (coded, rawBytes) => {
        const decoded = malformedOr(() => codec.decode(coded, rawBytes))
        if (decoded !== null) expect(decoded).toHaveLength(rawBytes)
      }),
      { numRuns: 500 },
    )
  })

  it('cut or with a byte changed, never gives another length', () => {
    const raw = fixture('outlier-channels.raw').subarray(0, 3000)
    const coded = codec.encode(raw, params, { element: 2, row: 50 })
    for (let size = 0; size < coded.length; size += 7) expect(malformedOr(() => codec.decode(coded.subarray(0, size), raw.length))).toBeNull()
    fc.assert(
      fc.property(fc.nat(coded.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const mutant = coded.slice()
        mutant[at]! ^= flip
        const decoded = malformedOr(() => codec.decode(mutant, raw.length))
        if (decoded !== null) expect(decoded).toHaveLength(raw.length)
      }),
      { numRuns: 300 },
    )
  })

  it('refuses every length but the right one', () => {
    const raw = fixture('repeats.raw')
    const coded = codec.encode(raw, params)
    for (const wrong of [0, 1, raw.length - 1, raw.length + 1, 2 * raw.length, 2 ** 31]) expect(malformedOr(() => codec.decode(coded, wrong))).toBeNull()
  })
})

const it = plainIt

describe('lz4 against the reference library', () => {
  const lz4 = codecById('lz4')
  const blocks = readdirSync(golden).filter((name) => /\.block(-hc)?$/.test(name))

  it('finds the blocks', () => {
    expect(blocks.length).toBeGreaterThanOrEqual(16)
  })

  it.each(blocks)('decodes %s exactly', (name) => {
    const raw = fixture(name.replace(/\.block(-hc)?$/, '.raw'))
    expect(Buffer.compare(lz4.decode(fixture(name), raw.length), raw)).toBe(0)
  })

  it('a claim of 2 GiB costs no memory', () => {
    const before = process.memoryUsage().rss
    for (const rawBytes of [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 255 * 2387 + 1]) {
      const fault = expect.objectContaining({ details: { format: 'lz4', reason: 'LengthTooLarge', at: 0 } }) as Error
      expect(() => lz4.decode(fixture('outlier-channels.block'), rawBytes)).toThrow(fault)
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(50e6)
  })
})

it('an unknown codec is named with those there are', () => {
  expect(() => codecById('lzma')).toThrow(expect.objectContaining({ code: 'UNKNOWN_METHOD', message: expect.stringMatching(/^no codec is called lzma; there are raw, lz4, /) as string }) as Error)
})

it('auto is a choice of all that this Node.js has, raw first, and not a codec of a stream', () => {
  expect(codecInfos.map(({ id }) => id)).toEqual([...codecs.map(({ id }) => id), 'auto'])
  expect(codecsOf({ id: 'auto', params: {} }).map(({ codec }) => codec)).toEqual(codecs.filter(({ missing }) => missing === undefined))
  expect(codecsOf({ id: 'auto', params: {} })[0]?.codec.id).toBe('raw')
  expect(codecsOf({ id: 'deflate', params: { level: 9 } })).toEqual([{ codec: codecById('deflate'), params: { level: 9 } }])
  expect(() => codecById('auto')).toThrow('no codec is called auto')
})
