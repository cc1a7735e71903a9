/** Values of one rotation. */
export const ROTATED = 64
const SCALE = 1 / 8

/** Kernels.hadamard in TypeScript. */
export function hadamard(values: Float32Array): void {
  twoStages(values, 1, 1)
  twoStages(values, 4, 1)
  twoStages(values, 16, SCALE)
}

/** Walsh-Hadamard transform, not scaled, of a power of two of values, 16 or more, in place: butterflies in F32 from stride 1 upwards. */
export function walshHadamard(values: Float32Array): void {
  let stride = 1
  for (; 4 * stride <= values.length; stride *= 4) twoStages(values, stride, 1)
  if (stride === values.length) return
  for (let i = 0; i < stride; i++) {
    const a = values[i]!
    const b = values[i + stride]!
    values[i] = a + b
    values[i + stride] = a - b
  }
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
