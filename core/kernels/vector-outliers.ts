/** The vectors of a layer, each of `length` values: where value `index` of vector `vector` lies, and a copy of one. */
export type Vectors = {
  readonly count: number
  readonly length: number
  readonly place: (vector: number, index: number) => number
  readonly read: (values: Float32Array, vector: number, to: Float32Array) => void
}

/** Channels of heads over all tokens, or tokens over all heads, of a layer [heads, tokens, headDim]. */
export function vectorsOf(byChannel: boolean, heads: number, tokens: number, headDim: number): Vectors {
  const placeOf = (token: number, channel: number): number => (Math.floor(channel / headDim) * tokens + token) * headDim + (channel % headDim)
  if (!byChannel) {
    const read: Vectors['read'] = (values, token, to) => {
      for (let head = 0, at = token * headDim; head < heads; head++, at += tokens * headDim) to.set(values.subarray(at, at + headDim), head * headDim)
    }
    return { count: tokens, length: heads * headDim, place: placeOf, read }
  }
  const read: Vectors['read'] = (values, channel, to) => {
    for (let token = 0, at = placeOf(0, channel); token < tokens; token++, at += headDim) to[token] = values[at]!
  }
  return { count: heads * headDim, length: tokens, place: (channel, token) => placeOf(token, channel), read }
}

/**
 * Of each vector the indices of its `each` least values and then of its `each` largest ones, from the outermost inwards, the first of equal ones; in `filled`, which
 * starts as the values, F32 of the vector's mean stands in their places. Twice `each` is at most the length of a vector.
 */
export function takeOutliers(values: Float32Array, { count, length, place, read }: Vectors, each: number, indices: Uint16Array, filled: Float32Array): void {
  if (each === 0) return
  const vector = new Float32Array(length)
  const key = new Float32Array(each)
  for (let v = 0; v < count; v++) {
    read(values, v, vector)
    let sum = 0
    for (let i = 0; i < length; i++) sum += vector[i]!
    const least = indices.subarray(2 * v * each, (2 * v + 1) * each)
    const largest = indices.subarray((2 * v + 1) * each, (2 * v + 2) * each)
    takeLeast(vector, key, least)
    // What the least ones have taken is no more to be had: all may be equal.
    for (const i of least) vector[i] = -Infinity
    for (let i = 0; i < length; i++) vector[i] = -vector[i]!
    takeLeast(vector, key, largest)
    const mean = sum / length
    for (const i of least) filled[place(v, i)] = mean
    for (const i of largest) filled[place(v, i)] = mean
  }
}

/** The indices of as many least values as there is room for, upwards, the first of equal ones; they are held in order, and few values of many get among them. */
function takeLeast(vector: Float32Array, key: Float32Array, indices: Uint16Array): void {
  const last = key.length - 1
  key.fill(Infinity)
  let limit = Infinity
  for (let i = 0; i < vector.length; i++) {
    const x = vector[i]!
    if (x >= limit) continue
    let at = last
    for (; at > 0 && key[at - 1]! > x; at--) {
      key[at] = key[at - 1]!
      indices[at] = indices[at - 1]!
    }
    key[at] = x
    indices[at] = i
    limit = key[last]!
  }
}
