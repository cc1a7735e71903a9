import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { packRounded, unpackScaled } from './packing.ts'

/** The definition: bit `bits * i + k` of the string is bit k of element i. */
function packedByDefinition(codes: readonly number[], bits: number): number[] {
  const bytes = Array.from({ length: (codes.length * bits) / 8 }, () => 0)
  codes.forEach((code, i) => {
    for (let k = 0; k < bits; k++) bytes[(bits * i + k) >> 3]! |= ((code >> k) & 1) << ((bits * i + k) & 7)
  })
  return bytes
}

describe.each([2, 3, 4, 5, 6, 7, 8])('%i bits', (bits) => {
  const codes = fc.integer({ min: 1, max: 8 }).chain((eights) => fc.array(fc.nat(2 ** bits - 1), { minLength: 8 * eights, maxLength: 8 * eights }))

  it('packs by the definition, at an offset, and nothing beside it', () => {
    fc.assert(
      fc.property(codes, fc.integer({ min: 0, max: 5 }), fc.integer({ min: -200, max: 200 }), (all, at, offset) => {
        const size = (all.length * bits) / 8
        const out = new Uint8Array(at + size + 3).fill(0xa5)
        packRounded(Float32Array.from(all, (code) => (code - offset) / 8), 0, all.length, 8, offset, bits, out, at)
        expect([...out]).toEqual([...Array.from({ length: at }, () => 0xa5), ...packedByDefinition(all, bits), 0xa5, 0xa5, 0xa5])
      }),
      { numRuns: 60 },
    )
  })

  it('unpacks what it packed', () => {
    fc.assert(
      fc.property(codes, fc.integer({ min: 0, max: 5 }), (all, at) => {
        const packed = Uint8Array.from([...Array.from({ length: at }, () => 0xff), ...packedByDefinition(all, bits), 0xff])
        const back = new Float32Array(all.length + 1).fill(-1)
        unpackScaled(packed, at, bits, 0, 1, 0, back, 0, all.length)
        expect([...back]).toEqual([...all, -1])
      }),
      { numRuns: 60 },
    )
  })
})
