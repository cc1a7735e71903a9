import { readF16, writeF16 } from './blocks.ts'
import { levelOf, middles } from './codebook.ts'
import { finiteF16, refuseNonFinite } from './finite.ts'

/** Levels of a code, in units of the scale: `kvalues_iq4nl` of ggml-common.h. */
export const IQ4NL_LEVELS = Float32Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
const BOUNDS = middles(IQ4NL_LEVELS)
const BLOCK = 32
const HALF = BLOCK / 2
const BYTES = 18
/** Below this magnitude a block is taken for zero: GROUP_MAX_EPS of ggml-quants.c, in F32. */
const LEAST = Math.fround(1e-15)

/** Codes of the block under work. */
const codes = new Uint8Array(BLOCK)

/** Kernels.quantizeLevels of `iq4_nl` in TypeScript. */
export function quantizeIq4nl(values: Float32Array, blocks: Uint8Array): void {
  refuseNonFinite(values)
  for (let at = 0, to = 0; at < values.length; at += BLOCK, to += BYTES) {
    const { d, refitted } = iq4nlScales(values, at)
    // Where the squares overflow, the first scale is beyond F16 too and says it better.
    writeF16(blocks, to, finiteF16(Number.isFinite(refitted) ? refitted : d, 'scale'))
    for (let j = 0; j < HALF; j++) blocks[to + 2 + j] = codes[j]! | (codes[j + HALF]! << 4)
  }
}

/**
 * Scales of the block of values[at..at + 32), in F32: the one that its codes come by, and the one of least squares for those codes, weighted by x².
 * Leaves the codes.
 */
export function iq4nlScales(values: Float32Array, at: number): { d: number; refitted: number } {
  let extreme = 0
  for (let i = at; i < at + BLOCK; i++) if (Math.abs(values[i]!) > Math.abs(extreme)) extreme = values[i]!
  const isZero = Math.abs(extreme) < LEAST
  const d = Math.fround(extreme / IQ4NL_LEVELS[0]!)
  const inverse = isZero ? 0 : Math.fround(1 / d)
  let product = 0
  let square = 0
  for (let i = 0; i < BLOCK; i++) {
    const x = values[at + i]!
    const code = levelOf(BOUNDS, Math.fround(x * inverse))
    const level = IQ4NL_LEVELS[code]!
    const weighted = Math.fround(Math.fround(x * x) * level)
    product = Math.fround(product + Math.fround(weighted * x))
    square = Math.fround(square + Math.fround(weighted * level))
    codes[i] = code
  }
  return isZero ? { d: 0, refitted: 0 } : { d, refitted: Math.fround(product / square) }
}

/** Kernels.dequantizeLevels of `iq4_nl` in TypeScript. */
export function dequantizeIq4nl(blocks: Uint8Array, out: Float32Array): boolean {
  let finite = true
  for (let at = 0, from = 0; at < out.length; at += BLOCK, from += BYTES) {
    const d = readF16(blocks, from)
    finite &&= Number.isFinite(d)
    for (let j = 0; j < HALF; j++) {
      const byte = blocks[from + 2 + j]!
      out[at + j] = IQ4NL_LEVELS[byte & 15]! * d
      out[at + j + HALF] = IQ4NL_LEVELS[byte >>> 4]! * d
    }
  }
  return finite
}
