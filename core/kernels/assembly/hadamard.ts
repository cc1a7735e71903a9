import { valuesAt } from './memory'

/** Rotates each 64 of `count` values in place: core/kernels/hadamard.ts says how. */
export function hadamard(count: i32): void {
  const scale = f32x4.splat(0.125)
  const end = valuesAt + (<usize>count << 2)
  for (let block = valuesAt; block < end; block += 256) {
    for (let run = block; run < block + 256; run += 64) stages1248(v128.load(run), v128.load(run, 16), v128.load(run, 32), v128.load(run, 48), run)
    for (let at = block; at < block + 64; at += 16) {
      const a = v128.load(at)
      const b = v128.load(at, 64)
      const c = v128.load(at, 128)
      const d = v128.load(at, 192)
      const sum = f32x4.add(a, b)
      const difference = f32x4.sub(a, b)
      const otherSum = f32x4.add(c, d)
      const otherDifference = f32x4.sub(c, d)
      v128.store(at, f32x4.mul(f32x4.add(sum, otherSum), scale))
      v128.store(at, f32x4.mul(f32x4.add(difference, otherDifference), scale), 64)
      v128.store(at, f32x4.mul(f32x4.sub(sum, otherSum), scale), 128)
      v128.store(at, f32x4.mul(f32x4.sub(difference, otherDifference), scale), 192)
    }
  }
}

/** The butterflies of strides 1 and 2 in one vector; taking away is adding with the other sign, to the bit. */
// @ts-ignore: decorator
@inline
export function stages12(x: v128): v128 {
  const odd = i32x4(0, i32.MIN_VALUE, 0, i32.MIN_VALUE)
  const upper = i32x4(0, 0, i32.MIN_VALUE, i32.MIN_VALUE)
  const y = f32x4.add(i32x4.shuffle(x, x, 0, 0, 2, 2), v128.xor(i32x4.shuffle(x, x, 1, 1, 3, 3), odd))
  return f32x4.add(i32x4.shuffle(y, y, 0, 1, 0, 1), v128.xor(i32x4.shuffle(y, y, 2, 3, 2, 3), upper))
}

/** The butterflies of strides 1 to 8 on sixteen values, which it stores. */
// @ts-ignore: decorator
@inline
function stages1248(w: v128, x: v128, y: v128, z: v128, to: usize): void {
  const a = stages12(w)
  const b = stages12(x)
  const c = stages12(y)
  const d = stages12(z)
  const sum = f32x4.add(a, b)
  const difference = f32x4.sub(a, b)
  const otherSum = f32x4.add(c, d)
  const otherDifference = f32x4.sub(c, d)
  v128.store(to, f32x4.add(sum, otherSum))
  v128.store(to, f32x4.add(difference, otherDifference), 16)
  v128.store(to, f32x4.sub(sum, otherSum), 32)
  v128.store(to, f32x4.sub(difference, otherDifference), 48)
}

/** The Walsh-Hadamard transform, not scaled, of a row of 16 to 1024 values in place. */
export function transform(row: usize, length: usize): void {
  for (let at = row; at < row + length; at += 64) stages1248(v128.load(at), v128.load(at, 16), v128.load(at, 32), v128.load(at, 48), at)
  laterStages(row, length)
}

/** The transform of a row times signs, to another place or the same. */
export function signedTransform(from: usize, signs: usize, to: usize, length: usize): void {
  for (let at: usize = 0; at < length; at += 64) {
    stages1248(signed(from, signs, at), signed(from, signs, at + 16), signed(from, signs, at + 32), signed(from, signs, at + 48), to + at)
  }
  laterStages(to, length)
}

// @ts-ignore: decorator
@inline
export function signed(row: usize, signs: usize, at: usize): v128 {
  return f32x4.mul(v128.load(row + at), v128.load(signs + at))
}

/** The butterflies of strides from 16 values on, two strides at a time as long as there are two. */
function laterStages(row: usize, length: usize): void {
  let stride: usize = 64
  for (; stride << 2 <= length; stride <<= 2) {
    for (let run = row; run < row + length; run += stride << 2) {
      for (let at = run; at < run + stride; at += 16) {
        const a = v128.load(at)
        const b = v128.load(at + stride)
        const c = v128.load(at + 2 * stride)
        const d = v128.load(at + 3 * stride)
        const sum = f32x4.add(a, b)
        const difference = f32x4.sub(a, b)
        const otherSum = f32x4.add(c, d)
        const otherDifference = f32x4.sub(c, d)
        v128.store(at, f32x4.add(sum, otherSum))
        v128.store(at + stride, f32x4.add(difference, otherDifference))
        v128.store(at + 2 * stride, f32x4.sub(sum, otherSum))
        v128.store(at + 3 * stride, f32x4.sub(difference, otherDifference))
      }
    }
  }
  if (stride === length) return
  for (let at = row; at < row + stride; at += 16) {
    const a = v128.load(at)
    const b = v128.load(at + stride)
    v128.store(at, f32x4.add(a, b))
    v128.store(at + stride, f32x4.sub(a, b))
  }
}
