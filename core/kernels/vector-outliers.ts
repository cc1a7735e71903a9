/** The vectors of a layer, each of `length` values: where value `index` of vector `vector` lies. */
export type Vectors = { readonly count: number; readonly length: number; readonly place: (vector: number, index: number) => number }

/** Channels of heads over all tokens, or tokens over all heads, of a layer [heads, tokens, headDim]. */
export function vectorsOf(byChannel: boolean, heads: number, tokens: number, headDim: number): Vectors {
  if (byChannel) return { count: heads * headDim, length: tokens, place: (channel, token) => (Math.floor(channel / headDim) * tokens + token) * headDim + (channel % headDim) }
  return { count: tokens, length: heads * headDim, place: (token, channel) => (Math.floor(channel / headDim) * tokens + token) * headDim + (channel % headDim) }
}

/**
 * Of each vector the indices of its `each` least values and then of its `each` largest ones, from the outermost inwards, the first of equal ones; in `filled`, which
 * starts as the values, F32 of the vector's mean stands in their places. Twice `each` is at most the length of a vector.
 */
export function takeOutliers(values: Float32Array, { count, length, place }: Vectors, each: number, indices: Uint16Array, filled: Float32Array): void {
  const key = new Float64Array(each)
  const own = new Int32Array(each)
  for (let v = 0; v < count; v++) {
    let sum = 0
    for (let i = 0; i < length; i++) sum += values[place(v, i)]!
    const mean = sum / length
    for (const sign of [1, -1]) {
      key.fill(Infinity)
      for (let i = 0; i < length; i++) {
        const x = sign * values[place(v, i)]!
        // Only what the least ones have not taken: all may be equal.
        if (x < key[each - 1]! && (sign === 1 || !taken(indices, 2 * v * each, each, i))) insert(key, own, x, i)
      }
      for (let k = 0; k < each; k++) indices[(2 * v + (sign === 1 ? 0 : 1)) * each + k] = own[k]!
    }
    for (let k = 0; k < 2 * each; k++) filled[place(v, indices[2 * v * each + k]!)] = mean
  }
}

function taken(indices: Uint16Array, from: number, each: number, index: number): boolean {
  for (let k = from; k < from + each; k++) if (indices[k] === index) return true
  return false
}

/** Puts x, which is below the last key, in its place behind equal ones. */
function insert(key: Float64Array, own: Int32Array, x: number, index: number): void {
  let at = key.length - 1
  for (; at > 0 && key[at - 1]! > x; at--) {
    key[at] = key[at - 1]!
    own[at] = own[at - 1]!
  }
  key[at] = x
  own[at] = index
}
