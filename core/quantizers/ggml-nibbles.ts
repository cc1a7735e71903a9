import { bitsUnder, f16ToF32 } from '#core/bytes/float.ts'
import { findExtremes, findRange, found } from './extremes.ts'
import { BLOCK, blockQuantizer, readF16, reciprocal, writeF16 } from './ggml-blocks.ts'
import type { Quantizer } from './quantizer.ts'
import { finiteF16 } from './streams.ts'

const HALF = BLOCK / 2
const FIFTH_BYTES = 4

/**
 * The 4- and 5-bit cache types of ggml. `_0`: d = (the value of largest magnitude, with its sign) / -2^(bits-1), x' = (q - 2^(bits-1)) d.
 * `_1`: m = min, d = (max - min) / (2^bits - 1), x' = q d + m. Quantised with the F32 d and m, decoded with the F16 ones.
 * Block: F16 d; F16 m (`_1`); 4 bytes with the fifth bits, element j at bit j (5 bits); 16 bytes with elements j | j + 16 << 4.
 */
export function nibbleQuantizer(bits: 4 | 5, affine: boolean): Quantizer<Record<never, never>> {
  const id = `q${bits}_${affine ? 1 : 0}`
  const top = (1 << bits) - 1
  const middle = affine ? 0 : 1 << (bits - 1)
  const scaleOf = affine ? affineScale : signedScale
  const fifthsAt = affine ? 4 : 2
  const nibblesAt = fifthsAt + (bits === 5 ? FIFTH_BYTES : 0)
  const blockBytes = nibblesAt + HALF

  return blockQuantizer({
    id,
    label: `ggml ${id}: ${bits} bits, one F16 scale${affine ? ' and minimum' : ''} per ${BLOCK}`,
    blockBytes,
    encode(values, blocks) {
      const valueBits = bitsUnder(values)
      for (let at = 0, to = 0; at < values.length; at += BLOCK, to += blockBytes) {
        const d = scaleOf(values, valueBits, at, bits)
        const m = affine ? found[0]! : 0
        writeF16(blocks, to, finiteF16(d, 'scale'))
        if (affine) writeF16(blocks, to + 2, finiteF16(m, 'minimum'))
        const fifths = packNibbles(values, at, m, reciprocal(d), middle + 0.5, top, blocks, to + nibblesAt)
        if (bits === 5) writeWord(blocks, to + fifthsAt, fifths)
      }
    },
    decode(blocks, out) {
      for (let at = 0, from = 0; at < out.length; at += BLOCK, from += blockBytes) {
        const fifths = bits === 5 ? readWord(blocks, from + fifthsAt) : 0
        // Adding -0 changes nothing, not even the sign of a zero.
        unpackNibbles(blocks, from + nibblesAt, fifths, middle, readF16(blocks, from), affine ? readF16(blocks, from + 2) : -0, out, at)
      }
    },
    blockBound(values, at) {
      const d = scaleOf(values, bitsUnder(values), at, bits)
      const m = affine ? found[0]! : 0
      const step = Math.abs(d)
      const span = affine ? top : middle
      const moved = span * Math.abs(f16ToF32(finiteF16(d, 'scale')) - d) + (affine ? Math.abs(f16ToF32(finiteF16(m, 'minimum')) - m) : 0)
      // In `_0` the far end of the range, +2^(bits-1) steps, is one step beyond the last code. The last term covers the F32 subnormals.
      return moved + (affine ? step / 2 : step) + (Math.abs(m) + span * step) * 2 ** -20 + 2 ** -140
    },
  })
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

function writeWord(out: Uint8Array, at: number, word: number): void {
  for (let k = 0; k < FIFTH_BYTES; k++) out[at + k] = word >>> (8 * k)
}

function readWord(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

/** F32 scale of a `_0` block: the first value of largest magnitude over minus 2^(bits-1). */
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

/** F32 scale of a `_1` block; its minimum is found[0]. */
function affineScale(values: Float32Array, valueBits: Int32Array, at: number, bits: number): number {
  findRange(values, valueBits, at, BLOCK)
  return Math.fround(Math.fround(found[1]! - found[0]!) / ((1 << bits) - 1))
}
