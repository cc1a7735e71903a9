import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BlockShape, Streams } from './quantizer.ts'
import { skvqQuantizer } from './skvq.ts'

const round = Math.fround

/** The nearest E4M3 number, of two as near the one with an even code, by trying all. */
const E4M3 = Array.from({ length: 127 }, (_, code) => ({ code, value: code < 8 ? code / 512 : (1 + (code & 7) / 8) * 2 ** ((code >> 3) - 7) }))
function e4m3(x: number): number {
  const magnitude = E4M3.reduce((best, next) => {
    const [near, far] = [Math.abs(next.value - Math.abs(x)), Math.abs(best.value - Math.abs(x))]
    return near < far || (near === far && next.code % 2 === 0) ? next : best
  })
  return x < 0 ? -magnitude.value : magnitude.value
}

/** Ties to even. */
function rne(x: number): number {
  const low = Math.floor(x)
  return x - low === 0.5 ? low + (low % 2) : Math.round(x)
}

/** K-means as it is told: four starts, 50 rounds, ties to the first. */
function clustersOf(points: readonly (readonly [number, number])[], count: number): number[] {
  const ranks = [([low]: readonly [number, number]) => low, ([, high]: readonly [number, number]) => high, ([low, high]: readonly [number, number]) => low + high, ([low, high]: readonly [number, number]) => high - low]
  const tries = ranks.map((rank) => {
    const order = points.map((_, i) => i).toSorted((a, b) => rank(points[a]!) - rank(points[b]!) || a - b)
    let means = Array.from({ length: count }, (_, k) => [...points[order[Math.floor(((k + 0.5) * points.length) / count)]!]!] as [number, number])
    let owners: number[] = []
    let spread = 0
    for (let turn = 0; turn < 50; turn++) {
      const distance = ([low, high]: readonly [number, number], k: number): number => (low - means[k]![0]) ** 2 + (high - means[k]![1]) ** 2
      const next = points.map((point) => means.reduce((best, _, k) => (distance(point, k) < distance(point, best) ? k : best), 0))
      spread = points.reduce((sum, point, i) => sum + distance(point, next[i]!), 0)
      if (next.join() === owners.join()) break
      owners = next
      means = means.map((mean, k) => {
        const own = points.filter((_, i) => owners[i] === k)
        return own.length === 0 ? mean : [own.reduce((sum, [low]) => sum + low, 0) / own.length, own.reduce((sum, [, high]) => sum + high, 0) / own.length]
      })
    }
    return { owners, spread }
  })
  return tries.reduce((best, next) => (next.spread < best.spread ? next : best)).owners
}

function valueAt(values: Float32Array, { tokens, headDim }: BlockShape, channel: number, token: number): number {
  return values[(Math.floor(channel / headDim) * tokens + token) * headDim + (channel % headDim)]!
}

function ends(values: Float32Array, shape: BlockShape): [number, number][] {
  return Array.from({ length: shape.kvHeads * shape.headDim }, (_, channel) => {
    const own = Array.from({ length: shape.tokens }, (_, token) => valueAt(values, shape, channel, token))
    return [Math.min(...own), Math.max(...own)]
  })
}

/** What comes back, in the channels' order of a token at a time. */
function reference(values: Float32Array, shape: BlockShape, bits: number, clusters: readonly number[], clip: number): Float32Array {
  const { kvHeads, tokens, headDim } = shape
  const top = 2 ** bits - 1
  const p = round(clip / 100)
  const out = new Float32Array(values.length)
  for (let token = 0; token < tokens; token++) {
    for (const k of new Set(clusters)) {
      const own = Array.from({ length: kvHeads * headDim }, (_, channel) => channel).filter((channel) => clusters[channel] === k)
      const xs = own.map((channel) => valueAt(values, shape, channel, token))
      const z = round(Math.min(...xs) * p)
      const s = Math.max(round(round(round(Math.max(...xs) * p) - z) / top), round(1e-5))
      for (const [i, channel] of own.entries()) {
        const q = rne(Math.max(0, Math.min(top, round(round(xs[i]! - z) / s))))
        out[(Math.floor(channel / headDim) * tokens + token) * headDim + (channel % headDim)] = round(round(q * e4m3(s)) + e4m3(z))
      }
    }
  }
  return out
}

function room(layout: ReturnType<ReturnType<typeof skvqQuantizer>['layout']>): Streams {
  return Object.fromEntries(Object.entries(layout).map(([name, { dtype, shape }]) => {
    const length = shape.reduce((a, b) => a * b, 1)
    return [name, dtype === 'U8' ? new Uint8Array(length) : new Uint16Array(length)]
  }))
}

const inputs = fc
  .record({ kvHeads: fc.integer({ min: 1, max: 3 }), tokens: fc.integer({ min: 1, max: 6 }), headDim: fc.constantFrom(16, 24, 40), groupSize: fc.constantFrom(16, 24, 64), bits: fc.constantFrom(2, 3, 4), clip: fc.constantFrom(50, 96, 100), seed: fc.integer() })
  .chain(({ kvHeads, tokens, headDim, ...rest }) => {
    const length = kvHeads * headDim
    // Channels with places and widths of their own, coarse enough for ties.
    const channels = fc.array(fc.tuple(fc.integer({ min: -40, max: 40 }), fc.integer({ min: 0, max: 30 })), { minLength: length, maxLength: length })
    const noise = fc.array(fc.integer({ min: -8, max: 8 }), { minLength: length * tokens, maxLength: length * tokens })
    return fc.record({ channels, noise }).map(({ channels, noise }) => {
      const shape: BlockShape = { side: 'key', kvHeads, tokens, headDim, dtype: 'F32' }
      const values = Float32Array.from(noise, (x, i) => {
        const [middle, width] = channels[Math.floor(i / (tokens * headDim)) * headDim + (i % headDim)]!
        return middle / 4 + (x * width) / 32
      })
      return { shape, values, ...rest }
    })
  })

describe('SKVQ', () => {
  it('is clusters of channels, and of each token and cluster the clipped range with E4M3 scale and zero point', () => {
    fc.assert(
      fc.property(inputs, ({ shape, values, groupSize, bits, clip }) => {
        const quantizer = skvqQuantizer(bits)
        const params = { groupSize, cal: false, clip }
        const count = Math.max(1, Math.floor((shape.kvHeads * shape.headDim) / groupSize))
        const clusters = clustersOf(ends(values, shape), count)
        const streams = room(quantizer.layout(shape, params))
        quantizer.encode(values, shape, params, streams)
        expect(Array.from(streams['clusters'] ?? [])).toEqual(clusters)
        const back = new Float32Array(values.length)
        expect(quantizer.decode(streams, shape, params, back)).toBe(true)
        expect(back.map((x) => x + 0)).toEqual(reference(values, shape, bits, clusters, clip).map((x) => x + 0))
      }),
      { numRuns: 60 },
    )
  })

  it('with a calibration text takes the clusters of that, and makes of a token the same whatever the others are', () => {
    fc.assert(
      fc.property(inputs, inputs, ({ shape, values, groupSize, bits, clip }, { values: others }) => {
        const quantizer = skvqQuantizer(bits)
        const params = { groupSize, cal: true, clip }
        const learnedOn = Float32Array.from({ length: values.length * 3 }, (_, i) => others[i % others.length]!)
        const learnedShape = { ...shape, tokens: shape.tokens * 3 }
        const tables = quantizer.learner?.learn(learnedOn, learnedShape, params) ?? expect.fail('it does not learn')
        const count = Math.max(1, Math.floor((shape.kvHeads * shape.headDim) / groupSize))
        const clusters = clustersOf(ends(learnedOn, learnedShape), count)
        const streams = room(quantizer.layout(shape, params))
        quantizer.encode(values, shape, params, streams, tables)
        const back = new Float32Array(values.length)
        quantizer.decode(streams, shape, params, back)
        expect(back.map((x) => x + 0)).toEqual(reference(values, shape, bits, clusters, clip).map((x) => x + 0))
        const first = { ...shape, tokens: 1 }
        const one = Float32Array.from({ length: shape.kvHeads * shape.headDim }, (_, channel) => valueAt(values, shape, channel, 0))
        const alone = room(quantizer.layout(first, params))
        quantizer.encode(one, first, params, alone, tables)
        quantizer.decode(alone, first, params, one)
        expect(Array.from(one, (x) => x + 0)).toEqual(Array.from(one, (_, channel) => valueAt(back, shape, channel, 0) + 0))
      }),
      { numRuns: 30 },
    )
  })

  it('puts channels of one kind together, which lessens the error of uneven channels', () => {
    const shape: BlockShape = { side: 'key', kvHeads: 2, tokens: 64, headDim: 64, dtype: 'F32' }
    // Every second channel is ten times as wide: groups of neighbours have both in them.
    const values = Float32Array.from({ length: 2 * 64 * 64 }, (_, i) => Math.sin(i * 12.9898) * (i % 2 === 0 ? 10 : 1))
    const error = (groupSize: number): number => {
      const quantizer = skvqQuantizer(3)
      const params = { groupSize, cal: false, clip: 100 }
      const streams = room(quantizer.layout(shape, params))
      quantizer.encode(values, shape, params, streams)
      const back = new Float32Array(values.length)
      quantizer.decode(streams, shape, params, back)
      return values.reduce((sum, x, i) => sum + (i % 2 === 0 ? 0 : (x - back[i]!) ** 2), 0)
    }
    expect(error(64)).toBeLessThan(error(128) / 20)
  })

  it('refuses what E4M3 does not hold, and streams that name no cluster', () => {
    const shape: BlockShape = { side: 'value', kvHeads: 1, tokens: 1, headDim: 16, dtype: 'F32' }
    const quantizer = skvqQuantizer(2)
    const params = { groupSize: 16, cal: false, clip: 100 }
    const streams = room(quantizer.layout(shape, params))
    const values = new Float32Array(16).fill(464)
    quantizer.encode(values, shape, params, streams)
    const back = new Float32Array(16)
    expect(quantizer.decode(streams, shape, params, back)).toBe(true)
    expect(new Set(back)).toEqual(new Set([448]))
    expect(() => quantizer.encode(values.fill(464.5), shape, params, streams)).toThrow(expect.objectContaining({ code: 'OUT_OF_RANGE' }) as Error)
    quantizer.encode(values.fill(1), shape, params, streams)
    for (const [name, code] of [['clusters', 1], ['scales', 0x7f], ['zeros', 0xff]] as const) {
      const damaged = { ...streams, [name]: streams[name]?.slice().fill(code) ?? new Uint8Array() }
      expect(quantizer.decode(damaged, shape, params, back), name).toBe(false)
    }
  })
})
