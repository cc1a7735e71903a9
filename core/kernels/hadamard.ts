/** Values of one rotation. */
export const ROTATED = 64
const SCALE = 1 / 8

/** Kernels.hadamard in TypeScript. */
export function hadamard(values: Float32Array): void {
  twoStages(values, 1, 1)
  twoStages(values, 4, 1)
  twoStages(values, 16, SCALE)
}

/** The butterflies of `stride` and of twice the stride on each run of four times the stride, every operation rounded to F32. */
function twoStages(values: Float32Array, stride: number, scale: number): void {
  for (let run = 0; run < values.length; run += 4 * stride) {
    for (let i = run; i < run + stride; i++) {
      const a = values[i]!
      const b = values[i + stride]!
      const c = values[i + 2 * stride]!
      const d = values[i + 3 * stride]!
      const sum = Math.fround(a + b)
      const difference = Math.fround(a - b)
      const otherSum = Math.fround(c + d)
      const otherDifference = Math.fround(c - d)
      values[i] = Math.fround(sum + otherSum) * scale
      values[i + stride] = Math.fround(difference + otherDifference) * scale
      values[i + 2 * stride] = Math.fround(sum - otherSum) * scale
      values[i + 3 * stride] = Math.fround(difference - otherDifference) * scale
    }
  }
}
