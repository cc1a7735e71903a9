import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bf16ToF32,
  decodeBf16,
  decodeF16,
  decodeF8e4m3,
  decodeF8e5m2,
  encodeBf16,
  encodeF16,
  encodeF8e4m3,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  f32ToF8e4m3,
  f32ToF8e5m2,
  f8e4m3ToF32,
  f8e5m2ToF32,
} from './float.ts'

type Golden = { f32: number[]; encode: Record<string, number[]>; decode: Record<string, number[]>; decodeSha256: Record<string, string> }
const golden = JSON.parse(readFileSync(new URL('../../test/golden/float/float.json', import.meta.url), 'utf8')) as Golden

type Format = {
  name: string
  patterns: number
  decode: (bits: number) => number
  encode: (value: number) => number
  quietNaN: number
  /** Code from which on a magnitude is no number. */
  firstSpecial: number
  saturates: boolean
}
const formats: Format[] = [
  { name: 'F16', patterns: 65536, decode: f16ToF32, encode: f32ToF16, quietNaN: 0x7e00, firstSpecial: 0x7c00, saturates: false },
  { name: 'BF16', patterns: 65536, decode: bf16ToF32, encode: f32ToBf16, quietNaN: 0x7fc0, firstSpecial: 0x7f80, saturates: false },
  { name: 'F8_E4M3', patterns: 256, decode: f8e4m3ToF32, encode: f32ToF8e4m3, quietNaN: 0x7f, firstSpecial: 0x7f, saturates: true },
  { name: 'F8_E5M2', patterns: 256, decode: f8e5m2ToF32, encode: f32ToF8e5m2, quietNaN: 0x7e, firstSpecial: 0x7c, saturates: false },
]

const words = Uint32Array.from(golden.f32)
const values = new Float32Array(words.buffer)

/** The definition, slowly: the nearest of all values of the format, of two equally near the even code. */
function slowCode(format: Format, ordered: readonly number[], value: number): number {
  if (Number.isNaN(value)) return format.quietNaN
  const sign = value < 0 || Object.is(value, -0) ? format.patterns / 2 : 0
  const magnitude = Math.abs(value)
  let low = 0
  let high = ordered.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((ordered[middle] ?? Infinity) <= magnitude) low = middle
    else high = middle - 1
  }
  const below = ordered[low] ?? NaN
  const above = ordered[low + 1]
  if (above === undefined) {
    // Beyond the largest value: infinity, unless the magnitude rounds down from where the next value would be.
    const step = below - (ordered[low - 1] ?? NaN)
    return sign | (format.saturates || magnitude - below < step / 2 ? low : format.firstSpecial)
  }
  const up = magnitude - below > above - magnitude || (magnitude - below === above - magnitude && low % 2 === 1)
  return sign | (up ? low + 1 : low)
}

describe.each(formats)('$name', (format) => {
  const { name, patterns, decode, encode, quietNaN, firstSpecial } = format
  const ordered = Array.from({ length: firstSpecial }, (_, code) => decode(code))

  it('every pattern survives decode and encode; every NaN becomes the quiet one', () => {
    const wrong = Array.from({ length: patterns }, (_, bits) => bits).filter((bits) => {
      const value = decode(bits)
      return encode(value) !== (Number.isNaN(value) ? quietNaN : bits)
    })
    expect(wrong).toEqual([])
  })

  it('values grow with the code', () => {
    expect(ordered.every((value, code) => code === 0 || value > (ordered[code - 1] ?? Infinity))).toBe(true)
  })

  it('agrees with numpy and ml_dtypes', () => {
    expect(Array.from(values, encode)).toEqual(golden.encode[name])
    const decoded = Float32Array.from({ length: patterns }, (_, bits) => decode(bits))
    const bits = new Uint32Array(decoded.buffer).map((word, i) => (Number.isNaN(decoded[i]) ? 0x7fc00000 : word))
    if (patterns === 256) expect(Array.from(bits)).toEqual(golden.decode[name])
    else expect(createHash('sha256').update(bits).digest('hex')).toBe(golden.decodeSha256[name])
  })

  it('rounds halfway cases to even', () => {
    for (let code = 0; code + 1 < firstSpecial; code++) {
      const tie = ((ordered[code] ?? NaN) + (ordered[code + 1] ?? NaN)) / 2
      // The tie of the two smallest BF16 is below what F32 holds exactly only at code 0.
      if (Math.fround(tie) !== tie) continue
      const even = code % 2 === 0 ? code : code + 1
      if (encode(tie) !== even || encode(-tie) !== (even | (patterns / 2))) throw new Error(`${name}: tie above code ${code} is ${encode(tie)}`)
    }
  })

  it('agrees with the definition on any F32', () => {
    fc.assert(
      fc.property(fc.oneof(fc.float(), fc.float({ min: -500, max: 500 }), fc.float({ min: Math.fround(-1e-4), max: Math.fround(1e-4) })), (value) => {
        expect(encode(value)).toBe(slowCode(format, ordered, value))
      }),
      { numRuns: 500 },
    )
  })

  it('rounds from the F32 of a double', () => {
    expect(encode(1 + 2 ** -40)).toBe(encode(1))
    expect(encode(-(1 + 2 ** -40))).toBe(encode(-1))
  })
})

describe('limits', () => {
  it('F16 and E5M2 go to infinity where the reference does, E4M3 saturates', () => {
    expect([65504, 65519.99, 65520, 1e9].map(f32ToF16)).toEqual([0x7bff, 0x7bff, 0x7c00, 0x7c00])
    expect([57344, 61439, 61440, Infinity].map(f32ToF8e5m2)).toEqual([0x7b, 0x7b, 0x7c, 0x7c])
    expect([448, 464, 480, 1e9, Infinity, -Infinity].map(f32ToF8e4m3)).toEqual([0x7e, 0x7e, 0x7e, 0x7e, 0x7e, 0xfe])
    expect([3.3895314e38, 3.4e38, Infinity].map(f32ToBf16)).toEqual([0x7f7f, 0x7f80, 0x7f80])
  })
})

describe('array forms', () => {
  const all16 = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
  const all8 = Uint8Array.from({ length: 256 }, (_, bits) => bits)

  it.each([
    ['F16', decodeF16, f16ToF32],
    ['BF16', decodeBf16, bf16ToF32],
  ] as const)('%s decodes as its scalar', (_, decode, scalar) => {
    const out = new Float32Array(65536)
    decode(all16, out)
    expect(out.findIndex((value, i) => !Object.is(value, scalar(i)))).toBe(-1)
  })

  it.each([
    ['F8_E4M3', decodeF8e4m3, f8e4m3ToF32],
    ['F8_E5M2', decodeF8e5m2, f8e5m2ToF32],
  ] as const)('%s decodes as its scalar', (_, decode, scalar) => {
    const out = new Float32Array(256)
    decode(all8, out)
    expect(Array.from(out)).toEqual(Array.from(all8, scalar))
  })

  it('encode as their scalars, also from a view that does not start at 0', () => {
    const view = new Float32Array(values.length + 3).subarray(3)
    view.set(values)
    const out16 = new Uint16Array(view.length)
    encodeF16(view, out16)
    expect(Array.from(out16)).toEqual(golden.encode['F16'])
    encodeBf16(view, out16)
    expect(Array.from(out16)).toEqual(golden.encode['BF16'])
    const out8 = new Uint8Array(view.length)
    encodeF8e4m3(view, out8)
    expect(Array.from(out8)).toEqual(golden.encode['F8_E4M3'])
  })
})
