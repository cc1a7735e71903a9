import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dominates, paretoFront, type Place } from './pareto.ts'

const place = fc.record({ bytes: fc.integer({ min: 1, max: 6 }), kl: fc.constantFrom(0, 1e-6, 0.01, 0.02, 0.5, Infinity) })

describe('paretoFront', () => {
  it('is what no other is better than', () => {
    const places: Place[] = [{ bytes: 8, kl: 0.001 }, { bytes: 8, kl: 0.002 }, { bytes: 4, kl: 0.01 }, { bytes: 5, kl: 0.01 }, { bytes: 2, kl: 0.3 }, { bytes: 16, kl: 0 }, { bytes: 15, kl: 0 }]
    expect(paretoFront(places)).toEqual([true, false, true, false, true, false, true])
  })

  it('keeps twins, and is never empty', () => {
    expect(paretoFront([{ bytes: 4, kl: 0.1 }, { bytes: 4, kl: 0.1 }])).toEqual([true, true])
    expect(paretoFront([])).toEqual([])
    fc.assert(fc.property(fc.array(place, { minLength: 1 }), (places) => { expect(paretoFront(places)).toContain(true) }))
  })

  it('is the same in any order, and without what is off it', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(place, fc.nat())), (keyed) => {
        const places = keyed.map(([each]) => each)
        const front = places.filter((_, i) => paretoFront(places)[i])
        const shuffled = keyed.toSorted(([, a], [, b]) => a - b).map(([each]) => each)
        expect(new Set(shuffled.filter((_, i) => paretoFront(shuffled)[i]))).toEqual(new Set(front))
        expect(paretoFront(front)).toEqual(front.map(() => true))
        for (const other of places.filter((one) => !front.includes(one))) expect(front.some((one) => dominates(one, other))).toBe(true)
      }),
    )
  })
})
