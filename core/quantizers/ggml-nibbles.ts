import { f16ToF32 } from '#core/bytes/float.ts'
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
  const top = 2 ** bits - 1
  const middle = affine ? 0 : 2 ** (bits - 1)
  const scaleOf = affine ? affineScale : signedScale
  const fifthsAt = affine ? 4 : 2
  const nibblesAt = fifthsAt + (bits === 5 ? FIFTH_BYTES : 0)
  const blockBytes = nibblesAt + HALF

  return blockQuantizer({
    id,
    label: `ggml ${id}: ${bits} bits, one F16 scale${affine ? ' and minimum' : ''} per ${BLOCK}`,
    blockBytes,
    encode(values, blocks) {
      for (let at = 0, to = 0; at < values.length; at += BLOCK, to += blockBytes) {
        const { d, m } = scaleOf(values, at, bits)
        writeF16(blocks, to, finiteF16(d, 'scale'))
        if (affine) writeF16(blocks, to + 2, finiteF16(m, 'minimum'))
        stage(values, at, m, reciprocal(d), middle + 0.5, top)
        packNibbles(blocks, to + nibblesAt)
        if (bits === 5) packFifths(blocks, to + fifthsAt)
      }
    },
    decode(blocks, out) {
      for (let at = 0, from = 0; at < out.length; at += BLOCK, from += blockBytes) {
        unpackNibbles(blocks, from + nibblesAt)
        if (bits === 5) unpackFifths(blocks, from + fifthsAt)
        // Adding -0 changes nothing, not even the sign of a zero.
        dequantize(middle, readF16(blocks, from), affine ? readF16(blocks, from + 2) : -0, out, at)
      }
    },
    blockBound(values, at) {
      const { d, m } = scaleOf(values, at, bits)
      const step = Math.abs(d)
      const span = affine ? top : middle
      const moved = span * Math.abs(f16ToF32(finiteF16(d, 'scale')) - d) + (affine ? Math.abs(f16ToF32(finiteF16(m, 'minimum')) - m) : 0)
      // In `_0` the far end of the range, +2^(bits-1) steps, is one step beyond the last code. The last term covers the F32 subnormals.
      return moved + (affine ? step / 2 : step) + (Math.abs(m) + span * step) * 2 ** -20 + 2 ** -140
    },
  })
}

/*
 * One block on its way to bytes or back.
 */
const numbers = new Float32Array(BLOCK)
const codes = new Int32Array(BLOCK)

/** Codes by adding a half (and the middle code) in F32 and cutting off, as C does. */
function stage(values: Float32Array, at: number, m: number, inverse: number, half: number, top: number): void {
  if (m === 0) for (let i = 0; i < BLOCK; i++) numbers[i] = values[at + i]! * inverse
  else for (let i = 0; i < BLOCK; i++) numbers[i] = Math.fround(values[at + i]! - m) * inverse
  for (let i = 0; i < BLOCK; i++) {
    const code = Math.fround(numbers[i]! + half) | 0
    codes[i] = code > top ? top : code
  }
}

function packNibbles(out: Uint8Array, to: number): void {
  for (let j = 0; j < HALF; j++) out[to + j] = (codes[j]! & 15) | (codes[j + HALF]! << 4)
}

function unpackNibbles(blocks: Uint8Array, from: number): void {
  for (let j = 0; j < HALF; j++) {
    const byte = blocks[from + j]!
    codes[j] = byte & 15
    codes[j + HALF] = byte >>> 4
  }
}

function packFifths(out: Uint8Array, to: number): void {
  for (let k = 0; k < FIFTH_BYTES; k++) {
    let byte = 0
    for (let j = 0; j < 8; j++) byte |= (codes[8 * k + j]! >> 4) << j
    out[to + k] = byte
  }
}

function unpackFifths(blocks: Uint8Array, from: number): void {
  for (let i = 0; i < BLOCK; i++) codes[i] = codes[i]! | (((blocks[from + (i >> 3)]! >> (i & 7)) & 1) << 4)
}

function dequantize(middle: number, d: number, m: number, out: Float32Array, at: number): void {
  for (let i = 0; i < BLOCK; i++) out[at + i] = (codes[i]! - middle) * d + m
}

/** F32 scale of a `_0` block: the first value of largest magnitude over minus 2^(bits-1); m is 0. */
function signedScale(values: Float32Array, at: number, bits: number): { d: number; m: number } {
  let most = 0
  let signed = 0
  for (let i = at; i < at + BLOCK; i++) {
    const magnitude = Math.abs(values[i]!)
    if (magnitude > most) {
      most = magnitude
      signed = values[i]!
    }
  }
  return { d: Math.fround(signed / -(2 ** (bits - 1))), m: 0 }
}

/** F32 scale and minimum of a `_1` block. */
function affineScale(values: Float32Array, at: number, bits: number): { d: number; m: number } {
  let low = values[at]!
  let high = low
  for (let i = at + 1; i < at + BLOCK; i++) {
    const x = values[i]!
    if (x < low) low = x
    if (x > high) high = x
  }
  return { d: Math.fround(Math.fround(high - low) / (2 ** bits - 1)), m: low }
}
