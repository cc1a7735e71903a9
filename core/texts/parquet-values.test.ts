import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Broken, Cursor } from './cursor.ts'
import { pageHeader, pageValues, type PageHeader } from './parquet-page.ts'
import { deltaStrings, hybrid, plainStrings } from './parquet-values.ts'
import { readStruct } from './thrift.ts'

const bytesOf = (...values: number[]): Cursor => new Cursor(Uint8Array.from(values))

function varint(value: number): number[] {
  const bytes: number[] = []
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128)
  return [...bytes, value]
}

/** Values as bit-packed groups of eight, with runs where `run` says so. */
function packed(values: readonly number[], width: number): number[] {
  const groups = Math.ceil(values.length / 8)
  const bits = Array.from({ length: groups * 8 }, (_, i) => values[i] ?? 0).flatMap((value) => Array.from({ length: width }, (_, bit) => Math.floor(value / 2 ** bit) % 2))
  const bytes = Array.from({ length: bits.length / 8 }, (_, i) => bits.slice(8 * i, 8 * i + 8).reduce((sum, bit, at) => sum + bit * 2 ** at, 0))
  return [...varint(groups * 2 + 1), ...bytes]
}

describe('the hybrid encoding', () => {
  it('is undone at any width', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }).chain((width) => fc.tuple(fc.constant(width), fc.array(fc.array(fc.integer({ min: 0, max: 2 ** width - 1 }), { minLength: 8, maxLength: 24 }).map((list) => list.slice(0, list.length - (list.length % 8))), { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 2 ** width - 1 }), fc.integer({ min: 1, max: 1000 }))), ([width, groups, repeated, times]) => {
        const run = [...varint(times * 2), ...Array.from({ length: (width + 7) >> 3 }, (_, i) => Math.floor(repeated / 256 ** i) % 256)]
        const values = [...groups.flat(), ...Array.from({ length: times }, () => repeated)]
        expect([...hybrid(bytesOf(...groups.flatMap((group) => packed(group, width)), ...run), width, values.length)]).toEqual(values)
      }),
    )
  })

  it('gives no more than is due, whatever a run says', () => {
    expect([...hybrid(bytesOf(...varint(2 ** 33), 7), 3, 5)]).toEqual([7, 7, 7, 7, 7])
    expect([...hybrid(bytesOf(...packed([1, 2, 3], 2)), 2, 3)]).toEqual([1, 2, 3])
  })

  it.each([
    ['a run of nothing', () => hybrid(bytesOf(0, 0, 0, 0), 1, 3), 'EmptyRun'],
    ['an endless number', () => hybrid(bytesOf(...Array.from({ length: 20 }, () => 0xff)), 1, 3), 'EndlessNumber'],
    ['groups that are not there', () => hybrid(bytesOf(...varint(2 ** 30 + 1), 1), 8, 100), 'CutShort'],
    ['too wide numbers', () => hybrid(bytesOf(2, 1), 33, 1), 'WideNumbers'],
    ['a count beyond all tables', () => hybrid(bytesOf(...varint(2 ** 33), 7), 3, 2 ** 25), 'TooManyValues'],
    ['more strings than bytes', () => plainStrings(bytesOf(0, 0, 0, 0), 2 ** 24), 'CutShort'],
    ['a string longer than the page', () => plainStrings(bytesOf(255, 255, 255, 255), 1), 'CutShort'],
    // Blocks of 128 in 4 miniblocks, one value, 1: a prefix of 1 of no string before it.
    ['a prefix of nothing', () => deltaStrings(bytesOf(0x80, 1, 4, 1, 2, 0x80, 1, 4, 1, 2, 65), 1, 100), 'LongPrefix'],
    ['miniblocks of none', () => deltaStrings(bytesOf(0x80, 1, 0, 1, 2), 1, 100), 'OddBlock'],
  ])('refuses %s', (_, work, reason) => {
    expect(work).toThrow(new Broken(reason))
  })

  it('refuses prefixes that make ever more of few bytes', () => {
    // Lengths 64 and then the whole string before it, again and again.
    const prefixes = [0x80, 1, 4, 100, 0, 128, 0, 0, 0, 0, 0]
    expect(() => deltaStrings(bytesOf(...prefixes), 100, 1000)).toThrow(Broken)
  })
})

describe('a structure of Thrift', () => {
  it('is refused where it is deeper or longer than can be', () => {
    expect(() => readStruct(bytesOf(...Array.from({ length: 100_000 }, () => 0x1c)))).toThrow(new Broken('TooDeep'))
    expect(() => readStruct(bytesOf(...Array.from({ length: 100_000 }, () => 0x19)))).toThrow(new Broken('TooDeep'))
    expect(() => readStruct(bytesOf(0x19, 0xf8, ...varint(2 ** 40)))).toThrow(new Broken('CutShort'))
    expect(() => readStruct(bytesOf(0x18, ...varint(2 ** 31)))).toThrow(new Broken('CutShort'))
    expect(() => readStruct(bytesOf(0x1b, 0))).toThrow(new Broken('UnknownType'))
  })

  it('of any bytes is read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          readStruct(new Cursor(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(Broken)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a page', () => {
  const column = { nullable: true, unpack: (bytes: Uint8Array) => bytes, most: 1000, dictionary: ['a', 'b'], make: (bytes: Uint8Array) => Buffer.from(bytes).toString() }
  const page = (count: number, encoding: number): PageHeader => ({ type: 0, unpacked: 0, packed: 0, crc: null, about: new Map([[1, count], [2, encoding], [3, 3]]) })

  it('of a dictionary has nulls where levels say so', () => {
    const levels = [2, 0, 0, 0, 3, 0b1011]
    const bytes = Uint8Array.from([...levels, 1, 3, 0b0110])
    expect(pageValues(page(4, 8), bytes, column)).toEqual({ values: ['a', 'b', null, 'b'] })
  })

  it.each([
    ['an index outside the dictionary', [2, 0, 0, 0, 3, 0xff, 2, 3, 0xff, 0xff], 'OutsideDictionary'],
    ['levels longer than the page', [255, 0, 0, 0, 3], 'CutShort'],
    ['levels of another count', [1, 0, 0, 0, 3], 'CutShort'],
  ])('is refused for %s', (_, bytes, reason) => {
    expect(() => pageValues(page(8, 8), Uint8Array.from(bytes), column)).toThrow(new Broken(reason))
  })

  it('is refused for a count or an encoding that cannot be', () => {
    expect(() => pageValues(page(-1, 8), Uint8Array.from([2, 0, 0, 0, 3, 1]), column)).toThrow(new Broken('NotACount'))
    expect(() => pageValues(page(2 ** 30, 8), Uint8Array.from([2, 0, 0, 0, 3, 1]), column)).toThrow(new Broken('TooManyValues'))
    expect(() => pageValues(page(1, 9), Uint8Array.from([2, 0, 0, 0, 3, 1]), column)).toThrow(new Broken('Encoding9'))
    expect(() => pageHeader(new Map([[1, 0], [2, 2 ** 30], [3, 10]]), 1000)).toThrow(new Broken('PageHeader'))
  })
})
