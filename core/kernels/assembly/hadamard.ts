import { valuesAt } from './memory'

/** Rotates each 64 of `count` values in place: core/kernels/hadamard.ts says how. */
export function hadamard(count: i32): void {
  const scale = f32x4.splat(0.125)
  const end = valuesAt + (<usize>count << 2)
  for (let block = valuesAt; block < end; block += 256) {
    for (let run = block; run < block + 256; run += 64) {
      const a = stages12(v128.load(run))
      const b = stages12(v128.load(run, 16))
      const c = stages12(v128.load(run, 32))
      const d = stages12(v128.load(run, 48))
      const sum = f32x4.add(a, b)
      const difference = f32x4.sub(a, b)
      const otherSum = f32x4.add(c, d)
      const otherDifference = f32x4.sub(c, d)
      v128.store(run, f32x4.add(sum, otherSum))
      v128.store(run, f32x4.add(difference, otherDifference), 16)
      v128.store(run, f32x4.sub(sum, otherSum), 32)
      v128.store(run, f32x4.sub(difference, otherDifference), 48)
    }
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
