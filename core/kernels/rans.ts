/** Frequencies of a table add up to this. */
export const RANS_TOTAL = 4096
const TOTAL_BITS = 12
const SYMBOLS = 256
/** States lie in 2^16 .. 2^32 - 1 and begin at the least; a word is 16 bits. */
export const RANS_LEAST_STATE = 65536
const WORD = 65536
/** Symbol i of a part is state i % 4's. */
export const RANS_STATES = 4

/** Kernels.encodeRans in TypeScript. */
export function encodeRans(raw: Uint8Array, frequencies: Uint16Array, states: Uint32Array, room: Uint8Array): number {
  const parts = frequencies.length / SYMBOLS
  const length = raw.length / parts
  const begins = new Uint16Array(SYMBOLS)
  let to = room.length
  states.fill(RANS_LEAST_STATE)
  for (let part = parts - 1; part >= 0; part--) {
    const table = frequencies.subarray(part * SYMBOLS, (part + 1) * SYMBOLS)
    for (let symbol = 0, begin = 0; symbol < SYMBOLS; symbol++) {
      begins[symbol] = begin
      begin += table[symbol]!
    }
    for (let i = length - 1; i >= 0; i--) {
      const symbol = raw[part * length + i]!
      const f = table[symbol]!
      let x = states[i % RANS_STATES]!
      if (x >>> 20 >= f) {
        if (to < 2) return -1
        room[--to] = (x >>> 8) & 0xff
        room[--to] = x & 0xff
        x >>>= 16
      }
      states[i % RANS_STATES] = x + begins[symbol]! + Math.floor(x / f) * (RANS_TOTAL - f)
    }
  }
  return to
}

/** Kernels.decodeRans in TypeScript. */
export function decodeRans(coded: Uint8Array, frequencies: Uint16Array, states: Uint32Array, out: Uint8Array): boolean {
  const parts = frequencies.length / SYMBOLS
  const length = out.length / parts
  const symbols = new Uint8Array(RANS_TOTAL)
  const begins = new Uint16Array(SYMBOLS)
  let from = 0
  for (let part = 0; part < parts; part++) {
    const table = frequencies.subarray(part * SYMBOLS, (part + 1) * SYMBOLS)
    for (let symbol = 0, begin = 0; symbol < SYMBOLS; symbol++) {
      begins[symbol] = begin
      symbols.fill(symbol, begin, (begin += table[symbol]!))
    }
    for (let i = 0; i < length; i++) {
      const state = states[i % RANS_STATES]!
      const slot = state % RANS_TOTAL
      const symbol = symbols[slot]!
      out[part * length + i] = symbol
      let x = table[symbol]! * (state >>> TOTAL_BITS) + slot - begins[symbol]!
      if (x < RANS_LEAST_STATE) {
        if (from + 2 > coded.length) return false
        x = x * WORD + (coded[from]! | (coded[from + 1]! << 8))
        from += 2
      }
      states[i % RANS_STATES] = x
    }
  }
  return from === coded.length && states.every((state) => state === RANS_LEAST_STATE)
}
