import { f16ToF32 } from '#core/bytes/float.ts'
import { defineQuantizer, type Quantizer } from './quantizer.ts'
import { bytesOf } from './streams.ts'

/** Values of one block of every cache type of ggml, consecutive along headDim. */
export const BLOCK = 32

/** One cache type of ggml: how 32 values become `blockBytes` bytes and back. */
export type BlockFormat = {
  readonly id: string
  readonly label: string
  readonly blockBytes: number
  /** Encode all values into their blocks. Throws LabError OUT_OF_RANGE where a block's scale or minimum overflows F16. */
  encode(values: Float32Array, blocks: Uint8Array): void
  decode(blocks: Uint8Array, out: Float32Array): void
  /** Largest |x - x'| in the block of values[at..at+32). */
  blockBound(values: Float32Array, at: number): number
}

/** A quantizer of one stream `blocks` U8 [kvHeads, tokens, headDim / 32 * blockBytes], byte for byte what llama.cpp's cache holds. */
export function blockQuantizer(format: BlockFormat): Quantizer<Record<never, never>> {
  const { id, label, blockBytes } = format
  return defineQuantizer({
    id,
    label,
    source: 'ggml/src/ggml-quants.c and ggml-common.h of llama.cpp: the reference routines of its KV cache types',
    lossy: true,
    params: {},
    bits: () => (8 * blockBytes) / BLOCK,
    refuse: (_, headDim) => (headDim % BLOCK === 0 ? null : { reason: `its blocks of ${BLOCK} values do not divide the head size ${headDim}`, nearest: {} }),
    layout: ({ kvHeads, tokens, headDim }) => ({ blocks: { dtype: 'U8', shape: [kvHeads, tokens, (headDim / BLOCK) * blockBytes] } }),
    encode(values, _shape, _params, out) {
      format.encode(values, bytesOf(out, 'blocks', (values.length / BLOCK) * blockBytes))
    },
    decode(streams, _shape, _params, out) {
      format.decode(bytesOf(streams, 'blocks', (out.length / BLOCK) * blockBytes), out)
    },
    errorBound(row, _params, bound) {
      for (let at = 0; at < row.length; at += BLOCK) bound.fill(format.blockBound(row, at), at, at + BLOCK)
    },
  })
}

/** 1 / d in F32, 0 for 0; also 0 where it overflows, which C leaves undefined: such a d is 0 in F16 and every code decodes to the same. */
export function reciprocal(d: number): number {
  const inverse = Math.fround(1 / d)
  return Number.isFinite(inverse) ? inverse : 0
}

export function writeF16(out: Uint8Array, at: number, bits: number): void {
  out[at] = bits
  out[at + 1] = bits >>> 8
}

/** Value of the little-endian F16 at byte `at`. */
export function readF16(bytes: Uint8Array, at: number): number {
  return f16ToF32(bytes[at]! | (bytes[at + 1]! << 8))
}
