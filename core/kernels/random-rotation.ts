import { walshHadamard } from './hadamard.ts'

/** `count` signs, each 1 or -1: the top bits of the numbers of xorshift (Marsaglia 2003, shifts 13, 17, 5) that follow on `seed`, -1 where the bit is set. */
export function randomSigns(count: number, seed: number): Float32Array {
  const signs = new Float32Array(count)
  let state = seed
  for (let i = 0; i < count; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    signs[i] = state < 0 ? -1 : 1
  }
  return signs
}

/** One round of a randomised Hadamard transform in place, in F32 and not scaled: signs, then the transform of the whole row. */
export function rotate(row: Float32Array, signs: Float32Array): void {
  for (let i = 0; i < row.length; i++) row[i] = row[i]! * signs[i]!
  walshHadamard(row)
}

/** Its inverse, times the length of the row: the transform, then signs. */
export function rotateBack(row: Float32Array, signs: Float32Array): void {
  walshHadamard(row)
  for (let i = 0; i < row.length; i++) row[i] = row[i]! * signs[i]!
}
