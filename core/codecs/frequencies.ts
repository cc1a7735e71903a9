import { RANS_TOTAL } from '#core/kernels/rans.ts'
import { type BitReader, type BitWriter, golombBits } from './bits.ts'

export const SYMBOLS = 256
/** A table takes more bytes: each of its numbers is a bit at least. */
export const MIN_TABLE_BYTES = SYMBOLS / 8
/** Bits that say the order of a table's Exp-Golomb codes. */
const ORDER_BITS = 4
const ORDERS = [0, 1, 2, 3, 4, 5, 6] as const
/** Of each order the bits of the code of every frequency; and the bits of a byte of every frequency. */
const CODE_BITS = ORDERS.map((order) => Uint8Array.from({ length: RANS_TOTAL }, (_, f) => golombBits(f, order)))
const BYTE_BITS = Float64Array.from({ length: RANS_TOTAL }, (_, f) => Math.log2(RANS_TOTAL / Math.max(f, 1)))
/** What a change of each frequency would gain, for `bump`. */
const gains = new Float64Array(SYMBOLS)

/**
 * Frequencies that add up to 4096 for counts of bytes, not all 0: at least 1 for each byte that is there, below 4096 for each, so that no byte is free
 * and so many coded bytes cannot hold more than so many raw ones. Rounded, then one by one where that costs least.
 */
export function normalised(counts: Uint32Array, out: Uint16Array): void {
  let total = 0
  let present = -1
  for (let symbol = SYMBOLS - 1; symbol >= 0; symbol--) {
    total += counts[symbol] ?? 0
    if ((counts[symbol] ?? 0) > 0) present = symbol
  }
  let sum = 0
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    const count = counts[symbol] ?? 0
    const share = count === 0 ? 0 : Math.min(RANS_TOTAL - 1, Math.max(1, Math.round((count * RANS_TOTAL) / total)))
    out[symbol] = share
    sum += share
  }
  // Alone, a byte shares with one that never comes.
  if (counts[present] === total) out[(present + 1) % SYMBOLS] = 1
  else if (sum !== RANS_TOTAL) bump(counts, out, Math.abs(sum - RANS_TOTAL), sum > RANS_TOTAL ? -1 : 1)
}

/** Changes frequencies by one, `times` times, each time the one where that loses least or gains most: count · ln((f + 1) / f) is close to count / (f + 1/2). */
function bump(counts: Uint32Array, out: Uint16Array, times: number, step: 1 | -1): void {
  for (let symbol = 0; symbol < SYMBOLS; symbol++) gains[symbol] = gainOf(counts[symbol] ?? 0, out[symbol] ?? 0, step)
  for (let time = 0; time < times; time++) {
    let best = 0
    for (let symbol = 1; symbol < SYMBOLS; symbol++) if ((gains[symbol] ?? 0) > (gains[best] ?? 0)) best = symbol
    out[best] = (out[best] ?? 0) + step
    gains[best] = gainOf(counts[best] ?? 0, out[best] ?? 0, step)
  }
}

function gainOf(count: number, f: number, step: 1 | -1): number {
  return f === 0 || (step < 0 && f === 1) || (step > 0 && f === RANS_TOTAL - 1) ? -Infinity : (step * count) / (f + step / 2)
}

/** Bits that bytes of these counts take by these frequencies. */
export function codedBits(counts: Uint32Array, frequencies: Uint16Array): number {
  let bits = 0
  for (let symbol = 0; symbol < SYMBOLS; symbol++) if ((counts[symbol] ?? 0) > 0) bits += (counts[symbol] ?? 0) * (BYTE_BITS[frequencies[symbol] ?? 1] ?? 0)
  return bits
}

/** Writes one table: the order of its codes in 4 bits, that makes it shortest, then 256 Exp-Golomb codes. */
export function writeFrequencies(table: Uint16Array, writer: BitWriter): void {
  const bitsBy = CODE_BITS.map((codeBits) => {
    let bits = 0
    for (let symbol = 0; symbol < SYMBOLS; symbol++) bits += codeBits[table[symbol] ?? 0] ?? 0
    return bits
  })
  const order = bitsBy.indexOf(Math.min(...bitsBy))
  writer.bits(order, ORDER_BITS)
  for (let symbol = 0; symbol < SYMBOLS; symbol++) writer.golomb(table[symbol] ?? 0, order)
}

/** Reads one table; whether it is one: below 4096 each and 4096 together. */
export function readFrequencies(reader: BitReader, table: Uint16Array): boolean {
  const order = reader.bits(ORDER_BITS)
  if (order < 0 || order >= ORDERS.length) return false
  let sum = 0
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    const f = reader.golomb(order)
    if (f < 0 || f >= RANS_TOTAL) return false
    table[symbol] = f
    sum += f
  }
  return sum === RANS_TOTAL
}
