import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BlockShape } from '#core/quantizers/quantizer.ts'
import type { LabError } from '#core/contract/errors.ts'
import { transformById, transforms } from './index.ts'

const shapeOf = (values: Float32Array, headDim: number): BlockShape => ({
  side: 'key',
  kvHeads: 1,
  tokens: values.length / headDim,
  headDim,
  dtype: 'F32',
})

const NOWHERE = { from: 0, rope: null }

function forward(id: string, values: Float32Array, headDim: number, params: Record<string, number> = {}): Float32Array {
  const out = values.slice()
  transformById(id).forward(out, shapeOf(values, headDim), params, NOWHERE, {})
  return out
}

const rows = (headDim: number, min = -100, max = 100): fc.Arbitrary<Float32Array> =>
  fc
    .array(fc.array(fc.oneof(fc.double({ min, max, noNaN: true }), fc.integer({ min: -3, max: 3 })), { minLength: headDim, maxLength: headDim }), { minLength: 1, maxLength: 3 })
    .map((all) => Float32Array.from(all.flat()))

describe('the registry', () => {
  it('has unique ids of letters, so that a number may stand behind them', () => {
    const ids = transforms.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.filter((id) => !/^[a-z][a-z-]*$/.test(id))).toEqual([])
  })

  it('has at most one number and nothing else as a parameter: the grammar writes it behind the id', () => {
    for (const { id, params } of transforms) {
      expect(Object.values(params).length).toBeLessThanOrEqual(1)
      for (const def of Object.values(params)) expect(def).toMatchObject({ kind: 'int', option: id })
    }
  })

  it('refuses an unknown id by code', () => {
    expect(() => transformById('fourier')).toThrow(expect.objectContaining({ code: 'UNKNOWN_METHOD' }) as LabError)
  })
})

describe('hadamard', () => {
  /** Sylvester's matrix of `size` values a block: the sign of entry i, j is the parity of the bits that both indices have. */
  function bySylvester(values: Float32Array, size: number): number[] {
    const parity = (bits: number): number => (bits === 0 ? 0 : (bits & 1) ^ parity(bits >>> 1))
    return [...values].map((_, at) => {
      const block = at - (at % size)
      let sum = 0
      for (let j = 0; j < size; j++) sum += (parity((at % size) & j) === 1 ? -1 : 1) * values[block + j]!
      return sum / Math.sqrt(size)
    })
  }

  it.each([[64, 64], [128, 64], [256, 64], [128, 128], [384, 128], [256, 256], [512, 512]])('head size %i: is the orthonormal matrix on each block of %i', (headDim, size) => {
    fc.assert(
      fc.property(rows(headDim), (values) => {
        const rotated = forward('hadamard', values, headDim, { size })
        bySylvester(values, size).forEach((expected, i) => expect(Math.abs(rotated[i]! - expected)).toBeLessThan(1e-3))
      }),
      { numRuns: 20 },
    )
  })

  it('is exact on small integers: one spike becomes 64 equal magnitudes', () => {
    const spike = new Float32Array(128)
    spike[70] = 8
    const rotated = forward('hadamard', spike, 128, { size: 64 })
    expect([...rotated.subarray(0, 64)].every((value) => value === 0)).toBe(true)
    expect([...rotated.subarray(64)].every((value) => Math.abs(value) === 1)).toBe(true)
    expect([...rotated.subarray(64, 72)]).toEqual([1, 1, -1, -1, -1, -1, 1, 1])
    expect(forward('hadamard', rotated, 128, { size: 64 })).toEqual(spike)
  })

  it.each([64, 128, 256, 512])('of %i comes back by its inverse up to rounding and keeps the norm', (size) => {
    fc.assert(
      fc.property(rows(size), (values) => {
        const out = forward('hadamard', values, size, { size })
        const norm = (array: Float32Array): number => Math.hypot(...array)
        expect(norm(out)).toBeCloseTo(norm(values), 2)
        transformById('hadamard').inverse(out, shapeOf(values, size), { size }, NOWHERE, {})
        const length = norm(values)
        values.forEach((value, i) => expect(Math.abs(out[i]! - value)).toBeLessThanOrEqual(length * 2 ** -20))
      }),
      { numRuns: 50 },
    )
  })

  it('refuses head sizes that its own does not divide, and sizes that are no power of two', () => {
    const hadamard = transformById('hadamard')
    const refusal = (headDim: number, size = 64): string | null => hadamard.refuse({ size }, { side: 'key', kvHeads: 1, headDim }, null)
    expect([64, 128, 192, 256].map((headDim) => refusal(headDim))).toEqual([null, null, null, null])
    expect(refusal(80)).toContain('80')
    expect(refusal(32)).not.toBeNull()
    expect(refusal(256, 128)).toBeNull()
    expect(refusal(192, 128)).toContain('192')
    expect(refusal(192, 192)).toContain('128')
  })
})

describe('sparse', () => {
  it.each([1, 10, 50, 95])('%i percent of each row, the smallest, the first of equals; the others untouched', (percent) => {
    fc.assert(
      fc.property(rows(80), (values) => {
        const out = forward('sparse', values, 80, { percent })
        for (let at = 0; at < values.length; at += 80) {
          const row = values.subarray(at, at + 80)
          const order = [...row.keys()].sort((a, b) => Math.abs(row[a]!) - Math.abs(row[b]!) || a - b)
          const gone = new Set(order.slice(0, Math.floor((80 * percent) / 100)))
          row.forEach((value, i) => expect(out[at + i]! + 0).toBe(gone.has(i) ? 0 : value + 0))
        }
      }),
      { numRuns: 40 },
    )
  })

  it('leaves all but the first of equal values by their place', () => {
    expect([...forward('sparse', Float32Array.of(2, -2, 2, -2, 3, 1, 2, 3), 8, { percent: 50 })]).toEqual([0, 0, 0, -2, 3, 0, 2, 3])
  })

  it('its inverse does nothing', () => {
    const values = Float32Array.of(0, 1, 2, 3)
    transformById('sparse').inverse(values, shapeOf(values, 4), { percent: 50 }, NOWHERE, {})
    expect([...values]).toEqual([0, 1, 2, 3])
  })
})
