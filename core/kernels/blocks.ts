import { bitsUnder, f16ToF32 } from '#core/bytes/float.ts'
import { findExtremes, findRange, found, largestMagnitude } from './extremes.ts'
import { finiteF16, refuseNonFinite } from './finite.ts'
import type { BlockFormat } from './kernels.ts'

/** Values of one block. */
export const BLOCK = 32

const HALF = BLOCK / 2
const TOP_8 = 127
const FIFTH_BYTES = 4

/** Bytes of one block. */
export function blockBytes(format: BlockFormat): number {
  return format.bits === 8 ? 2 + BLOCK : nibblesAt(format) + HALF
}

/** Bytes of a block before its nibbles. */
function nibblesAt({ bits, affine }: BlockFormat): number {
  return (affine ? 4 : 2) + (bits === 5 ? FIFTH_BYTES : 0)
}

/** Scale and minimum of the block of values[at..at + 32), in F32; the minimum is 0 where the format has none. */
export function blockScale(values: Float32Array, at: number, format: BlockFormat): { d: number; m: number } {
  const d = scaleOf(values, bitsUnder(values), at, format)
  return { d, m: format.affine ? found[0]! : 0 }
}

/** Kernels.quantizeBlocks in TypeScript. */
export function quantizeBlocks(values: Float32Array, format: BlockFormat, blocks: Uint8Array): void {
  refuseNonFinite(values)
  const valueBits = bitsUnder(values)
  const { bits, affine } = format
  const stride = blockBytes(format)
  const before = nibblesAt(format)
  const top = (1 << bits) - 1
  const half = affine ? 0.5 : (1 << (bits - 1)) + 0.5
  for (let at = 0, to = 0; at < values.length; at += BLOCK, to += stride) {
    const d = scaleOf(values, valueBits, at, format)
    const m = affine ? found[0]! : 0
    writeF16(blocks, to, finiteF16(d, 'scale'))
    if (affine) writeF16(blocks, to + 2, finiteF16(m, 'minimum'))
    if (bits === 8) packBytes(values, valueBits, at, reciprocal(d), blocks, to + 2)
    else {
      const fifths = packNibbles(values, at, m, reciprocal(d), half, top, blocks, to + before)
      if (bits === 5) writeWord(blocks, to + before - FIFTH_BYTES, fifths)
    }
  }
}

/** Kernels.dequantizeBlocks in TypeScript. */
export function dequantizeBlocks(blocks: Uint8Array, format: BlockFormat, out: Float32Array): boolean {
  const { bits, affine } = format
  const stride = blockBytes(format)
  const before = nibblesAt(format)
  const middle = affine ? 0 : 1 << (bits - 1)
  let finite = true
  for (let at = 0, from = 0; at < out.length; at += BLOCK, from += stride) {
    const d = readF16(blocks, from)
    // Adding -0 changes nothing, not even the sign of a zero.
    const m = affine ? readF16(blocks, from + 2) : -0
    finite &&= Number.isFinite(d) && Number.isFinite(m)
    if (bits === 8) for (let i = 0; i < BLOCK; i++) out[at + i] = ((blocks[from + 2 + i]! << 24) >> 24) * d
    else unpackNibbles(blocks, from + before, bits === 5 ? readWord(blocks, from + before - FIFTH_BYTES) : 0, middle, d, m, out, at)
  }
  return finite
}

function scaleOf(values: Float32Array, valueBits: Int32Array, at: number, { bits, affine }: BlockFormat): number {
  if (bits === 8) return Math.fround(largestMagnitude(valueBits, at, BLOCK) / TOP_8)
  return affine ? affineScale(values, valueBits, at, bits) : signedScale(values, valueBits, at, bits)
}

/** Scale of a `_0` block: the first value of largest magnitude over minus 2^(bits-1). */
function signedScale(values: Float32Array, valueBits: Int32Array, at: number, bits: number): number {
  findExtremes(valueBits, at, BLOCK)
  const low = found[0]!
  const high = found[1]!
  const signed = high > -low ? high : high < -low ? low : firstOf(values, at, high)
  return Math.fround(signed / -(1 << (bits - 1)))
}

/** The first value of a block with this magnitude; 0 has no sign. */
function firstOf(values: Float32Array, at: number, magnitude: number): number {
  let i = at
  while (Math.abs(values[i]!) !== magnitude) i++
  return magnitude === 0 ? 0 : values[i]!
}

/** Scale of a `_1` block; its minimum is found[0]. */
function affineScale(values: Float32Array, valueBits: Int32Array, at: number, bits: number): number {
  findRange(values, valueBits, at, BLOCK)
  return Math.fround(Math.fround(found[1]! - found[0]!) / ((1 << bits) - 1))
}

/** 1 / d in F32, 0 for 0; also 0 where it overflows, which C leaves undefined: such a d is 0 in F16 and every code decodes to the same. */
function reciprocal(d: number): number {
  const inverse = Math.fround(1 / d)
  return Number.isFinite(inverse) ? inverse : 0
}

function packBytes(values: Float32Array, valueBits: Int32Array, at: number, inverse: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < BLOCK; i++) {
    // The sign by a mask: a branch on a random sign costs more than the arithmetic.
    const sign = valueBits[at + i]! >> 31
    out[to + i] = ((Math.abs(Math.fround(values[at + i]! * inverse)) + 0.5) ^ sign) - sign
  }
}

/**
 * Packs the low four bits of a block's codes and returns the fifth ones, element j at bit j. A code comes by adding a half (and the middle code)
 * in F32 and cutting off, as C does.
 */
function packNibbles(values: Float32Array, at: number, m: number, inverse: number, half: number, top: number, out: Uint8Array, to: number): number {
  let fifths = 0
  for (let j = 0; j < HALF; j++) {
    const low = Math.fround(Math.fround(Math.fround(values[at + j]! - m) * inverse) + half) | 0
    const high = Math.fround(Math.fround(Math.fround(values[at + j + HALF]! - m) * inverse) + half) | 0
    const a = low > top ? top : low
    const b = high > top ? top : high
    out[to + j] = (a & 15) | (b << 4)
    fifths |= ((a >>> 4) << j) | ((b >>> 4) << (j + HALF))
  }
  return fifths
}

function unpackNibbles(blocks: Uint8Array, from: number, fifths: number, middle: number, d: number, m: number, out: Float32Array, at: number): void {
  for (let j = 0; j < HALF; j++) {
    const byte = blocks[from + j]!
    const low = (byte & 15) | (((fifths >>> j) & 1) << 4)
    const high = (byte >>> 4) | (((fifths >>> (j + HALF)) & 1) << 4)
    out[at + j] = (low - middle) * d + m
    out[at + j + HALF] = (high - middle) * d + m
  }
}

/** Writes 16 bits little-endian at byte `at`. */
export function writeF16(out: Uint8Array, at: number, bits: number): void {
  out[at] = bits
  out[at + 1] = bits >>> 8
}

/** Value of the little-endian F16 at byte `at`. */
export function readF16(bytes: Uint8Array, at: number): number {
  return f16ToF32(bytes[at]! | (bytes[at + 1]! << 8))
}

function writeWord(out: Uint8Array, at: number, word: number): void {
  for (let k = 0; k < FIFTH_BYTES; k++) out[at + k] = word >>> (8 * k)
}

function readWord(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}
