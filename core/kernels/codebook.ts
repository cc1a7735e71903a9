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
