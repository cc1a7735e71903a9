/**
 * The small float formats of tensors, to and from F32.
 * F16: IEEE 754 binary16. BF16: the upper half of an F32. F8 E4M3 (the `fn` variant: no infinities, largest value 448, NaN 0x7f and 0xff)
 * and E5M2 (IEEE-like, largest 57344): Micikevicius et al., "FP8 Formats for Deep Learning", arXiv 2209.05433.
 * Encoding rounds to nearest, ties to even, from the F32 value; every NaN becomes the one positive quiet NaN of the format.
 */

const f32 = new Float32Array(1)
const i32 = new Int32Array(f32.buffer)

const F32_INFINITY = 0x7f800000

/** Bits of `value` rounded to F32. */
function bitsOf(value: number): number {
  f32[0] = value
  return i32[0] ?? 0
}

/** The bits of an F32 array under the same memory. */
export function bitsUnder(values: Float32Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length)
}

/** `mantissa / 2^shift` rounded to nearest even; shift is 1..31. */
function shiftRounded(mantissa: number, shift: number): number {
  const whole = mantissa >>> shift
  const rest = mantissa & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return rest > half || (rest === half && (whole & 1) === 1) ? whole + 1 : whole
}

/**
 * Code of a magnitude (F32 bits, sign cleared) in a format with `mantissaBits` and `bias`, before its overflow rule.
 * A mantissa that rounds up carries into the exponent, which is the right code; so does a subnormal that becomes normal.
 */
function magnitudeCode(magnitude: number, mantissaBits: number, bias: number): number {
  const exponent = (magnitude >>> 23) - 127 + bias
  const drop = 23 - mantissaBits
  if (exponent >= 1) return shiftRounded(magnitude - ((127 - bias) << 23), drop)
  const shift = drop + 1 - exponent
  return shift > 25 ? 0 : shiftRounded((magnitude & 0x7fffff) | 0x800000, shift)
}

function f16Code(bits: number): number {
  const magnitude = bits & 0x7fffffff
  const sign = (bits >>> 16) & 0x8000
  // The common case by itself: normal in F16 (from 2^-14) and below 65536, which is where infinity starts.
  if (magnitude >= 0x38800000 && magnitude < 0x47800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
  if (magnitude > F32_INFINITY) return 0x7e00
  return sign | (magnitude >= 0x47800000 ? 0x7c00 : magnitudeCode(magnitude, 10, 15))
}

function bf16Code(bits: number): number {
  if ((bits & 0x7fffffff) > F32_INFINITY) return 0x7fc0
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

function f8e4m3Code(bits: number): number {
  const magnitude = bits & 0x7fffffff
  const sign = (bits >>> 24) & 0x80
  if (magnitude > F32_INFINITY) return 0x7f
  // 0x43e00000 is 448.
  if (magnitude >= 0x43e00000) return sign | 0x7e
  // Normal from 2^-6.
  if (magnitude >= 0x3c800000) return sign | ((magnitude - 0x3c000000 + 0x7ffff + ((magnitude >>> 20) & 1)) >>> 20)
  return sign | magnitudeCode(magnitude, 3, 7)
}

function f8e5m2Code(bits: number): number {
  const magnitude = bits & 0x7fffffff
  const sign = (bits >>> 24) & 0x80
  if (magnitude > F32_INFINITY) return 0x7e
  // 0x47800000 is 65536, beyond the last exponent.
  return sign | (magnitude >= 0x47800000 ? 0x7c : magnitudeCode(magnitude, 2, 15))
}

/** Value of a magnitude code of a format without regard to its infinities and NaNs. */
function magnitudeValue(code: number, mantissaBits: number, bias: number): number {
  const exponent = code >>> mantissaBits
  const fraction = (code & ((1 << mantissaBits) - 1)) / (1 << mantissaBits)
  return exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias)
}

/** All values of a format: `special` gives those of its codes that are no plain numbers. */
function valueTable(bits: number, mantissaBits: number, bias: number, special: (magnitude: number) => number | undefined): Float32Array {
  const half = 1 << (bits - 1)
  return Float32Array.from({ length: 2 * half }, (_, code) => {
    const magnitude = code & (half - 1)
    const value = special(magnitude) ?? magnitudeValue(magnitude, mantissaBits, bias)
    return code < half ? value : -value
  })
}

let f16Table: Float32Array | null = null
/** Made when it is first needed: it takes longer than the start of many a command. */
function f16Values(): Float32Array {
  return (f16Table ??= valueTable(16, 10, 15, (m) => (m < 0x7c00 ? undefined : m === 0x7c00 ? Infinity : NaN)))
}
const F8_E4M3_VALUES = valueTable(8, 3, 7, (m) => (m === 0x7f ? NaN : undefined))
const F8_E5M2_VALUES = valueTable(8, 2, 15, (m) => (m < 0x7c ? undefined : m === 0x7c ? Infinity : NaN))

/** Value of 16 bits of F16. */
export function f16ToF32(bits: number): number {
  return f16Values()[bits & 0xffff] ?? NaN
}

/** F16 bits of the F32 nearest to `value`; from 65520 on infinity. */
export function f32ToF16(value: number): number {
  return f16Code(bitsOf(value))
}

/** Value of 16 bits of BF16. */
export function bf16ToF32(bits: number): number {
  i32[0] = bits << 16
  return f32[0] ?? NaN
}

/** BF16 bits of the F32 nearest to `value`. */
export function f32ToBf16(value: number): number {
  return bf16Code(bitsOf(value))
}

/** Value of 8 bits of F8 E4M3. */
export function f8e4m3ToF32(bits: number): number {
  return F8_E4M3_VALUES[bits & 0xff] ?? NaN
}

/** F8 E4M3 bits of the F32 nearest to `value`; saturates at ±448, infinities too; NaN is 0x7f. */
export function f32ToF8e4m3(value: number): number {
  return f8e4m3Code(bitsOf(value))
}

/** Value of 8 bits of F8 E5M2. */
export function f8e5m2ToF32(bits: number): number {
  return F8_E5M2_VALUES[bits & 0xff] ?? NaN
}

/** F8 E5M2 bits of the F32 nearest to `value`; from 61440 on infinity; NaN is 0x7e. */
export function f32ToF8e5m2(value: number): number {
  return f8e5m2Code(bitsOf(value))
}

/** F16 bits to F32 values; `out` is at least as long as `bits`. */
export function decodeF16(bits: Uint16Array, out: Float32Array): void {
  const values = f16Values()
  for (let i = 0; i < bits.length; i++) out[i] = values[bits[i] ?? 0] ?? 0
}

/** F32 values to F16 bits, as f32ToF16; `out` is at least as long as `values`. */
export function encodeF16(values: Float32Array, out: Uint16Array): void {
  const source = bitsUnder(values)
  for (let i = 0; i < source.length; i++) out[i] = f16Code(source[i] ?? 0)
}

/** BF16 bits to F32 values; `out` is at least as long as `bits`. */
export function decodeBf16(bits: Uint16Array, out: Float32Array): void {
  const target = bitsUnder(out)
  for (let i = 0; i < bits.length; i++) target[i] = (bits[i] ?? 0) << 16
}

/** F32 values to BF16 bits, as f32ToBf16; `out` is at least as long as `values`. */
export function encodeBf16(values: Float32Array, out: Uint16Array): void {
  const source = bitsUnder(values)
  for (let i = 0; i < source.length; i++) out[i] = bf16Code(source[i] ?? 0)
}

/** F8 E4M3 bits to F32 values; `out` is at least as long as `bits`. */
export function decodeF8e4m3(bits: Uint8Array, out: Float32Array): void {
  for (let i = 0; i < bits.length; i++) out[i] = F8_E4M3_VALUES[bits[i] ?? 0] ?? 0
}

/** F32 values to F8 E4M3 bits, as f32ToF8e4m3; `out` is at least as long as `values`. */
export function encodeF8e4m3(values: Float32Array, out: Uint8Array): void {
  const source = bitsUnder(values)
  for (let i = 0; i < source.length; i++) out[i] = f8e4m3Code(source[i] ?? 0)
}

/** F8 E5M2 bits to F32 values; `out` is at least as long as `bits`. */
export function decodeF8e5m2(bits: Uint8Array, out: Float32Array): void {
  for (let i = 0; i < bits.length; i++) out[i] = F8_E5M2_VALUES[bits[i] ?? 0] ?? 0
}
