import { describe, expect, it } from 'vitest'
import { f16ToF32, f32ToF16 } from '#core/bytes/float.ts'
import { sketchSigns } from '#core/kernels/sign-sketch.ts'
import { normals } from '../../test/random-numbers.ts'
import { qjl } from './qjl.ts'
import type { BlockShape, Quantizer } from './quantizer.ts'
import { turboQuantizer } from './turbo.ts'

function roundTrip(quantizer: Quantizer, values: Float32Array, headDim: number, params: Record<string, number | boolean>): { codes: Uint8Array; norms: Uint16Array; back: Float32Array } {
  const rows = values.length / headDim
  const shape: BlockShape = { side: 'key', kvHeads: 1, tokens: rows, headDim, dtype: 'F32' }
  const { codes: { shape: sizes } = { shape: [] } } = quantizer.layout(shape, params)
  const out = { codes: new Uint8Array(sizes.reduce((a, b) => a * b, 1)), norms: new Uint16Array(rows) }
  quantizer.encode(values, shape, params, out)
  const back = new Float32Array(values.length)
  expect(quantizer.decode(out, shape, params, back)).toBe(true)
  return { ...out, back }
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0)

/** S by its definition, [m][headDim]: rounds of signs and of Sylvester's matrix, each rotation times √headDim. */
function sketch(headDim: number, count: number): number[][] {
  const entry = (k: number, i: number): number => ((k & i).toString(2).replaceAll('0', '').length % 2 === 0 ? 1 : -1) / Math.sqrt(headDim)
  const identity = Array.from({ length: headDim }, (_, i) => Array.from({ length: headDim }, (_column, j) => (i === j ? 1 : 0)))
  return sketchSigns(headDim, count).flatMap((rounds) => {
    const rotation = rounds.reduce<number[][]>((matrix, signs) => identity.map((_, k) => identity.map((_row, j) => matrix.reduce((sum, row, i) => sum + entry(k, i) * signs[i]! * row[j]!, 0))), identity)
    return rotation.map((row) => row.map((x) => x * Math.sqrt(headDim)))
  })
}

/** 10 log10 of signal to noise. */
function decibels(values: Float32Array, back: Float32Array): number {
  return -10 * Math.log10(values.reduce((sum, x, i) => sum + (x - back[i]!) ** 2, 0) / dot(values, values))
}

describe.each([{ headDim: 16, signs: 1 }, { headDim: 64, signs: 2 }, { headDim: 32, signs: 3 }])('head size $headDim, $signs signs', ({ headDim, signs }) => {
  const S = sketch(headDim, signs)
  const values = normals(40 * headDim, 7)
  const { codes, norms, back } = roundTrip(qjl, values, headDim, { signs })

  it('each part of S is a rotation times √headDim', () => {
    for (let part = 0; part < signs; part++) {
      const rows = S.slice(part * headDim, (part + 1) * headDim)
      for (const [i, a] of rows.entries()) for (const [j, b] of rows.entries()) expect(dot(a, b)).toBeCloseTo(i === j ? headDim : 0, 8)
    }
  })

  it('keeps the signs of S k and the norm', () => {
    for (let r = 0; r < norms.length; r++) {
      const row = values.subarray(r * headDim, (r + 1) * headDim)
      expect(norms[r]).toBe(f32ToF16(Math.hypot(...row)))
      for (const [i, projection] of S.entries()) {
        const p = dot(projection, row)
        if (Math.abs(p) > 1e-3) expect((codes[(r * S.length + i) >> 3]! >> (i & 7)) & 1).toBe(p > 0 ? 1 : 0)
      }
    }
  })

  it('an inner product with what is decoded is the estimate of the paper', () => {
    const query = normals(headDim, 99)
    const projected = S.map((row) => dot(row, query))
    for (let r = 0; r < norms.length; r++) {
      const kept = S.map((_, i) => 2 * ((codes[(r * S.length + i) >> 3]! >> (i & 7)) & 1) - 1)
      const estimate = (Math.sqrt(Math.PI / 2) / S.length) * f16ToF32(norms[r]!) * dot(projected, kept)
      expect(dot(query, back.subarray(r * headDim, (r + 1) * headDim))).toBeCloseTo(estimate, 3)
    }
  })
})

describe('on normal values', () => {
  const values = normals(2 ** 17, 20240229)

  it.each([1, 2, 4])('the error with %i signs a value is (π/2 - 1) / signs of the signal', (signs) => {
    const { back } = roundTrip(qjl, values, 128, { signs })
    expect(Math.abs(decibels(values, back) + 10 * Math.log10((Math.PI / 2 - 1) / signs))).toBeLessThan(0.1)
  })

  it('the estimate has no bias: what is decoded lies on the row by its full length', () => {
    const { back } = roundTrip(qjl, values, 64, { signs: 2 })
    expect(Math.abs(dot(values, back) / dot(values, values) - 1)).toBeLessThan(0.01)
  })

  it.each([2, 3, 4] as const)('its known harm: %i signs a value are worse than Lloyd-Max levels of as many bits by 3 dB and more', (bits) => {
    const sketched = roundTrip(qjl, values, 64, { signs: bits })
    const turbo = turboQuantizer(bits)
    const shape: BlockShape = { side: 'key', kvHeads: 1, tokens: 1, headDim: 64, dtype: 'F32' }
    expect(qjl.bits({ signs: bits }, shape)).toBe(turbo.bits({ normCorrection: false }, shape))
    expect(decibels(values, roundTrip(turbo, values, 64, { normCorrection: false }).back) - decibels(values, sketched.back)).toBeGreaterThan(3)
  })
})
