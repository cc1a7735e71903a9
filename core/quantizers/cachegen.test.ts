import fc from 'fast-check'
import { expect, it } from 'vitest'
import { f16ToF32, f32ToF16 } from '#core/bytes/float.ts'
import { cachegen } from './cachegen.ts'
import type { BlockShape } from './quantizer.ts'

const round = Math.fround

function rne(y: number): number {
  const floor = Math.floor(y)
  const rest = y - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
}

function encoded(values: Float32Array, shape: BlockShape, bins: number): { codes: Uint8Array; scales: Uint16Array; back: Float32Array } {
  const out = { codes: new Uint8Array(values.length), scales: new Uint16Array(shape.tokens) }
  cachegen.encode(values, shape, { bins }, out)
  const back = new Float32Array(values.length)
  expect(cachegen.decode(out, shape, { bins }, back)).toBe(true)
  return { ...out, back }
}

it('is torch_quant_vectorized and do_dequantize of the released code on F16 tensors', () => {
  fc.assert(
    fc.property(
      fc.record({ kvHeads: fc.integer({ min: 1, max: 3 }), tokens: fc.integer({ min: 1, max: 5 }), headDim: fc.constantFrom(4, 8, 24) }),
      fc.constantFrom(4, 8, 16, 32, 64, 256),
      fc.infiniteStream(fc.oneof(fc.double({ min: -8, max: 8, noNaN: true }), fc.integer({ min: -30, max: 30 }).map((k) => k / 4))),
      (sizes, bins, stream) => {
        const shape: BlockShape = { ...sizes, side: 'key', dtype: 'F16' }
        const values = Float32Array.from({ length: shape.kvHeads * shape.tokens * shape.headDim }, () => f16ToF32(f32ToF16(stream.next().value as number)))
        const { codes, scales, back } = encoded(values, shape, bins)
        const max = Math.floor(bins / 2) - 1
        for (let token = 0; token < shape.tokens; token++) {
          // Their tensors are [tokens, channels] with the heads one after the other.
          const places = Array.from({ length: shape.kvHeads * shape.headDim }, (_, c) => (Math.floor(c / shape.headDim) * shape.tokens + token) * shape.headDim + (c % shape.headDim))
          const max1 = Math.max(...places.map((at) => Math.abs(values[at]!)))
          expect(f16ToF32(scales[token]!)).toBe(max1)
          if (max1 === 0) continue
          const factor = round(max / max1)
          const xq = places.map((at) => rne(round(round(values[at]! * factor) + max)))
          expect(places.map((at) => codes[at])).toEqual(xq)
          expect(places.map((at) => back[at]! + 0)).toEqual(xq.map((q) => round(round((q - max) / max) * max1) + 0))
        }
      },
    ),
    { numRuns: 60 },
  )
})

it('uses one bin less than it has', () => {
  const shape: BlockShape = { side: 'key', kvHeads: 1, tokens: 1, headDim: 64, dtype: 'F32' }
  const values = Float32Array.from({ length: 64 }, (_, i) => i / 31.5 - 1)
  for (const bins of [8, 16, 32]) {
    const { codes } = encoded(values, shape, bins)
    expect([Math.min(...codes), Math.max(...codes)]).toEqual([0, bins - 2])
  }
})

it('a code that no encoder writes is no value', () => {
  const shape: BlockShape = { side: 'key', kvHeads: 1, tokens: 1, headDim: 8, dtype: 'F32' }
  const decode = (code: number): boolean => cachegen.decode({ codes: new Uint8Array(8).fill(code), scales: Uint16Array.of(f32ToF16(1)) }, shape, { bins: 32 }, new Float32Array(8))
  expect([decode(30), decode(31)]).toEqual([true, false])
})
