import { f16ToF32 } from '#core/bytes/float.ts'
import { BLOCK, blockBytes, blockScale } from '#core/kernels/blocks.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import type { BlockFormat } from '#core/kernels/kernels.ts'
import { defineQuantizer, type Quantizer } from './quantizer.ts'
import { bytesOf } from './streams.ts'

/**
 * A cache type of ggml: `q8_0`, or one of 4 or 5 bits, `_0` with a scale and `_1` with a scale and a minimum per block of 32 values along headDim.
 * Stream `blocks` U8 [kvHeads, tokens, headDim / 32 * bytes of a block], byte for byte what llama.cpp's cache holds.
 */
export function ggmlQuantizer(format: BlockFormat): Quantizer<Record<never, never>> {
  const { bits, affine } = format
  const id = `q${bits}_${affine ? 1 : 0}`
  const stride = blockBytes(format)
  return defineQuantizer({
    id,
    label: `ggml ${id}: ${bits} bits, one F16 scale${affine ? ' and minimum' : ''} per ${BLOCK}`,
    source: 'ggml/src/ggml-quants.c and ggml-common.h of llama.cpp: the reference routines of its KV cache types',
    formula: formulaOf(format),
    caveats: [
      'Codes are made with the scale in F32 and read with the one in F16.',
      'To compare with llama.cpp itself say interleaved, for its order of key channels, and hadamard, which it does by default to all of these types.',
      'Its CPU kernel also rounds the query to 8 bits, which is done here in-pass with --queries q8_0 alone: without it q8_0 loses less here than there.',
    ],
    lossy: true,
    params: {},
    bits: () => (8 * stride) / BLOCK,
    refuse: (_, headDim) => (headDim % BLOCK === 0 ? null : { reason: `its blocks of ${BLOCK} values do not divide the head size ${headDim}`, nearest: {} }),
    layout: ({ kvHeads, tokens, headDim }) => ({ blocks: { dtype: 'U8', shape: [kvHeads, tokens, (headDim / BLOCK) * stride] } }),
    encode: (values, _shape, _params, out) => kernels.quantizeBlocks(values, format, bytesOf(out, 'blocks', (values.length / BLOCK) * stride)),
    decode: (streams, _shape, _params, out) => kernels.dequantizeBlocks(bytesOf(streams, 'blocks', (out.length / BLOCK) * stride), format, out),
    errorBound(row, _params, bound) {
      for (let at = 0; at < row.length; at += BLOCK) bound.fill(blockBound(row, at, format), at, at + BLOCK)
    },
  })
}

function formulaOf({ bits, affine }: BlockFormat): string[] {
  if (bits === 8) return ["d = absmax / 127, q = round(x / d), halves away from zero, x' = q f16(d)"]
  const [half, top] = [2 ** (bits - 1), 2 ** bits - 1]
  if (affine) return [`m = min, d = (max - min) / ${top}, q = floor((x - m) / d + 1/2), x' = q f16(d) + f16(m)`]
  return [`d = (the value of largest magnitude) / -${half}, q = min(${top}, floor(x / d + ${half} + 1/2)), x' = (q - ${half}) f16(d)`]
}

/** Largest |x - x'| in the block of values[at..at+32). */
function blockBound(values: Float32Array, at: number, format: BlockFormat): number {
  const { bits, affine } = format
  const { d, m } = blockScale(values, at, format)
  const step = Math.abs(d)
  const stored = f16ToF32(finiteF16(d, 'scale'))
  const span = affine ? (1 << bits) - 1 : bits === 8 ? 127 : 1 << (bits - 1)
  const moved = span * Math.abs(stored - d) + (affine ? Math.abs(f16ToF32(finiteF16(m, 'minimum')) - m) : 0)
  // In `_0` of 4 and 5 bits the far end of the range, +2^(bits-1) steps, is one step beyond the last code. The last term covers the F32 subnormals.
  const rounded = affine || bits === 8 ? step / 2 : step
  return moved + rounded + (Math.abs(m) + span * step) * 2 ** -20 + 2 ** -140
}
