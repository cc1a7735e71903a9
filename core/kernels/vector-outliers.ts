/** The vectors of a layer [heads, tokens, headDim]: channels of heads over all tokens, or tokens over all heads. Each has `length` values; `place` says where value `index` of vector `vector` lies. */
export type Vectors = {
  readonly byChannel: boolean
  readonly tokens: number
  readonly headDim: number
  readonly count: number
  readonly length: number
  readonly place: (vector: number, index: number) => number
}

/** Channels of heads over all tokens, or tokens over all heads, of a layer [heads, tokens, headDim]. */
export function vectorsOf(byChannel: boolean, heads: number, tokens: number, headDim: number): Vectors {
  const placeOf = (token: number, channel: number): number => (Math.floor(channel / headDim) * tokens + token) * headDim + (channel % headDim)
  if (byChannel) return { byChannel, tokens, headDim, count: heads * headDim, length: tokens, place: (channel, token) => placeOf(token, channel) }
  return { byChannel, tokens, headDim, count: tokens, length: heads * headDim, place: placeOf }
}

/**
 * Of each vector the indices of its `each` least values and then of its `each` largest ones, from the outermost inwards, the first of equal ones; in `filled`, which
 * starts as the values, F32 of the vector's mean stands in their places. Twice `each` is at most the length of a vector.
 */
export function takeOutliers(values: Float32Array, vectors: Vectors, each: number, indices: Uint16Array, filled: Float32Array): void {
  if (each === 0) return
  const { byChannel, tokens, headDim, count, length, place } = vectors
  /* What is at `indices`, the largest ones negated, so that both are the least of something; and the last of each such run, below which a value must be to get in. */
  const keys = new Float32Array(indices.length).fill(Infinity)
  const limits = new Float32Array(2 * count).fill(Infinity)
  const sums = new Float64Array(count)
  // The layer as it lies, which is in order of indices for the vectors of either kind: columns would be read from far apart.
  for (let row = 0, at = 0; at < values.length; row++) {
    const token = row % tokens
    const channel = Math.floor(row / tokens) * headDim
    for (let c = channel; c < channel + headDim; c++, at++) {
      const x = values[at]!
      const v = byChannel ? c : token
      sums[v]! += x
      if (x < limits[2 * v]!) limits[2 * v] = insert(keys, indices, 2 * v * each, each, x, byChannel ? token : c)
      if (-x < limits[2 * v + 1]!) limits[2 * v + 1] = insert(keys, indices, (2 * v + 1) * each, each, -x, byChannel ? token : c)
    }
  }
  for (let v = 0; v < count; v++) {
    const from = 2 * v * each
    // Where the runs meet, a value may be in both, and all may be equal: what the least ones have taken is no more to be had.
    if (limits[2 * v]! >= -limits[2 * v + 1]!) {
      const taken = new Set(indices.subarray(from, from + each))
      keys.fill(Infinity, from + each, from + 2 * each)
      for (let i = 0, limit = Infinity; i < length; i++) {
        const x = -values[place(v, i)]!
        if (x < limit && !taken.has(i)) limit = insert(keys, indices, from + each, each, x, i)
      }
    }
    const mean = sums[v]! / length
    for (let k = from; k < from + 2 * each; k++) filled[place(v, indices[k]!)] = mean
  }
}

/** Puts a key and its index into the run of `length` keys from `from` on, which is in order, behind equal ones; the last one falls out. Returns the new last one. */
function insert(keys: Float32Array, indices: Uint16Array, from: number, length: number, key: number, index: number): number {
  const last = from + length - 1
  let at = last
  for (; at > from && keys[at - 1]! > key; at--) {
    keys[at] = keys[at - 1]!
    indices[at] = indices[at - 1]!
  }
  keys[at] = key
  indices[at] = index
  return keys[last]!
}
