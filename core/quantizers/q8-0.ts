import { bitsUnder, f16ToF32 } from '#core/bytes/float.ts'
import { largestMagnitude } from './extremes.ts'
import { BLOCK, blockQuantizer, readF16, reciprocal, writeF16 } from './ggml-blocks.ts'
import { finiteF16 } from './streams.ts'

const TOP = 127
const BLOCK_BYTES = 2 + BLOCK

/** `block_q8_0`: F16 d = absmax / 127, then 32 signed bytes round(x / d), halves away from zero. Quantised with the F32 d, decoded with the F16 one. */
export const q8_0 = blockQuantizer({
  id: 'q8_0',
  label: 'ggml q8_0: 8 bits, one F16 scale per 32',
  blockBytes: BLOCK_BYTES,
  encode(values, blocks) {
    const bits = bitsUnder(values)
    for (let at = 0, to = 0; at < values.length; at += BLOCK, to += BLOCK_BYTES) {
      const d = Math.fround(largestMagnitude(bits, at, BLOCK) / TOP)
      const inverse = reciprocal(d)
      writeF16(blocks, to, finiteF16(d, 'scale'))
      for (let i = 0; i < BLOCK; i++) {
        // The sign by a mask: a branch on a random sign costs more than the arithmetic.
        const sign = bits[at + i]! >> 31
        blocks[to + 2 + i] = ((Math.abs(Math.fround(values[at + i]! * inverse)) + 0.5) ^ sign) - sign
      }
    }
  },
  decode(blocks, out) {
    for (let at = 0, from = 0; at < out.length; at += BLOCK, from += BLOCK_BYTES) {
      const d = readF16(blocks, from)
      for (let i = 0; i < BLOCK; i++) out[at + i] = ((blocks[from + 2 + i]! << 24) >> 24) * d
    }
  },
  blockBound(values, at) {
    const absMax = largestMagnitude(bitsUnder(values), at, BLOCK)
    const d = absMax / TOP
    const stored = f16ToF32(finiteF16(d, 'scale'))
    return stored === 0 ? absMax : d / 2 + TOP * Math.abs(stored - d) + absMax * 2 ** -20
  },
})
