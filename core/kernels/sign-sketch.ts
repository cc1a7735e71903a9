import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from './finite.ts'
import { randomSigns, rotate, rotateBack } from './random-rotation.ts'

/** Where the signs of the rotations begin; any number but 0 would do. */
export const SKETCH_SEED = 0x85ebca6b | 0
/** Rounds of signs and transform that make one rotation. */
export const SKETCH_ROUNDS = 3

/** The signs of each round of each of `count` rotations of rows of `headDim` values. */
export function sketchSigns(headDim: number, count: number): Float32Array[][] {
  const signs = randomSigns(count * SKETCH_ROUNDS * headDim, SKETCH_SEED)
  return Array.from({ length: count }, (_, k) => Array.from({ length: SKETCH_ROUNDS }, (_round, i) => signs.subarray((SKETCH_ROUNDS * k + i) * headDim, (SKETCH_ROUNDS * k + i + 1) * headDim)))
}

/** What a norm is multiplied by, so that sums of `rotations` unscaled transforms of signs become a vector. */
export function sketchPart(headDim: number, rotations: number): number {
  return Math.sqrt(Math.PI / 2) / (rotations * headDim * headDim)
}

/** Kernels.quantizeSketch in TypeScript. */
export function quantizeSketch(values: Float32Array, headDim: number, codes: Uint8Array, norms: Uint16Array): void {
  refuseNonFinite(values)
  const row = new Float32Array(headDim)
  const rotations = sketchSigns(headDim, (8 * codes.length) / values.length)
  let to = 0
  for (let r = 0; r < norms.length; r++) {
    const from = values.subarray(r * headDim, (r + 1) * headDim)
    let squares = 0
    for (let i = 0; i < headDim; i++) squares += from[i]! * from[i]!
    norms[r] = finiteF16(Math.sqrt(squares), 'norm')
    for (const rounds of rotations) {
      row.set(from)
      for (const signs of rounds) rotate(row, signs)
      for (let i = 0; i < headDim; i += 8) {
        let byte = 0
        for (let bit = 0; bit < 8; bit++) if (row[i + bit]! > 0) byte |= 1 << bit
        codes[to++] = byte
      }
    }
  }
}

/** Kernels.dequantizeSketch in TypeScript. */
export function dequantizeSketch(codes: Uint8Array, norms: Uint16Array, headDim: number, out: Float32Array): boolean {
  const row = new Float32Array(headDim)
  const rotations = sketchSigns(headDim, (8 * codes.length) / out.length).map((rounds) => rounds.toReversed())
  const part = sketchPart(headDim, rotations.length)
  let finite = true
  let from = 0
  for (let r = 0; r < norms.length; r++) {
    const sum = out.subarray(r * headDim, (r + 1) * headDim)
    sum.fill(0)
    for (const rounds of rotations) {
      for (let i = 0; i < headDim; i += 8) {
        const byte = codes[from++]!
        for (let bit = 0; bit < 8; bit++) row[i + bit] = 2 * ((byte >> bit) & 1) - 1
      }
      for (const signs of rounds) rotateBack(row, signs)
      for (let i = 0; i < headDim; i++) sum[i] = sum[i]! + row[i]!
    }
    finite &&= isFiniteF16(norms[r]!)
    const factor = Math.fround(f16ToF32(norms[r]!) * part)
    for (let i = 0; i < headDim; i++) sum[i] = sum[i]! * factor
  }
  return finite
}
