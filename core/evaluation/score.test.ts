import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { losses, Reference, scoreAgainst } from './score.ts'

/** The definition, as plainly as it can be written. */
function slow(z: number[], zRef: number[], target: number): { nll: number; kl: number; spread: number } {
  const logSoftmax = (row: number[]): number[] => {
    const max = Math.max(...row)
    const logSum = Math.log(row.reduce((sum, value) => sum + Math.exp(value - max), 0))
    return row.map((value) => value - max - logSum)
  }
  const q = logSoftmax(z)
  const p = logSoftmax(zRef)
  const terms = p.map((log, i) => Math.exp(log) * (log - (q[i] ?? NaN)))
  return { nll: -(q[target] ?? NaN), kl: terms.reduce((sum, value) => sum + value, 0), spread: terms.reduce((sum, value) => sum + Math.abs(value), 0) }
}

/** Rows of F32 logits, first the reference's; values come from a range chosen per case. */
const rows = fc.tuple(fc.integer({ min: 1, max: 90 }), fc.constantFrom(0.01, 1, 10, 80)).chain(([vocab, scale]) => {
  const row = fc.array(fc.double({ min: -scale, max: scale, noNaN: true }).map(Math.fround), { minLength: vocab, maxLength: vocab })
  return fc.tuple(row, row, fc.nat(vocab - 1))
})

describe('scores of a row', () => {
  it('are those of the plain definition', () => {
    fc.assert(
      fc.property(rows, ([zRef, z, target]) => {
        const targets = Uint32Array.of(target)
        const reference = new Reference(Float32Array.from(zRef), z.length, targets)
        const { nll, kl, agree } = scoreAgainst(reference, Float32Array.from(z), 0)
        const expected = slow(z, zRef, target)
        expect(nll[0]).toBeCloseTo(expected.nll, 9)
        expect(reference.nll[0]).toBeCloseTo(slow(zRef, zRef, target).nll, 9)
        expect(losses(Float32Array.from(z), z.length, 0, targets)[0]).toBeCloseTo(expected.nll, 9)
        expect(Math.abs((kl[0] ?? NaN) - expected.kl)).toBeLessThan(1e-9 + 1e-11 * expected.spread)
        expect(kl[0]).toBeGreaterThanOrEqual(-1e-9)
        expect(agree[0]).toBe(z[zRef.indexOf(Math.max(...zRef))] === Math.max(...z) ? 1 : 0)
      }),
      { numRuns: 500 },
    )
  })

  it('have a KL of exactly 0, equal losses and no flip where the logits are equal', () => {
    fc.assert(
      fc.property(rows, ([zRef, , target]) => {
        const logits = Float32Array.from(zRef)
        const reference = new Reference(logits, zRef.length, Uint32Array.of(target))
        const scores = scoreAgainst(reference, Float32Array.from([7, ...zRef]), 1)
        expect([...scores.kl]).toEqual([0])
        expect([...scores.nll]).toEqual([...reference.nll])
        expect([...scores.agree]).toEqual([1])
      }),
      { numRuns: 200 },
    )
  })

  it('do not change when all logits of a row are shifted', () => {
    const zRef = Float32Array.of(1, 2, 3, -4)
    const reference = new Reference(zRef, 4, Uint32Array.of(1))
    for (const shift of [-3000, -80, -39, 59, 61, 700, 5000]) {
      const { nll, kl, agree } = scoreAgainst(reference, zRef.map((value) => value + shift), 0)
      expect(nll[0]).toBeCloseTo(reference.nll[0] ?? NaN, 9)
      expect(kl[0]).toBeCloseTo(0, 9)
      expect(agree[0]).toBe(1)
    }
  })

  it('stand logits far apart', () => {
    const reference = new Reference(Float32Array.of(-3e38, 0, -3e38, -65504), 4, Uint32Array.of(1))
    expect(reference.nll[0]).toBe(0)
    const { nll, kl } = scoreAgainst(reference, Float32Array.of(-3e38, -3e38, 1000, -65504), 0)
    expect(nll[0]).toBeCloseTo(3e38 + 1000, -32)
    expect(kl[0]).toBeCloseTo(3e38 + 1000, -32)
  })

  it('keep a vocabulary of 50,000 exact', () => {
    const vocab = 50_000
    const zRef = Float32Array.from({ length: vocab }, (_, i) => 12 * Math.sin(i * 12.9898))
    const z = zRef.map((value, i) => value + 1e-3 * Math.cos(i * 78.233))
    const reference = new Reference(zRef, vocab, Uint32Array.of(17))
    const { nll, kl } = scoreAgainst(reference, z, 0)
    const expected = slow([...z], [...zRef], 17)
    expect(nll[0]).toBeCloseTo(expected.nll, 9)
    expect(Math.abs((kl[0] ?? NaN) / expected.kl - 1)).toBeLessThan(1e-4)
  })

  it('agree where no token is above the most likely one of the reference, in whatever order equals come', () => {
    const reference = new Reference(Float32Array.of(0, 5, 5), 3, Uint32Array.of(0))
    expect([...reference.argmax]).toEqual([1])
    const agree = (...row: number[]): number[] => [...scoreAgainst(reference, Float32Array.from(row), 0).agree]
    expect(agree(0, 4, 4)).toEqual([1])
    expect(agree(6, 6, 4)).toEqual([1])
    expect(agree(4, 6, 6)).toEqual([1])
    expect(agree(6, 5, 4)).toEqual([0])
    expect(agree(0, 4, 5)).toEqual([0])
    const zero = new Reference(Float32Array.of(-1, -0, -2), 3, Uint32Array.of(0))
    expect([...zero.argmax]).toEqual([1])
    expect([...scoreAgainst(zero, Float32Array.of(0, -0, -1), 0).agree]).toEqual([1])
  })
})

describe('logits that are not finite', () => {
  it.each([NaN, Infinity, -Infinity])('%f is refused with the token it was to predict', (bad) => {
    const good = Float32Array.of(0, 1, 2, 0, 1, 2)
    const targets = Uint32Array.of(0, 1)
    const reference = new Reference(good, 3, targets)
    for (const place of [3, 4, 5]) {
      const broken = good.slice()
      broken[place] = bad
      const error = (work: () => unknown): unknown => {
        try {
          return work()
        } catch (thrown) {
          return thrown instanceof LabError ? { code: thrown.code, details: thrown.details } : thrown
        }
      }
      const expected = { code: 'NOT_FINITE', details: { token: 1 } }
      expect(error(() => scoreAgainst(reference, broken, 0))).toEqual(expected)
      expect(error(() => new Reference(broken, 3, targets))).toEqual(expected)
      expect(error(() => losses(broken, 3, 0, targets))).toEqual(expected)
    }
  })
})
