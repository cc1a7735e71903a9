import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ErrorSums, qualityLevel, violations } from './metrics.ts'

const sumsOf = (original: number[], restored: number[]): ErrorSums => {
  const sums = new ErrorSums()
  sums.add(Float32Array.from(original), Float32Array.from(restored))
  return sums
}
const floats = fc.array(fc.tuple(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.float({ noNaN: true, noDefaultInfinity: true })), { maxLength: 20 })

describe('ErrorSums', () => {
  it('measures a case done by hand', () => {
    // Errors 1, 0, -1, 2; signal 1 + 4 + 9 + 16 = 30, restored 0 + 4 + 16 + 4 = 24, product 0 + 4 + 12 + 8 = 24.
    const { rmse, nrmse, snrDb, cosine, maxError } = sumsOf([1, 2, 3, 4], [0, 2, 4, 2]).metrics()
    expect(rmse).toBeCloseTo(Math.sqrt(6 / 4), 12)
    expect(nrmse).toBeCloseTo(Math.sqrt(6 / 30), 12)
    expect(snrDb).toBeCloseTo(10 * Math.log10(30 / 6), 12)
    expect(cosine).toBeCloseTo(24 / Math.sqrt(30 * 24), 12)
    expect(maxError).toBe(2)
  })

  it('without an error there is no SNR; without a signal neither SNR nor NRMSE nor cosine', () => {
    expect(sumsOf([1, -2], [1, -2]).metrics()).toEqual({ rmse: 0, nrmse: 0, snrDb: null, cosine: 1, maxError: 0 })
    expect(sumsOf([0, 0], [3, -4]).metrics()).toEqual({ rmse: Math.sqrt(12.5), nrmse: null, snrDb: null, cosine: null, maxError: 4 })
    expect(sumsOf([3, 4], [0, 0]).metrics()).toMatchObject({ nrmse: 1, snrDb: 0, cosine: null })
    expect(new ErrorSums().metrics()).toEqual({ rmse: 0, nrmse: null, snrDb: null, cosine: null, maxError: 0 })
  })

  it('in parts, merged and through JSON, gives what it gives at once', () => {
    fc.assert(
      fc.property(floats, floats, (a, b) => {
        const parts = [a, b].map((pairs) => sumsOf(pairs.map(([x]) => x), pairs.map(([, y]) => y)))
        const merged = new ErrorSums()
        for (const part of parts) merged.merge(ErrorSums.fromJSON(JSON.parse(JSON.stringify(part)) as number[]))
        const added = new ErrorSums()
        for (const pairs of [a, b]) added.add(Float32Array.from(pairs, ([x]) => x), Float32Array.from(pairs, ([, y]) => y))
        expect(merged.toJSON()).toEqual(added.toJSON())
        expect(merged.metrics()).toEqual(added.metrics())
        expect(Math.abs(merged.metrics().cosine ?? 0)).toBeLessThanOrEqual(1)
      }),
      { numRuns: 100 },
    )
  })

  it('the largest values of F32 do not overflow', () => {
    const { rmse, snrDb } = sumsOf([3.4e38, 3.4e38], [-3.4e38, 3.4e38]).metrics()
    expect(rmse).toBeCloseTo(3.4e38 * Math.SQRT2, -33)
    expect(snrDb).toBeCloseTo(10 * Math.log10(0.5), 6)
  })

  it.each([[[NaN], [0]], [[0], [NaN]], [[Infinity], [Infinity]], [[1], [-Infinity]]])('%j against %j is NOT_FINITE and adds nothing', (original, restored) => {
    const sums = sumsOf([1], [2])
    const before = sums.toJSON()
    expect(() => sums.add(Float32Array.from(original), Float32Array.from(restored))).toThrow(expect.objectContaining({ code: 'NOT_FINITE' }) as Error)
    expect(sums.toJSON()).toEqual(before)
  })

  it('refuses other lengths and what is not its JSON', () => {
    expect(() => sumsOf([1], [1, 2])).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }) as Error)
    expect(() => ErrorSums.fromJSON([1, 2, 3])).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }) as Error)
    expect(() => ErrorSums.fromJSON([1, 2, 3, 4, 5, NaN])).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }) as Error)
  })
})

describe('qualityLevel', () => {
  it.each([
    [0.0099, 40.1, 'EXCELLENT'],
    [0.01, 40.1, 'GOOD'],
    [0.0099, 40, 'GOOD'],
    [0.05, 50, 'ACCEPTABLE'],
    [0.001, 30, 'ACCEPTABLE'],
    [0.1, 50, 'POOR'],
    [0.001, 18, 'POOR'],
    [0, null, 'EXCELLENT'],
    [0.001, null, 'POOR'],
  ])('RMSE %d with SNR %d dB is %s', (rmse, snrDb, level) => {
    expect(qualityLevel({ rmse, snrDb })).toBe(level)
  })
})

describe('violations', () => {
  const sound = { rmse: 0.1, maxError: 0.5, cosine: 0.99, snrDb: 18 }

  it('limits themselves are allowed', () => {
    expect(violations(sound)).toEqual([])
    expect(violations({ rmse: 0, maxError: 0, cosine: null, snrDb: null })).toEqual([])
  })

  it.each([
    [{ rmse: 0.1001 }, /^RMSE/],
    [{ maxError: 0.5001 }, /^max error/],
    [{ cosine: 0.9899 }, /^cosine/],
    [{ snrDb: 17.99 }, /^SNR/],
    [{ snrDb: null }, /^SNR/],
  ])('%j crosses one', (change, words) => {
    expect(violations({ ...sound, ...change })).toEqual([expect.stringMatching(words)])
  })
})
