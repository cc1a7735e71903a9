import { decodeBf16, decodeF16, decodeF8e4m3, encodeBf16, encodeF16, encodeF8e4m3 } from '#core/bytes/float.ts'
import { firstNonFinite } from './finite.ts'
import type { FloatCodes, SmallFloat } from './kernels.ts'

/** Codes from here on, sign cleared, are no numbers. */
const SPECIAL: Record<SmallFloat, number> = { F16: 0x7c00, BF16: 0x7f80, F8_E4M3: 0x7f }

/** Kernels.encodeFloats in TypeScript. */
export function encodeFloats(format: SmallFloat, values: Float32Array, codes: FloatCodes): boolean {
  if (format === 'F16') encodeF16(values, codes as Uint16Array)
  else if (format === 'BF16') encodeBf16(values, codes as Uint16Array)
  else encodeF8e4m3(values, codes as Uint8Array)
  // F8 E4M3 saturates: an infinity leaves no trace in its code.
  return format === 'F8_E4M3' ? firstNonFinite(values) < 0 : allNumbers(format, codes)
}

/** Kernels.decodeFloats in TypeScript. */
export function decodeFloats(format: SmallFloat, codes: FloatCodes, out: Float32Array): boolean {
  if (format === 'F16') decodeF16(codes as Uint16Array, out)
  else if (format === 'BF16') decodeBf16(codes as Uint16Array, out)
  else decodeF8e4m3(codes as Uint8Array, out)
  return allNumbers(format, codes)
}

function allNumbers(format: SmallFloat, codes: FloatCodes): boolean {
  const mask = format === 'F8_E4M3' ? 0x7f : 0x7fff
  let largest = 0
  for (let i = 0; i < codes.length; i++) largest = Math.max(largest, codes[i]! & mask)
  return largest < SPECIAL[format]
}
