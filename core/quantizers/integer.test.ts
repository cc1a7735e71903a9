import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { f16ToF32, f32ToF16 } from '#core/bytes/float.ts'
import { integerQuantizer } from './integer.ts'

const F = Math.fround
const half = (value: number): number => f16ToF32(f32ToF16(value))

/** Round half to even, by cases. */
function rne(y: number): number {
  const floor = Math.floor(y)
  const rest = y - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
}

/** The formulas as they stand, one value at a time, every operation rounded to F32. */
function byTheFormula(row: Float32Array, bits: number, asym: boolean, clip: number): number[] {
  const low = F(Math.min(...row) * F(clip / 100))
  const high = F(Math.max(...row) * F(clip / 100))
  const top = asym ? 2 ** bits - 1 : 2 ** (bits - 1) - 1
  const z = asym ? half(low) : 0
  const s = half(asym ? F(F(high - low) / top) : F(Math.max(-low, high) / top))
  return [...row].map((x) => {
    const q = s === 0 ? 0 : Math.max(asym ? 0 : -top, Math.min(top, rne(F(F(x - z) / s))))
    return F(F(q * s) + z)
  })
}

function quantized(row: Float32Array, bits: 2 | 3 | 4 | 5 | 6 | 7 | 8, asym: boolean, clip: number): number[] {
  const quantizer = integerQuantizer(bits)
  const shape = { side: 'key', kvHeads: 1, tokens: 1, headDim: row.length, dtype: 'F32' } as const
  const params = { groupSize: row.length, asym, axisChannel: false, clip }
  const out = { codes: new Uint8Array((row.length * bits) / 8), scales: new Uint16Array(1), ...(asym ? { zeros: new Uint16Array(1) } : {}) }
  quantizer.encode(row, shape, params, out)
  const decoded = new Float32Array(row.length)
  quantizer.decode(out, shape, params, decoded)
  return [...decoded]
}

const modes = ([2, 3, 4, 5, 6, 7, 8] as const).flatMap((bits) => [false, true].map((asym) => ({ bits, asym })))

describe.each(modes)('int$bits asym=$asym equals its formula', ({ bits, asym }) => {
  const same = (row: Float32Array, clip = 100): void => expect(quantized(row, bits, asym, clip).map((x) => x + 0)).toEqual(byTheFormula(row, bits, asym, clip).map((x) => x + 0))

  it('on ties and their neighbours', () => {
    // Multiples of half a step, and the F32 values next to them: where a double rounding would show.
    const step = fc.constantFrom(1, 0.3, 0.1, 1 / 3, 2 ** -14, 2 ** -24, 3 * 2 ** -24, 7.7e-6, 123.4).map(half)
    const nudge = fc.constantFrom(-1, 0, 0, 1)
    const zero = asym ? fc.constantFrom(0, -1, 0.7, -3, 100).map(half) : fc.constant(0)
    fc.assert(
      fc.property(step, zero, fc.array(fc.tuple(fc.nat(2 ** (bits + 1)), nudge, fc.boolean()), { minLength: 14, maxLength: 14 }), (s, z, ticks) => {
        const top = asym ? 2 ** bits - 1 : 2 ** (bits - 1) - 1
        const inner = ticks.map(([tick, ulps, negative]) => {
          const word = new Int32Array(Float32Array.of((tick % (2 * top)) * (s / 2)).buffer)
          if (word[0]! > 0) word[0]! += ulps
          return new Float32Array(word.buffer)[0]! * (negative && !asym ? -1 : 1)
        })
        same(Float32Array.from([0, s * top, ...inner], (x) => x + z))
      }),
      { numRuns: 150 },
    )
  })

  it('on any numbers, F16-subnormal scales and clamped codes included', () => {
    const scale = fc.constantFrom(1, 1e-3, 1e-6, 1e-7, 3e-8, 1e-40, 1e4)
    const offset = fc.constantFrom(0, 0, 1, -1, 333.3, -4000)
    fc.assert(
      fc.property(scale, offset, fc.array(fc.double({ min: -6, max: 6, noNaN: true }), { minLength: 16, maxLength: 16 }), fc.integer({ min: 50, max: 100 }), (by, from, numbers, clip) => {
        same(Float32Array.from(numbers, (x) => x * by + from), clip)
      }),
      { numRuns: 150 },
    )
  })
})
