import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { f16ToF32, f32ToF16 } from '#core/bytes/float.ts'
import { kiviQuantizer } from './kivi.ts'
import type { BlockShape, Side } from './quantizer.ts'

/** Rounding after each operation: to F16, as KIVI's tensors are, or to F32. */
type Rounding = (value: number) => number
const half: Rounding = (value) => f16ToF32(f32ToF16(value))

function rne(y: number): number {
  const floor = Math.floor(y)
  const rest = y - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
}

/** new_pack.py on one group: minimum, scale, codes and what they are unpacked to. Scale and minimum are F16 in either case. */
function newPack(group: readonly number[], bits: number, round: Rounding): { codes: number[]; back: number[] } {
  const top = 2 ** bits - 1
  const mn = half(Math.min(...group))
  const scale = half(round(round(Math.max(...group)) - Math.min(...group)) / top)
  const codes = group.map((x) => (scale === 0 ? 0 : rne(Math.max(0, Math.min(top, round(round(x - mn) / scale))))))
  return { codes, back: codes.map((q) => round(round(q * scale) + mn)) }
}

/** Places of the values of each group of a head: of keys g tokens of a channel, of values g channels of a token. */
function groupsOf({ side, tokens, headDim }: BlockShape, g: number): number[][] {
  const [outer, inner] = side === 'key' ? [headDim, tokens] : [tokens, headDim]
  const place = (o: number, i: number): number => (side === 'key' ? i * headDim + o : o * headDim + i)
  const all: number[][] = []
  for (let o = 0; o < outer; o++) for (let i = 0; i < inner; i += g) all.push(Array.from({ length: g }, (_, k) => place(o, i + k)))
  return all
}

function quantized(values: Float32Array, shape: BlockShape, bits: 2 | 4, group: number): { codes: number[]; back: Float32Array } {
  const quantizer = kiviQuantizer(bits)
  const params = { group, residual: 128 }
  const layout = quantizer.layout(shape, params)
  const size = (name: string): number => (layout[name]?.shape ?? []).reduce((a, b) => a * b, 1)
  const out = { codes: new Uint8Array(size('codes')), scales: new Uint16Array(size('scales')), zeros: new Uint16Array(size('zeros')) }
  quantizer.encode(values, shape, params, out)
  const back = new Float32Array(values.length)
  expect(quantizer.decode(out, shape, params, back)).toBe(true)
  const codes = Array.from(values, (_, i) => (out.codes[Math.floor((i * bits) / 8)]! >> ((i * bits) % 8)) & (2 ** bits - 1))
  return { codes, back }
}

const cases = ([2, 4] as const).flatMap((bits) => (['key', 'value'] as const).map((side) => ({ bits, side })))

describe.each(cases)('kivi$bits, $side', ({ bits, side }) => {
  const shape: BlockShape = { side, kvHeads: 1, tokens: 32, headDim: 32, dtype: 'F16' }
  const numbers = fc.array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: 1024, maxLength: 1024 })

  it('is the arithmetic of new_pack.py where its tensors are F32 and its scales F16', () => {
    fc.assert(
      fc.property(numbers, fc.constantFrom(16, 32), fc.constantFrom(0, 50), (some, g, from) => {
        const values = Float32Array.from(some, (x) => x + from)
        const { codes, back } = quantized(values, shape, bits, g)
        for (const places of groupsOf(shape, g)) {
          const due = newPack(places.map((at) => values[at]!), bits, Math.fround)
          expect(places.map((at) => codes[at])).toEqual(due.codes)
          expect(places.map((at) => back[at]! + 0)).toEqual(due.back.map((x) => x + 0))
        }
      }),
      { numRuns: 10 },
    )
  })

  it('differs from it on F16 tensors only next to the middle of two codes, and by no more than F16 rounds', () => {
    let others = 0
    let all = 0
    fc.assert(
      fc.property(numbers, (some) => {
        const values = Float32Array.from(some, half)
        const { codes, back } = quantized(values, shape, bits, 32)
        for (const places of groupsOf(shape, 32)) {
          const due = newPack(places.map((at) => values[at]!), bits, half)
          const step = (Math.max(...places.map((at) => values[at]!)) - Math.min(...places.map((at) => values[at]!))) / (2 ** bits - 1)
          for (const [i, at] of places.entries()) {
            all++
            if (codes[at] === due.codes[i]) expect(Math.abs(back[at]! - due.back[i]!)).toBeLessThan(2 ** -7)
            else {
              others++
              expect(Math.abs(codes[at]! - due.codes[i]!)).toBe(1)
              expect(Math.abs(Math.abs(values[at]! - back[at]!) - step / 2)).toBeLessThan(2 ** -6)
            }
          }
        }
      }),
      { numRuns: 10 },
    )
    expect(others / all).toBeLessThan(0.03)
  })
})

describe('what is settled', () => {
  /** One token after another, as llama_kivi.py decodes: keys are flushed when there are r of them, of values the oldest beyond r is quantised. */
  function decoded(tokens: number, r: number): Record<Side, number> {
    const quantised = { key: 0, value: 0 }
    const kept = { key: 0, value: 0 }
    for (let token = 0; token < tokens; token++) {
      kept.key++
      kept.value++
      if (kept.key === r) {
        quantised.key += r
        kept.key = 0
      }
      if (kept.value > r) {
        quantised.value++
        kept.value--
      }
    }
    return quantised
  }

  it.each([16, 32, 128])('with r = %i it is what decoding token by token leaves, for every length around its multiples', (residual) => {
    const quantizer = kiviQuantizer(2)
    for (let tokens = 0; tokens <= 3 * residual + 2; tokens++) {
      const due = decoded(tokens, residual)
      expect({ tokens, key: quantizer.settled?.(tokens, 'key', { group: 16, residual }), value: quantizer.settled?.(tokens, 'value', { group: 16, residual }) }).toEqual({ tokens, ...due })
    }
  })
})
