import { describe, expect, it } from 'vitest'
import { f16ToF32 } from '#core/bytes/float.ts'
import { normal, uniforms } from '../../test/random-numbers.ts'
import { gearQuantizer } from './gear.ts'
import { integerQuantizer } from './integer.ts'
import type { BlockShape, Quantizer, StreamArray } from './quantizer.ts'

/** Keys as they are: channels with a place and a width of their own, some values far off. */
function numbers({ kvHeads, tokens, headDim }: BlockShape): Float32Array {
  const uniform = uniforms(2463534242)
  const widths = Array.from({ length: headDim }, () => Math.exp(normal(uniform) / 2))
  return Float32Array.from({ length: kvHeads * tokens * headDim }, (_, i) => widths[i % headDim]! * normal(uniform) * (uniform() < 0.01 ? 8 : 1))
}

function roundTrip(quantizer: Quantizer, values: Float32Array, shape: BlockShape, params: Record<string, number | boolean>): { out: Record<string, StreamArray>; back: Float32Array; error: number } {
  const layout = Object.entries(quantizer.layout(shape, params))
  const out = Object.fromEntries(layout.map(([name, { dtype, shape: sizes }]) => [name, new (dtype === 'U8' ? Uint8Array : Uint16Array)(sizes.reduce((a, b) => a * b, 1))]))
  quantizer.encode(values, shape, params, out)
  const back = new Float32Array(values.length)
  expect(quantizer.decode(out, shape, params, back)).toBe(true)
  return { out, back, error: values.reduce((sum, x, i) => sum + (x - back[i]!) ** 2, 0) }
}

describe.each(['key', 'value'] as const)('%s', (side) => {
  const shape: BlockShape = { side, kvHeads: 2, tokens: 100, headDim: 32, dtype: 'F32' }
  const values = numbers(shape)
  const gear = gearQuantizer(2)
  const own = (rank: number, sparse: number) => ({ group: 32, rank, sparse })

  it('what is decoded is integers, then sparse values, then a product', () => {
    const { out, back } = roundTrip(gear, values, shape, own(3, 6))
    const integers = new Float32Array(values.length)
    integerQuantizer(2).decode(out, shape, { groupSize: 32, asym: true, axisChannel: side === 'key', clip: 100 }, integers)
    const [count, length] = side === 'key' ? [64, 100] : [100, 64]
    const each = Math.floor((length * 6) / 200)
    expect(out['places']!.length).toBe(2 * each * count)
    for (const [k, index] of out['places']!.entries()) {
      const v = Math.floor(k / (2 * each))
      const at = side === 'key' ? (Math.floor(v / 32) * 100 + index) * 32 + (v % 32) : (Math.floor(index / 32) * 100 + v) * 32 + (index % 32)
      integers[at] = f16ToF32(out['sparse']![k]!)
      expect(Math.abs(integers[at] - values[at]!)).toBeLessThanOrEqual(Math.abs(values[at]!) * 2 ** -11)
    }
    for (const [i, x] of back.entries()) {
      const [head, token, channel] = [Math.floor(i / 3200), Math.floor(i / 32) % 100, i % 32]
      const product = [0, 1, 2].reduce((sum, k) => sum + f16ToF32(out['left']![(head * 100 + token) * 3 + k]!) * f16ToF32(out['right']![(head * 32 + channel) * 3 + k]!), 0)
      expect(x).toBeCloseTo(integers[i]! + product, 5)
    }
  })

  it('each of its parts makes the error less, and a correction of full rank makes it rounding', () => {
    const plain = roundTrip(integerQuantizer(2), values, shape, { groupSize: 32, asym: true, axisChannel: side === 'key', clip: 100 }).error
    const [corrected, sparse, both] = [own(4, 0), own(1, 6), own(4, 6)].map((params) => roundTrip(gear, values, shape, params).error) as [number, number, number]
    expect(corrected).toBeLessThan(0.8 * plain)
    expect(sparse).toBeLessThan(0.8 * plain)
    expect(both).toBeLessThan(Math.min(corrected, sparse))
    expect(roundTrip(gear, values, shape, own(32, 6)).error).toBeLessThan(1e-5 * plain)
  })

  it('places that no encoder writes are no values', () => {
    const { out } = roundTrip(gear, values, shape, own(1, 6))
    out['places']![5] = side === 'key' ? 100 : 64
    expect(gear.decode(out, shape, own(1, 6), new Float32Array(values.length))).toBe(false)
  })

  it('a run too short for sparse values has no streams of them, and no more rank than tokens', () => {
    const short: BlockShape = { ...shape, kvHeads: 1, tokens: 2 }
    const layout = gear.layout(short, own(4, 2))
    expect(Object.keys(layout)).toEqual(['codes', 'scales', 'zeros', 'left', 'right'])
    expect(layout['left']!.shape).toEqual([1, 2, 2])
  })
})

it('indices of 16 bits end a run of keys', () => {
  const refused = (side: 'key' | 'value', tokens: number): boolean => gearQuantizer(4).refuse({ group: 64, rank: 4, sparse: 2 }, 64, { side, tokens }) !== null
  expect([refused('key', 65536), refused('key', 65537), refused('value', 65537)]).toEqual([false, true, false])
})
