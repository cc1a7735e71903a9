import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { GateSpec } from '#core/contract/spec.ts'
import { forecast, hypergeometricAtMost } from './forecast.ts'
import { normalQuantile } from './quantile.ts'
import { LEAST_WINDOWS, rungEnds, stops, type Racer, type RaceRules } from './race.ts'
import { Xoshiro128 } from './random.ts'
import { settledOutcome } from './settle.ts'

const NO_GATE: GateSpec = { lnRatio: null, klMean: null, klP99: null, deltaPerplexity: null }
const STRICT: GateSpec = { lnRatio: 0.01, klMean: 0.01, klP99: 0.1, deltaPerplexity: null }
const TOKENS = 16

/** Standard normal numbers. */
function normals(seed: number, count: number): number[] {
  const numbers = new Uint32Array(count)
  Xoshiro128.fromSeed(seed).fill(numbers)
  return Array.from(numbers, (number) => {
    const share = (number + 0.5) / 2 ** 32
    return share > 0.5 ? normalQuantile(share) : share < 0.5 ? -normalQuantile(1 - share) : 0
  })
}

/** A method of this mean KL, of about the tail and the spread between windows that methods have; `seed` makes its own noise, `common` that of all. */
function racer(method: string, bytes: number, kl: number, windows: number, seed: number, common = 0): Racer {
  const noise = normals(seed + 1, windows * (TOKENS + 1))
  const shared = normals(common + 1_000_000, windows)
  const values = Float64Array.from({ length: windows * TOKENS }, (_, i) => {
    const window = Math.floor(i / TOKENS)
    return kl * Math.exp(0.4 * shared[window]! + 0.25 * noise[windows * TOKENS + window]! + 1.1 * noise[i]! - 0.716)
  })
  const nllRef = new Float64Array(values.length).fill(3)
  const samples = { tokensPerWindow: TOKENS, nllRef, nll: nllRef.map((loss, i) => loss + values[i]! * noise[(7 * i) % noise.length]!), kl: values, agree: new Uint8Array(values.length).fill(1) }
  return { method, bytes: new Float64Array(windows).fill(bytes), samples }
}

function first({ method, bytes, samples }: Racer, windows: number): Racer {
  const of = <T extends Float64Array | Uint8Array>(series: T): T => series.slice(0, windows * TOKENS) as T
  const { kl, nll, nllRef, agree } = samples
  return { method, bytes: bytes.slice(0, windows), samples: { tokensPerWindow: TOKENS, kl: of(kl), nll: of(nll), nllRef: of(nllRef), agree: of(agree) } }
}

const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length
const rules = (given: Partial<RaceRules> = {}): RaceRules => ({ windows: 64, methods: 4, looks: 3, gate: NO_GATE, level: 0.95, ...given })

describe('rungEnds', () => {
  it('halves from the end, and decides nothing on few windows', () => {
    expect(rungEnds(330, 4)).toEqual([41, 82, 165])
    expect(rungEnds(32, 3)).toEqual([8, 16])
    expect(rungEnds(32, 10)).toEqual([8, 16])
    expect(rungEnds(330, 1)).toEqual([])
    expect(rungEnds(15, 4)).toEqual([])
  })
})

describe('forecast', () => {
  it('misses the mean of all windows no oftener than it says', () => {
    let [missed, uncorrected] = [0, 0]
    const runs = 3000
    for (let run = 0; run < runs; run++) {
      const all = Float64Array.from(normals(run, 40))
      const { low, high, deviation, mean: near } = forecast(all.subarray(0, 20), 40, 0.05)
      if (mean(all) < low || mean(all) > high) missed++
      if (Math.abs(mean(all) - near) > (0.6 * deviation) / Math.sqrt(20)) uncorrected++
    }
    // Two sides of 5 % each.
    expect(missed / runs).toBeGreaterThan(0.08)
    expect(missed / runs).toBeLessThan(0.12)
    expect(uncorrected / runs).toBeGreaterThan(0.12)
  })

  it('is a point where windows do not differ or none is left', () => {
    expect(forecast(new Float64Array(9).fill(4), 30, 1e-9)).toMatchObject({ low: 4, high: 4 })
    expect(forecast(Float64Array.of(1, 2, 3), 3, 1e-9)).toMatchObject({ low: 2, high: 2 })
  })

  it('counts draws without putting back', () => {
    // Of 5 marked among 20, 4 are drawn: C(15,4), 5 C(15,3), 10 C(15,2) … of C(20,4) = 4845.
    expect([-1, 0, 1, 2, 3, 4].map((count) => Math.round(4845 * hypergeometricAtMost(count, 4, 5, 20)))).toEqual([0, 1365, 3640, 4690, 4840, 4845])
    // Of 1 % of 100,000, half are drawn: 500 with a deviation of sqrt(500 * 0.99 / 2).
    expect(hypergeometricAtMost(500, 50_000, 1000, 100_000)).toBeCloseTo(0.513, 2)
    expect(hypergeometricAtMost(469, 50_000, 1000, 100_000)).toBeCloseTo(0.026, 2)
    expect(hypergeometricAtMost(0, 500, 10_000, 1_000_000) / 0.99 ** 500).toBeCloseTo(1, 2)
    // All are drawn: nothing is left to chance.
    expect([9, 10].map((count) => hypergeometricAtMost(count, 30, 10, 30))).toEqual([0, 1])
  })
})

describe('stops', () => {
  it('stops what is clearly dominated, and nothing else', () => {
    const racers = [racer('good', 8, 0.001, 16, 1), racer('small', 4, 0.003, 16, 2), racer('bad', 8, 0.02, 16, 3), racer('large', 16, 0.0001, 16, 4)]
    expect(stops(racers, rules())).toEqual([{ method: 'bad', dominatedBy: 'good', outcome: 'inconclusive' }])
    // One that would dominate at more bytes does not.
    expect(stops(racers.slice(2), rules())).toEqual([])
  })

  it('decides nothing under the least number of windows', () => {
    const racers = (windows: number): Racer[] => [racer('good', 8, 0.001, windows, 1), racer('bad', 8, 0.5, windows, 3)]
    expect(stops(racers(LEAST_WINDOWS - 1), rules())).toEqual([])
    expect(stops(racers(2 * LEAST_WINDOWS), rules())).toHaveLength(1)
    expect(stops([], rules())).toEqual([])
  })

  it('names as the better one only who goes on', () => {
    const racers = [racer('a', 8, 0.0001, 32, 1), racer('b', 8, 0.001, 32, 2), racer('c', 8, 0.01, 32, 3), racer('d', 9, 0.1, 32, 4)]
    expect(stops(racers, rules()).map(({ method, dominatedBy }) => [method, dominatedBy])).toEqual([['b', 'a'], ['c', 'a'], ['d', 'a']])
  })

  it('waits where sizes vary too much to tell', () => {
    const [good, bad] = [racer('good', 8, 0.001, 16, 1), racer('bad', 8, 0.02, 16, 3)]
    const varied = { ...good, bytes: good.bytes.map((bytes, i) => bytes + (i % 2 === 0 ? 1 : -1.5)) }
    expect(stops([varied, bad], rules())).toEqual([])
    expect(stops([{ ...varied, bytes: varied.bytes.map((bytes) => bytes - 8) }, bad], rules())).toHaveLength(1)
  })

  it('keeps who is dominated until its verdict is settled', () => {
    const good = racer('good', 8, 0.0001, 24, 1)
    const outcomes = (kl: number): unknown[] => stops([good, racer('x', 8, kl, 24, 3)], rules({ methods: 2, gate: { ...NO_GATE, klMean: 0.01 } })).map(({ outcome }) => outcome)
    expect(outcomes(0.001)).toEqual(['pass'])
    expect(outcomes(0.01)).toEqual([])
    expect(outcomes(0.1)).toEqual(['fail'])
  })

  it('does not depend on the order of the racers, and what is worse stops too', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.double({ min: -4, max: -1, noNaN: true })), { minLength: 2, maxLength: 7 }), fc.nat(1000), fc.nat(6), (methods, seed, turn) => {
        const racers = methods.map(([bytes, power], i) => racer(`m${i}`, bytes, 10 ** power, 12, 100 * seed + i, seed))
        const given = rules({ methods: racers.length })
        const sorted = (list: Racer[]): unknown[] => stops(list, given).sort((a, b) => (a.method < b.method ? -1 : 1))
        const found = sorted(racers)
        expect(sorted([...racers.slice(turn), ...racers.slice(0, turn)])).toEqual(found)
        expect(sorted(racers.toReversed())).toEqual(found)
        for (const { method } of stops(racers, given)) {
          // The same method with a KL that is higher by the same amount everywhere.
          const worse = racers.map((one) => (one.method === method ? { ...one, samples: { ...one.samples, kl: one.samples.kl.map((kl) => kl + 0.01) } } : one))
          expect(stops(worse, given).map((stop) => stop.method)).toContain(method)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('drops a method of the front of all windows, or judges it otherwise, in far fewer races than 1 - level', () => {
    let [wrong, dropped] = [0, 0]
    const races = 400
    const windows = 64
    for (let race = 0; race < races; race++) {
      // Three that differ by luck alone or nearly so, at one size, and one that is worse: a front of one that is hard to tell.
      const all = [0.004, 0.004, 0.0043, 0.008].map((kl, i) => racer(`m${i}`, 8, kl, windows, 10 * race + i, race))
      const best = all.reduce((a, b) => (mean(a.samples.kl) <= mean(b.samples.kl) ? a : b))
      let running = all
      const ends = rungEnds(windows, 4)
      for (const end of ends) {
        const stopped = stops(running.map((one) => first(one, end)), rules({ windows, looks: ends.length }))
        dropped += stopped.length
        if (stopped.some(({ method }) => method === best.method)) wrong++
        running = running.filter(({ method }) => !stopped.some((stop) => stop.method === method))
      }
    }
    expect(wrong / races).toBeLessThan(0.025)
    expect(dropped).toBeGreaterThan(races / 2)
  })
})

describe('settledOutcome', () => {
  const settled = (kl: number, windows = 40, gate = STRICT): unknown => settledOutcome(racer('x', 8, kl, windows, 5).samples, { windows: 160, gate, level: 0.95, error: 1e-4 })

  it('is settled far from the limits only; one failing rule is enough', () => {
    expect([1e-5, 1e-4, 0.0003, 0.01, 0.1, 1].map((kl) => settled(kl))).toEqual(['pass', 'pass', 'pass', null, 'fail', 'fail'])
    expect(settled(1, 40, { ...NO_GATE, deltaPerplexity: 0.01 })).toBe(null)
    expect(settled(1e-6, 40, { ...NO_GATE, deltaPerplexity: 0.5 })).toBe('pass')
    expect(settled(0.1, 40, NO_GATE)).toBe('inconclusive')
  })

  it('a tail needs tokens: few settle it only where it is far below the limit', () => {
    const tail = (windows: number, kl: number): unknown => settled(kl, windows, { ...NO_GATE, klP99: 0.1 })
    // 99 % of tokens lie below about 9 times the mean: 0.027 and 0.002.
    expect([8, 40, 150].map((windows) => tail(windows, 0.003))).toEqual([null, null, 'pass'])
    expect([8, 40, 150].map((windows) => tail(windows, 0.0002))).toEqual([null, 'pass', 'pass'])
    expect(tail(40, 0.2)).toBe('fail')
  })

  it('counts tokens that come together as fewer', () => {
    const windows = 40
    const spread = new Float64Array(windows * TOKENS)
    const together = new Float64Array(windows * TOKENS)
    // 32 of 640 tokens over the limit: one in each of 32 windows, or 16 in each of two.
    for (let i = 0; i < 32; i++) spread[i * TOKENS] = together[i] = 1
    const { samples } = racer('x', 8, 1, windows, 5)
    const of = (kl: Float64Array): unknown => settledOutcome({ ...samples, kl }, { windows: 160, gate: { ...NO_GATE, klP99: 0.1 }, level: 0.95, error: 1e-4 })
    expect([of(spread), of(together)]).toEqual(['fail', null])
  })
})
