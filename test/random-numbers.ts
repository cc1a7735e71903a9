/** Even numbers strictly between 0 and 1 from a 32-bit generator (xorshift, Marsaglia 2003); `seed` is any 32-bit number but 0. */
export function uniforms(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return ((state >>> 0) + 0.5) / 2 ** 32
  }
}

/** A standard normal number by Box and Muller's method. */
export function normal(uniform: () => number): number {
  return Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** Standard normal numbers from a seed. */
export function normals(count: number, seed: number): Float32Array {
  const uniform = uniforms(seed)
  const values = new Float32Array(count)
  for (let i = 0; i < count; i++) values[i] = normal(uniform)
  return values
}
