import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { f16ToF32, f32ToF16 } from '#core/bytes/float.ts'
import type { LabError } from '#core/contract/errors.ts'
import type { BlockShape } from '#core/quantizers/quantizer.ts'
import { interleaved } from './interleaved.ts'
import { outliers } from './outliers.ts'

const NOWHERE = { from: 0, rope: null }

function shapeOf(side: BlockShape['side'], kvHeads: number, tokens: number, headDim: number): BlockShape {
  return { side, kvHeads, tokens, headDim, dtype: 'F32' }
}

function streamsFor(shape: BlockShape, perMille: number): { outliers: Uint16Array; places: Uint16Array } {
  const count = outliers.layout?.(shape, { perMille })['places']?.shape[1] ?? 0
  return { outliers: new Uint16Array(shape.tokens * count), places: new Uint16Array(shape.tokens * count) }
}

describe('outliers', () => {
  const some = fc
    .record({ kvHeads: fc.integer({ min: 1, max: 3 }), tokens: fc.integer({ min: 1, max: 4 }), headDim: fc.constantFrom(1, 7, 16), perMille: fc.integer({ min: 1, max: 100 }) })
    .chain(({ kvHeads, tokens, headDim, perMille }) => {
      const size = kvHeads * tokens * headDim
      const value = fc.oneof(fc.double({ min: -4, max: 4, noNaN: true }), fc.integer({ min: -2, max: 2 }), fc.constantFrom(0, -0, 900, -65504, 2 ** -30))
      return fc.array(value, { minLength: size, maxLength: size }).map((numbers) => ({ shape: shapeOf('value', kvHeads, tokens, headDim), perMille, values: Float32Array.from(numbers) }))
    })

  it('takes the farthest from the median of each token, puts it in their place, and brings them back', () => {
    fc.assert(
      fc.property(some, ({ shape, perMille, values }) => {
        const { kvHeads, tokens, headDim } = shape
        const streams = streamsFor(shape, perMille)
        const dense = values.slice()
        outliers.forward(dense, shape, { perMille }, NOWHERE, streams)
        const count = Math.ceil((kvHeads * headDim * perMille) / 1000)
        const restored = dense.slice()
        expect(outliers.inverse(restored, shape, { perMille }, NOWHERE, streams)).toBe(true)
        for (let token = 0; token < tokens; token++) {
          const places = Array.from({ length: kvHeads * headDim }, (_, i) => (Math.floor(i / headDim) * tokens + token) * headDim + (i % headDim))
          const own = places.map((at) => values[at]!)
          const median = own.toSorted((a, b) => a - b)[(own.length - 1) >> 1]!
          const farthest = [...own.keys()].sort((a, b) => Math.fround(Math.abs(own[b]! - median)) - Math.fround(Math.abs(own[a]! - median)) || a - b).slice(0, count).sort((a, b) => a - b)
          expect([...streams.places.subarray(token * count, (token + 1) * count)]).toEqual(farthest)
          for (const [i, at] of places.entries()) {
            const kept = farthest.includes(i)
            expect(dense[at]! + 0).toBe((kept ? median : own[i]!) + 0)
            expect(restored[at]).toBe(kept ? f16ToF32(f32ToF16(own[i]!)) : own[i])
          }
        }
      }),
      { numRuns: 120 },
    )
  })

  it('1 % and 0.5 % can be said, and there is one outlier at least', () => {
    const shape = shapeOf('key', 2, 1, 100)
    expect([1, 5, 10, 11, 100].map((perMille) => streamsFor(shape, perMille).places.length)).toEqual([1, 1, 2, 3, 20])
    expect(outliers.bits?.({ perMille: 10 }, shape)).toBe(0.32)
  })

  it('refuses what F16 does not hold and more values than places of 16 bits tell apart', () => {
    const shape = shapeOf('key', 1, 1, 16)
    const values = new Float32Array(16)
    values[3] = 65520
    expect(() => outliers.forward(values, shape, { perMille: 10 }, NOWHERE, streamsFor(shape, 10))).toThrow(expect.objectContaining({ code: 'OUT_OF_RANGE' }) as LabError)
    expect(outliers.refuse({ perMille: 1 }, { side: 'key', kvHeads: 512, headDim: 128 }, null)).toBeNull()
    expect(outliers.refuse({ perMille: 1 }, { side: 'key', kvHeads: 513, headDim: 128 }, null)).toContain('65664')
  })

  it('places that do not ascend or lie outside, and kept values that are no numbers, are told', () => {
    const shape = shapeOf('key', 2, 2, 16)
    const of = (kept: number[], places: number[]): boolean => outliers.inverse(new Float32Array(64), shape, { perMille: 50 }, NOWHERE, { outliers: Uint16Array.from(kept), places: Uint16Array.from(places) })
    expect(of([0, 1, 2, 0x7bff], [0, 31, 3, 4])).toBe(true)
    expect(of([0, 1, 2, 3], [0, 32, 3, 4])).toBe(false)
    expect(of([0, 1, 2, 3], [0, 65535, 3, 4])).toBe(false)
    expect(of([0, 1, 2, 3], [5, 5, 3, 4])).toBe(false)
    expect(of([0, 1, 2, 3], [1, 2, 4, 3])).toBe(false)
    expect(of([0, 1, 0x7c00, 3], [0, 1, 3, 4])).toBe(false)
    expect(of([0, 1, 2, 0xfe00], [0, 1, 3, 4])).toBe(false)
  })
})

describe('interleaved', () => {
  it('puts the two halves of a head side by side, of keys alone', () => {
    const values = Float32Array.from({ length: 16 }, (_, i) => i)
    const keys = values.slice()
    interleaved.forward(keys, shapeOf('key', 1, 2, 8), {}, NOWHERE, {})
    expect([...keys]).toEqual([0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15])
    const untouched = values.slice()
    interleaved.forward(untouched, shapeOf('value', 1, 2, 8), {}, NOWHERE, {})
    expect(untouched).toEqual(values)
    interleaved.inverse(untouched, shapeOf('value', 1, 2, 8), {}, NOWHERE, {})
    expect(untouched).toEqual(values)
  })

  it('comes back to the bit', () => {
    fc.assert(
      fc.property(fc.constantFrom(2, 6, 64, 80), fc.integer({ min: 1, max: 3 }), fc.nat(), (headDim, rows, seed) => {
        const values = Float32Array.from({ length: headDim * rows }, (_, i) => (Math.imul(i + seed, 0x9e3779b1) >> 8) / 7)
        const moved = values.slice()
        interleaved.forward(moved, shapeOf('key', 1, rows, headDim), {}, NOWHERE, {})
        expect(interleaved.inverse(moved, shapeOf('key', 1, rows, headDim), {}, NOWHERE, {})).toBe(true)
        expect(Buffer.compare(Buffer.from(moved.buffer), Buffer.from(values.buffer))).toBe(0)
      }),
    )
    expect(interleaved.refuse({}, { side: 'key', kvHeads: 1, headDim: 7 }, null)).toContain('7')
  })
})
