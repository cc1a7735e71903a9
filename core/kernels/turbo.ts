import { f16ToF32 } from '#core/bytes/float.ts'
import { levelOf, middles } from './codebook.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from './finite.ts'
import { walshHadamard } from './hadamard.ts'
import type { TurboBits } from './kernels.ts'
import { laneTotal } from './logits.ts'
import { packRounded, unpackScaled } from './packing.ts'

/** Lloyd-Max levels of N(0, 1): each the mean of what is nearest to it (turbo.test.ts derives them anew). */
export const TURBO_LEVELS: Record<TurboBits, Float32Array> = {
  2: mirrored(0.4527800346, 1.5104176085),
  3: mirrored(0.2450941789, 0.7560052812, 1.3439092785, 2.1519457045),
  4: mirrored(0.1283950299, 0.3880482995, 0.6567591185, 0.9423404565, 1.2562311973, 1.618046386, 2.0690172265, 2.732589571),
}
/** The middles between them. */
export const TURBO_BOUNDS: Record<TurboBits, Float32Array> = { 2: middles(TURBO_LEVELS[2]), 3: middles(TURBO_LEVELS[3]), 4: middles(TURBO_LEVELS[4]) }

const LANES = 4
const lanes = new Float64Array(LANES)

function mirrored(...positive: number[]): Float32Array {
  return Float32Array.from([...positive.map((level) => -level).reverse(), ...positive])
}

/** Kernels.quantizeTurbo in TypeScript. */
export function quantizeTurbo(values: Float32Array, headDim: number, bits: TurboBits, codes: Uint8Array, norms: Uint16Array): void {
  refuseNonFinite(values)
  const row = new Float32Array(headDim)
  for (let r = 0; r < norms.length; r++) {
    row.set(values.subarray(r * headDim, (r + 1) * headDim))
    const n = Math.fround(Math.sqrt(squares(row)))
    const norm = finiteF16(n, 'norm')
    norms[r] = norm
    const inverse = norm === 0 ? 0 : Math.fround(1 / n)
    walshHadamard(row)
    for (let i = 0; i < headDim; i++) row[i] = levelOf(TURBO_BOUNDS[bits], Math.fround(row[i]! * inverse))
    packRounded(row, 0, headDim, 1, 0, bits, codes, (r * headDim * bits) / 8)
  }
}

/** Kernels.dequantizeTurbo in TypeScript. */
export function dequantizeTurbo(codes: Uint8Array, norms: Uint16Array, headDim: number, bits: TurboBits, corrected: boolean, out: Float32Array): boolean {
  const levels = TURBO_LEVELS[bits]
  let finite = true
  for (let r = 0; r < norms.length; r++) {
    const row = out.subarray(r * headDim, (r + 1) * headDim)
    const norm = norms[r]!
    finite &&= isFiniteF16(norm)
    unpackScaled(codes, (r * headDim * bits) / 8, bits, 0, 1, 0, row, 0, headDim)
    for (let i = 0; i < headDim; i++) row[i] = levels[row[i]!]!
    const factor = Math.fround(f16ToF32(norm) / (corrected ? Math.sqrt(headDim * squares(row)) : headDim))
    walshHadamard(row)
    for (let i = 0; i < headDim; i++) row[i] = row[i]! * factor
  }
  return finite
}

/** Σ x² in F64: value i to sum i % 4, then (0 + 1) + (2 + 3). */
function squares(row: Float32Array): number {
  lanes.fill(0)
  for (let i = 0; i < row.length; i++) lanes[i % LANES]! += row[i]! * row[i]!
  return laneTotal(lanes, 0)
}
