import { decodeBf16, decodeF16, decodeF8e4m3, decodeF8e5m2, encodeBf16, encodeF16, encodeF8e4m3, f32ToF8e5m2 } from '#core/bytes/float.ts'
import { firstNonFinite } from './finite.ts'
import type { FloatCodes, SmallFloat } from './kernels.ts'

/** Codes from here on, sign cleared, are no numbers. */
const SPECIAL: Record<SmallFloat, number> = { F16: 0x7c00, BF16: 0x7f80, F8_E4M3: 0x7f, F8_E5M2: 0x7c }

/** Kernels.encodeFloats in TypeScript. */
export function encodeFloats(format: SmallFloat, values: Float32Array, codes: FloatCodes): boolean {
  if (format === 'F16') encodeF16(values, codes as Uint16Array)
  else if (format === 'BF16') encodeBf16(values, codes as Uint16Array)
  else if (format === 'F8_E4M3') encodeF8e4m3(values, codes as Uint8Array)
  else encodeF8e5m2(values, codes as Uint8Array)
  // F8 saturates: an infinity leaves no trace in its code.
  return codes instanceof Uint8Array ? firstNonFinite(values) < 0 : allNumbers(format, codes)
}

/** Kernels.decodeFloats in TypeScript. */
export function decodeFloats(format: SmallFloat, codes: FloatCodes, out: Float32Array): boolean {
  if (format === 'F16') decodeF16(codes as Uint16Array, out)
  else if (format === 'BF16') decodeBf16(codes as Uint16Array, out)
  else if (format === 'F8_E4M3') decodeF8e4m3(codes as Uint8Array, out)
  else decodeF8e5m2(codes as Uint8Array, out)
  return allNumbers(format, codes)
}

/** As f32ToF8e5m2, but that what would be infinite is the largest number. */
function encodeF8e5m2(values: Float32Array, out: Uint8Array): void {
  for (let i = 0; i < values.length; i++) {
    const code = f32ToF8e5m2(values[i]!)
    out[i] = (code & 0x7f) === SPECIAL.F8_E5M2 ? code - 1 : code
  }
}

function allNumbers(format: SmallFloat, codes: FloatCodes): boolean {
  const mask = codes instanceof Uint8Array ? 0x7f : 0x7fff
  let largest = 0
  for (let i = 0; i < codes.length; i++) largest = Math.max(largest, codes[i]! & mask)
  return largest < SPECIAL[format]
}
