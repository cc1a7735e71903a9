import { packRounded, unpackScaled } from './packing.ts'

/** Middles between neighbouring levels, which ascend, in F32. */
export function middles(levels: ArrayLike<number>): Float32Array {
  return Float32Array.from({ length: levels.length - 1 }, (_, i) => (levels[i]! + levels[i + 1]!) / 2)
}

/** Index of the level that `bounds` put x at: how many of them, one less than a power of two, are not above x. */
export function levelOf(bounds: Float32Array, x: number): number {
  let index = 0
  for (let step = (bounds.length + 1) >> 1; step > 0; step >>= 1) if (x >= bounds[index + step - 1]!) index += step
  return index
}

/** Kernels.quantizeCodebook in TypeScript. */
export function quantizeCodebook(values: Float32Array, bounds: Float32Array, bits: number, codes: Uint8Array): void {
  const numbers = new Float32Array(values.length)
  for (let i = 0; i < values.length; i++) numbers[i] = levelOf(bounds, values[i]!)
  packRounded(numbers, 0, numbers.length, 1, 0, bits, codes, 0)
}

/** Kernels.dequantizeCodebook in TypeScript. */
export function dequantizeCodebook(codes: Uint8Array, levels: Float32Array, bits: number, out: Float32Array): void {
  unpackScaled(codes, 0, bits, 0, 1, 0, out, 0, out.length)
  for (let i = 0; i < out.length; i++) out[i] = levels[out[i]!]!
}
