import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bitsOf, bytesFrom, floats, kinds, same, shifted } from '../../test/kernel-twins.ts'
import { tokenGroups } from './channels.ts'
import type { TokenRuns } from './kernels.ts'

const cases = [2, 3, 4, 5, 6, 7, 8].flatMap((bits) => [false, true].map((asym) => ({ bits, asym })))
const clips = fc.constantFrom(1, 1, Math.fround(0.96), Math.fround(0.5))

type Sized = { readonly runs: TokenRuns; readonly heads: number }
/** Shapes with last groups of any length; at times groups that fill more than a tile. */
const shapes: fc.Arbitrary<Sized> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ heads: fc.integer({ min: 1, max: 3 }), tokens: fc.integer({ min: 1, max: 40 }), eights: fc.integer({ min: 1, max: 12 }), groupSize: fc.integer({ min: 1, max: 32 }) }) },
  { weight: 1, arbitrary: fc.record({ heads: fc.constant(1), tokens: fc.integer({ min: 200, max: 300 }), eights: fc.constantFrom(8, 9, 32), groupSize: fc.constantFrom(128, 256) }) },
  { weight: 1, arbitrary: fc.record({ heads: fc.constant(1), tokens: fc.constantFrom(1, 3), eights: fc.constantFrom(127, 128, 129, 300), groupSize: fc.constantFrom(1, 16) }) },
).map(({ heads, tokens, eights, groupSize }) => ({ heads, runs: { tokens, headDim: 8 * eights, groupSize } }))

/** Values for a shape: one kind for a whole channel, so that wild ones do not hide the others. */
const filled = fc.tuple(shapes, fc.array(fc.oneof(...kinds.map((kind) => fc.array(kind, { minLength: 5, maxLength: 5 }))), { minLength: 1, maxLength: 6 }))

const scalesOf = ({ runs, heads }: Sized): number => heads * Math.ceil(runs.tokens / runs.groupSize) * runs.headDim
const valuesOf = ({ runs, heads }: Sized): number => heads * runs.tokens * runs.headDim

describe('channels', () => {
  it.each(cases)('$bits bits, asym $asym: the same codes, scales, zeros and errors', ({ bits, asym }) => {
    let encoded = 0
    const property = fc.property(filled, clips, ([sized, some], clip) => {
      const { runs } = sized
      const values = floats(Array.from({ length: valuesOf(sized) }, (_, i) => some[i % runs.headDim % some.length]![Math.floor(i / runs.headDim) % 5]!))
      const result = same((implementation) => {
        const codes = shifted(Uint8Array, (values.length * bits) / 8)
        const scales = shifted(Uint16Array, scalesOf(sized))
        const zeros = asym ? shifted(Uint16Array, scales.length) : null
        implementation.quantizeChannels(values, runs, bits, clip, codes, scales, zeros)
        const out = shifted(Float32Array, values.length)
        const finite = implementation.dequantizeChannels(codes, scales, zeros, runs, bits, out)
        return { codes, scales, zeros, finite, out: bitsOf(out) }
      })
      if ('codes' in result) encoded++
    })
    fc.assert(property, { numRuns: 100 })
    expect(encoded).toBeGreaterThan(15)
  })

  it.each(cases)('$bits bits, asym $asym: the same values from any codes and scales', ({ bits, asym }) => {
    const property = fc.property(shapes, fc.integer(), fc.boolean(), (sized, seed, tame) => {
      const random = bytesFrom(seed)
      const codes = shifted(Uint8Array, (valuesOf(sized) * bits) / 8).map(random)
      const half = (): number => (random() | (random() << 8)) & (tame ? 0xbbff : 0xffff)
      const scales = shifted(Uint16Array, scalesOf(sized)).map(half)
      const zeros = asym ? shifted(Uint16Array, scales.length).map(half) : null
      const result = same((implementation) => {
        const out = shifted(Float32Array, valuesOf(sized))
        const finite = implementation.dequantizeChannels(codes, scales, zeros, sized.runs, bits, out)
        return { finite, out: bitsOf(out) }
      })
      if (tame) expect(result).toMatchObject({ finite: true })
    })
    fc.assert(property, { numRuns: 30 })
  })

  it.each(cases)('$bits bits, asym $asym: a channel is quantised as a group of its values is', ({ bits, asym }) => {
    const values = fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { minLength: 8 * 16, maxLength: 8 * 16 })
    fc.assert(
      fc.property(values, clips, (numbers, clip) => {
        const rows = floats(numbers)
        const columns = floats(Array.from({ length: 128 }, (_, i) => rows[(i % 16) * 8 + Math.floor(i / 16)]!))
        const transposed = (array: Float32Array): Float32Array => Float32Array.from({ length: 128 }, (_, i) => array[(i % 8) * 16 + Math.floor(i / 8)]!)
        same((implementation) => {
          const room = (): [Uint8Array, Uint16Array, Uint16Array | null] => [new Uint8Array(16 * bits), new Uint16Array(8), asym ? new Uint16Array(8) : null]
          const [codes, scales, zeros] = room()
          const runs = { tokens: 16, headDim: 8, groupSize: 16 }
          implementation.quantizeChannels(rows, runs, bits, clip, codes, scales, zeros)
          const out = new Float32Array(128)
          implementation.dequantizeChannels(codes, scales, zeros, runs, bits, out)
          const [ownCodes, ownScales, ownZeros] = room()
          implementation.quantizeGroups(columns, 16, bits, clip, ownCodes, ownScales, ownZeros)
          const own = new Float32Array(128)
          implementation.dequantizeGroups(ownCodes, ownScales, ownZeros, 16, bits, own)
          expect(scales).toEqual(ownScales)
          expect(zeros).toEqual(ownZeros)
          expect(out).toEqual(transposed(own))
          return out
        })
      }),
      { numRuns: 20 },
    )
  })
})

it('groups of tokens cover each head from its first token, the last one shorter', () => {
  expect([...tokenGroups({ tokens: 5, headDim: 8, groupSize: 2 }, 2 * 5 * 8)]).toEqual([
    { at: 0, rows: 2, scalesAt: 0 },
    { at: 16, rows: 2, scalesAt: 8 },
    { at: 32, rows: 1, scalesAt: 16 },
    { at: 40, rows: 2, scalesAt: 24 },
    { at: 56, rows: 2, scalesAt: 32 },
    { at: 72, rows: 1, scalesAt: 40 },
  ])
})
