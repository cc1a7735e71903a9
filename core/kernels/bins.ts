import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from './finite.ts'

/** Plus and minus this rounds a number below 2^51 to an integer, ties to even. */
const WHOLE = 1.5 * 2 ** 52

/** A layer [heads, tokens, headDim] of which the values of a token over all heads share a scale. */
export type TokenScales = { readonly heads: number; readonly tokens: number; readonly headDim: number }

/**
 * Codes of a layer, a byte each: m = f16(absmax of the token), q = rne(fround(fround(x fround(top / m)) + top)), limited to 0..2 top; top where m is 0.
 * Throws LabError NOT_FINITE for the first NaN or infinity, OUT_OF_RANGE where F16 cannot hold a scale.
 */
export function quantizeBins(values: Float32Array, { heads, tokens, headDim }: TokenScales, top: number, codes: Uint8Array, scales: Uint16Array): void {
  refuseNonFinite(values)
  for (let token = 0; token < tokens; token++) {
    let most = 0
    for (let head = 0; head < heads; head++) {
      const at = (head * tokens + token) * headDim
      for (let i = at; i < at + headDim; i++) most = Math.max(most, Math.abs(values[i]!))
    }
    scales[token] = finiteF16(most, 'scale')
    const factor = scales[token] === 0 ? 0 : Math.fround(top / f16ToF32(scales[token]!))
    for (let head = 0; head < heads; head++) {
      const at = (head * tokens + token) * headDim
      for (let i = at; i < at + headDim; i++) {
        const q = Math.fround(Math.fround(values[i]! * factor) + top) + WHOLE - WHOLE
        codes[i] = Math.max(0, Math.min(2 * top, q))
      }
    }
  }
}

/** x' = fround(fround((q - top) / top) m). Returns whether every scale is finite and every code within the bins. */
export function dequantizeBins(codes: Uint8Array, scales: Uint16Array, { heads, tokens, headDim }: TokenScales, top: number, out: Float32Array): boolean {
  const parts = Float32Array.from({ length: 256 }, (_, q) => (q - top) / top)
  let largest = 0
  for (let head = 0, at = 0; head < heads; head++) {
    for (let token = 0; token < tokens; token++) {
      const m = f16ToF32(scales[token]!)
      for (const end = at + headDim; at < end; at++) {
        largest = Math.max(largest, codes[at]!)
        out[at] = parts[codes[at]!]! * m
      }
    }
  }
  return largest <= 2 * top && scales.every(isFiniteF16)
}
