import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RANS_TOTAL } from '#core/kernels/rans.ts'
import { bytesFrom } from '../../test/kernel-twins.ts'
import { reasonOf } from '../../test/malformed-reason.ts'
import { BitReader, BitWriter, golombBits } from './bits.ts'
import { entropyBound } from './entropy.ts'
import { normalised, readFrequencies, SYMBOLS, writeFrequencies } from './frequencies.ts'
import { codecById } from './index.ts'

const rans = codecById('rans')
const channels = codecById('rans-channel')
const planes = codecById('planes-rans')

/** Bytes about 128, the further away the rarer; `spread` of 1 gives few values, of 60 nearly all. */
function bell(length: number, spread: number, seed = 1): Uint8Array {
  const next = bytesFrom(seed)
  return Uint8Array.from({ length }, () => 128 + Math.round((spread * (next() + next() + next() + next() - 510)) / 300))
}

describe('rans', () => {
  it.each([0.02, 1, 4, 20, 60])('of a large stream is within 1 %% of the order-0 bound, and a table (spread %d)', (spread) => {
    const raw = bell(300_000, spread)
    const coded = rans.encode(raw, {})
    expect(coded.length).toBeLessThan(1.01 * entropyBound(raw) + 384 + 18)
    expect(coded.length).toBeGreaterThan(0.99 * entropyBound(raw))
  })

  it('of one value takes next to nothing', () => {
    expect(rans.encode(new Uint8Array(1_000_000).fill(200), {}).length).toBeLessThan(120)
  })

  it('with a table for each channel sees what one table does not', () => {
    const raw = Uint8Array.from(bell(200_000, 3), (byte, i) => byte + 30 * (i % 8))
    const [one, eight] = [rans, channels].map((codec) => codec.encode(raw, {}, { element: 1, row: 8 }).length) as [number, number]
    expect(eight).toBeLessThan(0.7 * one)
    const channel = Array.from({ length: 8 }, (_, c) => entropyBound(raw.filter((_, i) => i % 8 === c)))
    expect(eight).toBeLessThan(1.01 * channel.reduce((sum, bound) => sum + bound, 0) + 8 * 384)
    expect(eight).toBe(planes.encode(raw, {}, { element: 8, row: 1 }).length)
  })

  it('has one table where the rows are too long or do not divide the stream', () => {
    const raw = bell(256 * 40, 3)
    const plain = rans.encode(raw, {})
    for (const row of [0, -1, 0.5, 3, 257, 320, 512, NaN]) expect(channels.encode(raw, {}, { element: 1, row })).toEqual(plain)
    expect(channels.encode(raw, {}, { element: 1, row: 256 })[0]).toBe(255)
    expect(channels.encode(raw, {})).toEqual(plain)
    const short = raw.subarray(0, 256 * 32)
    expect(channels.encode(short, {}, { element: 1, row: 256 })).toEqual(rans.encode(short, {}))
  })

  it('refuses what is no stream, each for its reason', () => {
    const raw = bell(5000, 4)
    const coded = rans.encode(raw, {})
    expect(reasonOf(() => rans.decode(coded, raw.length))).toBeNull()
    expect(reasonOf(() => rans.decode(new Uint8Array(0), 0))).toBe('InvalidTable')
    expect(reasonOf(() => rans.decode(Uint8Array.of(1, ...coded.subarray(1)), raw.length + 1))).toBe('WrongLength')
    expect(reasonOf(() => rans.decode(coded.subarray(0, 20), raw.length))).toBe('InvalidTable')
    expect(reasonOf(() => rans.decode(coded.subarray(0, -2), raw.length))).toBe('InvalidWords')
    expect(reasonOf(() => rans.decode(Uint8Array.from([...coded, 0, 0]), raw.length))).toBe('InvalidWords')
    expect(reasonOf(() => rans.decode(coded, raw.length - 1))).toBe('InvalidWords')
  })

  it('takes no memory for more than its bytes can hold', () => {
    const coded = rans.encode(new Uint8Array(1000), {})
    const before = process.memoryUsage().rss
    for (const claim of [2 ** 24, 2 ** 31, 2 ** 32, 2 ** 52]) expect(reasonOf(() => rans.decode(coded, claim))).toBe('LengthTooLarge')
    expect(process.memoryUsage().rss - before).toBeLessThan(50e6)
  })
})

describe('a stream that Python wrote by the text of docs/kv-file.md', () => {
  const golden = new URL('../../test/golden/', import.meta.url)

  it.each(['nibbles.1', 'outlier-channels.4', 'scales-f16.2'])('%s is decoded exactly', (name) => {
    const raw = readFileSync(new URL(`lz4/${name.replace(/\..*/, '')}.raw`, golden))
    const coded = new Uint8Array(readFileSync(new URL(`codecs/${name}.rans`, golden)))
    for (const codec of [rans, channels, planes]) expect(Buffer.compare(codec.decode(coded, raw.length), raw)).toBe(0)
  })
})

describe('a table', () => {
  const counts = fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(3), fc.nat(1000), fc.integer({ min: 0, max: 2 ** 31 })), { minLength: SYMBOLS, maxLength: SYMBOLS })

  it('adds up to 4096, has every byte that is there, and none alone', () => {
    fc.assert(
      fc.property(counts, (some) => {
        fc.pre(some.some((count) => count > 0))
        const table = new Uint16Array(SYMBOLS)
        normalised(Uint32Array.from(some), table)
        expect(table.reduce((sum, f) => sum + f, 0)).toBe(RANS_TOTAL)
        expect(some.every((count, symbol) => count === 0 || (table[symbol] ?? 0) > 0)).toBe(true)
        expect(table.every((f) => f < RANS_TOTAL)).toBe(true)
        const writer = new BitWriter()
        writeFrequencies(table, writer)
        const read = new Uint16Array(SYMBOLS)
        expect(readFrequencies(new BitReader(writer.bytes(), 0), read)).toBe(true)
        expect(read).toEqual(table)
        expect(writer.bytes().length).toBeLessThanOrEqual(385)
      }),
      { numRuns: 150 },
    )
  })

  it('of another sum, or cut off, or of another order is none', () => {
    const table = new Uint16Array(SYMBOLS).fill(16)
    const written = (): Uint8Array => {
      const writer = new BitWriter()
      writeFrequencies(table, writer)
      return writer.bytes()
    }
    const reads = (bytes: Uint8Array): boolean => readFrequencies(new BitReader(bytes, 0), new Uint16Array(SYMBOLS))
    const bytes = written()
    expect(reads(bytes)).toBe(true)
    expect(reads(bytes.subarray(0, -1))).toBe(false)
    expect(reads(Uint8Array.of(0xf0, ...bytes.subarray(1)))).toBe(false)
    table[3] = 15
    expect(reads(written())).toBe(false)
    table.fill(0)
    table[3] = 4096
    expect(reads(written())).toBe(false)
  })

  it('of numbers in Exp-Golomb codes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4096)), fc.nat(6), (numbers, order) => {
        const writer = new BitWriter()
        for (const n of numbers) writer.golomb(n, order)
        const bytes = writer.bytes()
        expect(bytes.length).toBe(Math.ceil(numbers.reduce((sum, n) => sum + golombBits(n, order), 0) / 8))
        const reader = new BitReader(bytes, 0)
        expect(numbers.map(() => reader.golomb(order))).toEqual(numbers)
        expect(reader.end()).toBe(bytes.length)
      }),
    )
    expect(new BitReader(new Uint8Array(100), 0).golomb(0)).toBe(-1)
    expect(new BitReader(Uint8Array.of(0x80, 1), 0).bits(17)).toBe(-1)
  })
})
