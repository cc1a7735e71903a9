/** Places of a period that are gathered together, and the least number of periods. */
const PLACES = 64
const PERIODS = 16
/** Bytes of the periods of one turn, where they are more: what is read stays in the first-level cache while each place of it is gathered. */
const TURN = 16_384

/** Byte i of every period, one i after the other: for elements of `period` bytes their planes, for rows their channels. `bytes.length` is a multiple of `period`; where that is 1 it is `bytes` itself. */
export function transpose(bytes: Uint8Array, period: number): Uint8Array {
  if (period === 1) return bytes
  const out = new Uint8Array(bytes.length)
  const count = bytes.length / period
  const turn = Math.max(PERIODS, Math.floor(TURN / period))
  for (let from = 0; from < count; from += turn) {
    const end = Math.min(count, from + turn)
    for (let first = 0; first < period; first += PLACES) {
      const last = Math.min(period, first + PLACES)
      for (let place = first; place < last; place++) {
        for (let to = place * count + from, at = from * period + place; to < place * count + end; to++, at += period) out[to] = bytes[at] ?? 0
      }
    }
  }
  return out
}

/** The way back: what has so many places has as many periods of the other length. */
export function untranspose(bytes: Uint8Array, period: number): Uint8Array {
  return period === 1 || bytes.length === 0 ? bytes : transpose(bytes, bytes.length / period)
}
