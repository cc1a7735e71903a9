/**
 * Codes of 2 to 8 bits as a little-endian bit string: element i lies at bit `bits * i`, least significant bit first.
 * Lengths are multiples of 8, so that every run fills whole bytes. Packing and the arithmetic next to it are one pass: with codes in an
 * array between them they take half as long again.
 */

/*
 * A number below 2^22 plus 1.5 * 2^23 is rounded to a multiple of 2^-29, and plus 1.5 * 2^52 to an integer, ties to even. Taking away both gives
 * that integer, which a conversion then cuts to 32 bits without a change.
 */
const FINE = 1.5 * 2 ** 23
const WHOLE = 1.5 * 2 ** 52

/**
 * Packs the codes rne(numbers[i] * factor) + offset, which must be 0 to 2^bits - 1, of numbers[from..from + length) into `out` from byte `at` on:
 * length * bits / 8 bytes. The product is rounded to 2^-29 first, so that an error of its last bits does not break a tie.
 */
export function packRounded(numbers: Float32Array, from: number, length: number, factor: number, offset: number, bits: number, out: Uint8Array, at: number): void {
  const shift = FINE + WHOLE - offset
  if (bits === 8) pack8(numbers, from, length, factor, shift, out, at)
  else if (bits === 4) pack4(numbers, from, length, factor, shift, out, at)
  else packAny(numbers, from, length, factor, shift, bits, out, at)
}

/** Unpacks `length` codes from byte `at` of `packed` on: out[to + i] = (code - offset) * scale + zero, rounded to F32 at the end alone. */
export function unpackScaled(packed: Uint8Array, at: number, bits: number, offset: number, scale: number, zero: number, out: Float32Array, to: number, length: number): void {
  if (bits === 8) unpack8(packed, at, offset, scale, zero, out, to, length)
  else if (bits === 4) unpack4(packed, at, offset, scale, zero, out, to, length)
  else unpackAny(packed, at, bits, offset, scale, zero, out, to, length)
}

function pack8(numbers: Float32Array, from: number, length: number, factor: number, shift: number, out: Uint8Array, at: number): void {
  for (let i = 0; i < length; i += 4) {
    out[at + i] = numbers[from + i]! * factor + FINE + WHOLE - shift
    out[at + i + 1] = numbers[from + i + 1]! * factor + FINE + WHOLE - shift
    out[at + i + 2] = numbers[from + i + 2]! * factor + FINE + WHOLE - shift
    out[at + i + 3] = numbers[from + i + 3]! * factor + FINE + WHOLE - shift
  }
}

function unpack8(packed: Uint8Array, at: number, offset: number, scale: number, zero: number, out: Float32Array, to: number, length: number): void {
  for (let i = 0; i < length; i += 2) {
    out[to + i] = (packed[at + i]! - offset) * scale + zero
    out[to + i + 1] = (packed[at + i + 1]! - offset) * scale + zero
  }
}

/** Codes are joined as floats, where they still are exact, so that there is one conversion a byte. */
function pack4(numbers: Float32Array, from: number, length: number, factor: number, shift: number, out: Uint8Array, at: number): void {
  for (let i = from; i < from + length; i += 4, at += 2) {
    out[at] = numbers[i]! * factor + FINE + WHOLE - shift + (numbers[i + 1]! * factor + FINE + WHOLE - shift) * 16
    out[at + 1] = numbers[i + 2]! * factor + FINE + WHOLE - shift + (numbers[i + 3]! * factor + FINE + WHOLE - shift) * 16
  }
}

function unpack4(packed: Uint8Array, at: number, offset: number, scale: number, zero: number, out: Float32Array, to: number, length: number): void {
  for (let i = to; i < to + length; i += 2) {
    const byte = packed[at++]!
    out[i] = ((byte & 15) - offset) * scale + zero
    out[i + 1] = ((byte >>> 4) - offset) * scale + zero
  }
}

/** 2 to 7 bits. Eight codes fill `bits` bytes: they are joined by fours, as floats, then to 32 bits and those beyond. */
function packAny(numbers: Float32Array, from: number, length: number, factor: number, shift: number, bits: number, out: Uint8Array, at: number): void {
  const second = 1 << bits
  const third = 1 << (2 * bits)
  const fourth = 1 << (3 * bits)
  const half = 4 * bits
  for (let i = from; i < from + length; i += 8, at += bits) {
    const a = numbers[i]! * factor + FINE + WHOLE - shift
    const b = numbers[i + 1]! * factor + FINE + WHOLE - shift
    const c = numbers[i + 2]! * factor + FINE + WHOLE - shift
    const d = numbers[i + 3]! * factor + FINE + WHOLE - shift
    const lower = (a + b * second + c * third + d * fourth) | 0
    const e = numbers[i + 4]! * factor + FINE + WHOLE - shift
    const f = numbers[i + 5]! * factor + FINE + WHOLE - shift
    const g = numbers[i + 6]! * factor + FINE + WHOLE - shift
    const h = numbers[i + 7]! * factor + FINE + WHOLE - shift
    const upper = (e + f * second + g * third + h * fourth) | 0
    const low = lower | (upper << half)
    const high = upper >>> (32 - half)
    out[at] = low
    out[at + 1] = low >>> 8
    if (bits === 2) continue
    out[at + 2] = low >>> 16
    if (bits === 3) continue
    out[at + 3] = low >>> 24
    out[at + 4] = high
    if (bits === 5) continue
    out[at + 5] = high >>> 8
    if (bits === 7) out[at + 6] = high >>> 16
  }
}

function unpackAny(packed: Uint8Array, at: number, bits: number, offset: number, scale: number, zero: number, out: Float32Array, to: number, length: number): void {
  const mask = (1 << bits) - 1
  const half = 4 * bits
  for (let i = to; i < to + length; i += 8, at += bits) {
    let low = packed[at]! | (packed[at + 1]! << 8)
    let high = 0
    if (bits > 2) low |= packed[at + 2]! << 16
    if (bits > 3) {
      low |= packed[at + 3]! << 24
      high = packed[at + 4]!
      if (bits > 5) high |= packed[at + 5]! << 8
      if (bits > 6) high |= packed[at + 6]! << 16
    }
    const upper = (low >>> half) | (high << (32 - half))
    out[i] = ((low & mask) - offset) * scale + zero
    out[i + 1] = (((low >>> bits) & mask) - offset) * scale + zero
    out[i + 2] = (((low >>> (2 * bits)) & mask) - offset) * scale + zero
    out[i + 3] = (((low >>> (3 * bits)) & mask) - offset) * scale + zero
    out[i + 4] = ((upper & mask) - offset) * scale + zero
    out[i + 5] = (((upper >>> bits) & mask) - offset) * scale + zero
    out[i + 6] = (((upper >>> (2 * bits)) & mask) - offset) * scale + zero
    out[i + 7] = (((upper >>> (3 * bits)) & mask) - offset) * scale + zero
  }
}
