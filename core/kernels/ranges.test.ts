import fc from 'fast-check'
import { expect, it } from 'vitest'
import { bitsOf, floats, hostile, plain, same, shifted } from '../../test/kernel-twins.ts'
import { rangeCount } from './ranges.ts'
import { BIN_TILE, BINS } from './sorted-bins.ts'

const value = fc.oneof({ weight: 4, arbitrary: plain }, hostile, fc.constantFrom(0, -0))
/** Rows of a few, of some tiles, of an odd length and of more than a tile has ranges for. */
const shapes = fc.oneof(
  { weight: 8, arbitrary: fc.record({ heads: fc.integer({ min: 1, max: 3 }), tokens: fc.integer({ min: 1, max: 30 }), headDim: fc.constantFrom(8, 16, 24, 64, 12) }) },
  { weight: 1, arbitrary: fc.constantFrom({ heads: 2, tokens: 1100, headDim: 8 }, { heads: 2, tokens: 300, headDim: 64 }, { heads: 1, tokens: 3, headDim: 1032 }) },
)

it('ranges and parts of them, the same', () => {
  const runs = fc.oneof(fc.array(value, { minLength: 1, maxLength: 90 }), fc.array(fc.constantFrom(0, -0), { minLength: 1, maxLength: 9 }))
  fc.assert(
    fc.property(shapes, fc.boolean(), runs, ({ heads, tokens, headDim }, byChannel, some) => {
      const values = floats(Array.from({ length: heads * tokens * headDim }, (_, i) => some[(i * 7) % some.length]! * (1 - (i % 5) / 8)))
      const ranges = { byChannel, heads, tokens, headDim }
      const result = same((implementation) => {
        const [low, high] = [shifted(Float32Array, rangeCount(ranges)), shifted(Float32Array, rangeCount(ranges))]
        implementation.findRanges(values, ranges, low, high)
        const parts = shifted(Float32Array, values.length)
        implementation.divideByRanges(values, ranges, low, high.map((x) => (x === 0 ? Infinity : x)), parts)
        return { low, high, parts: bitsOf(parts) }
      }) as { low: Float32Array; high: Float32Array }
      const last = rangeCount(ranges) - 1
      const own = values.filter((_, i) => (byChannel ? i >= (heads - 1) * tokens * headDim && i % headDim === headDim - 1 : Math.floor(i / headDim) % tokens === tokens - 1))
      expect([result.low[last]! + 0, result.high[last]! + 0]).toEqual([own.reduce((a, b) => Math.min(a, b)) + 0, own.reduce((a, b) => Math.max(a, b)) + 0])
      // Where all are 0, both have the sign of the first.
      if (own.every((x) => x === 0)) expect([result.low[last], result.high[last]]).toEqual([own[0], own[0]])
    }),
    { numRuns: 150 },
  )
})

it('numbers in the order of their bins, the same, those of a bin in their own', () => {
  const sizes = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constantFrom(BIN_TILE - 1, BIN_TILE, BIN_TILE + 1, 2 * BIN_TILE + 5))
  fc.assert(
    fc.property(sizes, fc.array(fc.oneof(fc.double({ min: -1, max: 1, noNaN: true }), fc.constantFrom(0, -0, 2 ** -149, 1, -1)), { minLength: 1, maxLength: 90 }), (length, some) => {
      const numbers = floats(Array.from({ length }, (_, i) => some[(i * 7) % some.length]! * (1 - (i % 5) / 8)))
      const factor = (BINS - 1) / 2
      const { sorted, ends } = same((implementation) => {
        const tiles = Math.ceil(length / BIN_TILE)
        const result = { sorted: shifted(Float32Array, length), ends: shifted(Uint16Array, tiles * BINS), totals: new Float64Array(BINS) }
        implementation.sortIntoBins(numbers, -1, factor, result.sorted, result.ends, result.totals)
        return result
      }) as { sorted: Float32Array; ends: Uint16Array }
      const binOf = (x: number): number => Math.trunc((x + 1) * factor)
      for (let from = 0, tile = 0; from < length; from += BIN_TILE, tile++) {
        const own = [...numbers.subarray(from, from + BIN_TILE)]
        expect([...sorted.subarray(from, from + BIN_TILE)]).toEqual(own.toSorted((a, b) => binOf(a) - binOf(b)))
        expect(ends[(tile + 1) * BINS - 1]).toBe(own.length)
      }
    }),
    { numRuns: 60 },
  )
})
