/** Byte i of every period, one i after the other: for elements of `period` bytes their planes, for rows their channels. `bytes.length` is a multiple of `period`. */
export function transpose(bytes: Uint8Array, period: number): Uint8Array {
  if (period === 1) return bytes
  const out = new Uint8Array(bytes.length)
  const count = bytes.length / period
  // A few periods at a time, so that what is read stays in the first-level cache while each place of it is gathered.
  const turn = turnOf(period)
  for (let from = 0; from < count; from += turn) {
    const end = Math.min(count, from + turn)
    for (let place = 0; place < period; place++) {
      const begin = place * count
      for (let i = from, at = from * period + place; i < end; i++, at += period) out[begin + i] = bytes[at] ?? 0
    }
  }
  return out
}

/** The way back, in fresh memory unless `period` is 1. */
export function untranspose(bytes: Uint8Array, period: number): Uint8Array {
  if (period === 1) return bytes
  const out = new Uint8Array(bytes.length)
  const count = bytes.length / period
  const turn = turnOf(period)
  for (let from = 0; from < count; from += turn) {
    const end = Math.min(count, from + turn)
    for (let place = 0; place < period; place++) {
      const begin = place * count
      for (let i = from, at = from * period + place; i < end; i++, at += period) out[at] = bytes[begin + i] ?? 0
    }
  }
  return out
}

function turnOf(period: number): number {
  return Math.max(1, Math.floor(16_384 / period))
}
