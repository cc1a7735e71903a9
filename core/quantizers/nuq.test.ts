import { describe, expect, it } from 'vitest'
import { f16ToF32, f32ToF16 } from '#core/bytes/float.ts'
import { normal, uniforms } from '../../test/random-numbers.ts'
import { nuqQuantizer } from './nuq.ts'
import type { BlockShape, Side } from './quantizer.ts'

const half = (x: number): number => f16ToF32(f32ToF16(x))
const round = Math.fround
const OWN = { cal: false }

/** Uneven numbers, each channel and token with its own place and width from a seed. */
function numbers({ kvHeads, tokens, headDim }: BlockShape, seed: number): Float32Array {
  const uniform = uniforms(seed)
  const channels = Array.from({ length: kvHeads * headDim }, () => ({ middle: 3 * normal(uniform), width: Math.exp(normal(uniform)) }))
  return Float32Array.from({ length: kvHeads * tokens * headDim }, (_, i) => {
    const { middle, width } = channels[Math.floor(i / (tokens * headDim)) * headDim + (i % headDim)]!
    return middle + width * normal(uniform)
  })
}

/** The places of the values that share a range. */
function rangesOf({ side, kvHeads, tokens, headDim }: BlockShape): number[][] {
  const ranges = Array.from({ length: side === 'key' ? kvHeads * headDim : tokens }, (): number[] => [])
  for (let i = 0; i < kvHeads * tokens * headDim; i++) ranges[side === 'key' ? Math.floor(i / (tokens * headDim)) * headDim + (i % headDim) : Math.floor(i / headDim) % tokens]!.push(i)
  return ranges
}

/** k-means as it is told: each number to the nearest mean, the upper of two, then each mean anew; from quantiles on, until nothing moves or 50 times. */
function kMeans(all: readonly number[], count: number): number[] {
  const sorted = all.toSorted((a, b) => a - b)
  let means = Array.from({ length: count }, (_, k) => sorted[Math.floor(((k + 0.5) * all.length) / count)]!)
  let before = ''
  for (let turn = 0; turn < 50; turn++) {
    const owners = all.map((x) => nearest(x, means))
    if (owners.join() === before) break
    before = owners.join()
    means = means.map((mean, k) => {
      const own = all.filter((_, i) => owners[i] === k)
      return own.length === 0 ? mean : own.reduce((sum, x) => sum + x, 0) / own.length
    })
  }
  return means
}

function nearest(x: number, levels: readonly number[]): number {
  return levels.reduce((best, level, k) => (Math.abs(level - x) <= Math.abs(levels[best]! - x) ? k : best), 0)
}

function moments(all: readonly number[]): { mean: number; deviation: number } {
  const mean = all.reduce((sum, x) => sum + x, 0) / all.length
  return { mean, deviation: Math.sqrt(all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length) }
}

function encoded(values: Float32Array, shape: BlockShape, bits: 2 | 3 | 4): { codes: number[]; levels: number[]; back: Float32Array } {
  const quantizer = nuqQuantizer(bits)
  const layout = quantizer.layout(shape, OWN)
  const size = (name: string): number => (layout[name]?.shape ?? []).reduce((a, b) => a * b, 1)
  const out = { codes: new Uint8Array(size('codes')), scales: new Uint16Array(size('scales')), zeros: new Uint16Array(size('zeros')), levels: new Uint16Array(size('levels')) }
  quantizer.encode(values, shape, OWN, out)
  const back = new Float32Array(values.length)
  expect(quantizer.decode(out, shape, OWN, back)).toBe(true)
  const bit = (i: number): number => (out.codes[i >> 3]! >> (i & 7)) & 1
  const codes = Array.from(values, (_, i) => Array.from({ length: bits }, (_b, k) => bit(i * bits + k) << k).reduce((a, b) => a + b, 0))
  return { codes, levels: Array.from(out.levels, f16ToF32), back }
}

const cases = ([2, 3, 4] as const).flatMap((bits) => (['key', 'value'] as const).map((side) => ({ bits, side })))

describe.each(cases)('nuq$bits, $side', ({ bits, side }) => {
  const shapes: BlockShape[] = [
    { side, kvHeads: 2, tokens: 13, headDim: 16, dtype: 'F32' },
    { side, kvHeads: 3, tokens: 5, headDim: 32, dtype: 'F32' },
    { side, kvHeads: 1, tokens: 64, headDim: 8, dtype: 'F32' },
  ]

  it.each(shapes)('is ranges, k-means, nearest levels: %j', (shape) => {
    const values = numbers(shape, 12345 + shape.tokens)
    const { codes, levels, back } = encoded(values, shape, bits)
    const ranges = rangesOf(shape)
    const parts = new Array<number>(values.length)
    const ends = ranges.map((places) => {
      const own = places.map((at) => values[at]!)
      const [low, high] = [Math.min(...own), Math.max(...own)]
      const z = half(round(round(high + low) / 2))
      const r = half(round(round(high - low) / 2))
      for (const at of places) parts[at] = round(round(values[at]! - z) / r)
      return { z, r }
    })
    const plain = kMeans(parts, 2 ** bits).map(half)
    const due = parts.map((x) => nearest(x, plain))
    expect(codes).toEqual(due)
    if (bits === 2) {
      // Q-Norm: what is decoded has the mean and the deviation of what was rounded, but for the rounding of the levels to F16.
      const [ours, theirs] = [moments(codes.map((code) => levels[code]!)), moments(parts)]
      expect(Math.abs(ours.mean - theirs.mean)).toBeLessThan(2 ** -10)
      expect(Math.abs(ours.deviation - theirs.deviation)).toBeLessThan(2 ** -10)
      const scale = theirs.deviation / moments(due.map((code) => plain[code]!)).deviation
      for (const k of [1, 2, 3]) expect(levels[k]! - levels[0]!).toBeCloseTo(scale * (plain[k]! - plain[0]!), 2)
    } else expect(levels).toEqual(plain)
    for (const [i, places] of ranges.entries()) for (const at of places) expect(back[at]).toBe(round(round(levels[codes[at]!]! * ends[i]!.r) + ends[i]!.z))
  })

  it('learns from nothing, from one value, from constants', () => {
    for (const [tokens, value] of [[1, 2.5], [4, 0], [3, -1e-9]] as const) {
      const shape: BlockShape = { side, kvHeads: 1, tokens, headDim: 8, dtype: 'F32' }
      const { back } = encoded(new Float32Array(8 * tokens).fill(value), shape, bits)
      expect(back.every((x) => x === half(value))).toBe(true)
    }
  })
})

/** Encoded by tables that were learned on other values: codes, and what is decoded. */
function encodedBy(learnedOn: Float32Array, values: Float32Array, shape: BlockShape, bits: 2 | 3 | 4): { levels: number[]; back: Float32Array } {
  const quantizer = nuqQuantizer(bits)
  const params = { cal: true }
  const tables = quantizer.learner?.learn(learnedOn, { ...shape, tokens: learnedOn.length / shape.kvHeads / shape.headDim }, params) ?? expect.fail('it does not learn')
  const layout = quantizer.layout(shape, params)
  const size = (name: string): number => (layout[name]?.shape ?? []).reduce((a, b) => a * b, 1)
  const out = { codes: new Uint8Array(size('codes')), scales: new Uint16Array(size('scales')), zeros: new Uint16Array(size('zeros')), levels: new Uint16Array(size('levels')) }
  quantizer.encode(values, shape, params, out, tables)
  const back = new Float32Array(values.length)
  expect(quantizer.decode(out, shape, params, back)).toBe(true)
  return { levels: Array.from(out.levels, f16ToF32), back }
}

describe.each(cases)('nuq$bits:cal, $side', ({ bits, side }) => {
  const shape: BlockShape = { side, kvHeads: 2, tokens: 9, headDim: 16, dtype: 'F32' }
  const other: BlockShape = { ...shape, tokens: 21 }

  it('learned on the cache itself is as without', () => {
    const values = numbers(shape, 77)
    const plain = encoded(values, shape, bits)
    const own = encodedBy(values, values, shape, bits)
    expect(own.levels).toEqual(plain.levels)
    expect(own.back).toEqual(plain.back)
  })

  it('is ranges and k-means of other values, and the nearest level of these', () => {
    const learnedOn = numbers(other, 5)
    // Twice as wide, so that much lies beyond the ranges of keys.
    const values = numbers(shape, 6).map((x) => 2 * x)
    const ends = (all: Float32Array, of: BlockShape): { z: number; r: number; at: number }[] =>
      rangesOf(of).flatMap((places) => {
        const [low, high] = [Math.min(...places.map((at) => all[at]!)), Math.max(...places.map((at) => all[at]!))]
        return places.map((at) => ({ at, z: half(round(round(high + low) / 2)), r: half(round(round(high - low) / 2)) }))
      })
    const parts = ends(learnedOn, other).map(({ at, z, r }) => round(round(learnedOn[at]! - z) / r))
    const levels = kMeans(parts, 2 ** bits).map(half)
    const { levels: decoded, back } = encodedBy(learnedOn, values, shape, bits)
    if (bits > 2) expect(decoded).toEqual(levels)
    // A key takes the range of its channel in the other values, a value that of its token in these.
    const channel = (at: number, { tokens, headDim }: BlockShape): number => Math.floor(at / (tokens * headDim)) * headDim + (at % headDim)
    const keys = new Map(ends(learnedOn, other).map(({ at, ...range }) => [channel(at, other), range]))
    let beyond = 0
    for (const { at, ...own } of ends(values, shape)) {
      const { z, r } = side === 'key' ? keys.get(channel(at, shape))! : own
      const part = round(round(values[at]! - z) / r)
      if (Math.abs(part) > 1.001) beyond++
      expect(back[at]).toBe(round(round(decoded[nearest(part, levels)]! * r) + z))
    }
    if (side === 'key') expect(beyond).toBeGreaterThan(20)
    else expect(beyond).toBe(0)
  })

  it('makes of a token the same whatever the others are', () => {
    const learnedOn = numbers(other, 8)
    const values = numbers(shape, 9)
    const changed = values.map((x, i) => (Math.floor(i / shape.headDim) % shape.tokens === 4 ? x : 3 - x))
    const [one, two] = [values, changed].map((own) => encodedBy(learnedOn, own, shape, bits).back)
    const token = (all: Float32Array | undefined): number[] => Array.from(all ?? []).filter((_, i) => Math.floor(i / shape.headDim) % shape.tokens === 4)
    expect(token(two)).toEqual(token(one))
    expect(two).not.toEqual(one)
  })
})

it('levels that were learned are nearer to the values than equal steps', () => {
  const shape = { side: 'key', kvHeads: 2, tokens: 256, headDim: 32, dtype: 'F32' } as const
  const values = numbers(shape, 99)
  const { back } = encoded(values, shape, 3)
  const errors = (decode: (x: number, low: number, high: number, at: number) => number): number =>
    rangesOf(shape).reduce((sum, places) => {
      const own = places.map((at) => values[at]!)
      const [low, high] = [Math.min(...own), Math.max(...own)]
      // Each channel by its own width: channels differ by orders.
      return sum + places.reduce((total, at) => total + ((decode(values[at]!, low, high, at) - values[at]!) / (high - low)) ** 2, 0)
    }, 0)
  const uniform = errors((x, low, high) => low + (Math.round(((x - low) / (high - low)) * 7) * (high - low)) / 7)
  expect(errors((_x, _low, _high, at) => back[at]!)).toBeLessThan(0.7 * uniform)
})

it.each(['key', 'value'] as const satisfies readonly Side[])('all that is learned counts: %s', (side) => {
  const shape: BlockShape = { side, kvHeads: 2, tokens: 100, headDim: 64, dtype: 'F32' }
  const bits = 4 + (16 * 16 + 32 * (side === 'key' ? 128 : 100)) / (2 * 100 * 64)
  expect(nuqQuantizer(4).bits(OWN, shape)).toBeCloseTo(bits, 12)
})
