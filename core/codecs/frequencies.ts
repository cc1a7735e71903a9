import { RANS_TOTAL } from '#core/kernels/rans.ts'
import { type BitReader, type BitWriter, golombBits } from './bits.ts'

export const SYMBOLS = 256
/** A table takes more bytes: each of its numbers is a bit at least. */
export const MIN_TABLE_BYTES = SYMBOLS / 8
/** Bits that say the order of a table's Exp-Golomb codes. */
const ORDER_BITS = 4
const ORDERS = [0, 1, 2, 3, 4, 5, 6] as const

/**
 * Frequencies that add up to 4096 for counts of bytes, not all 0: at least 1 for each byte that is there, below 4096 for each, so that no byte is free
 * and so many coded bytes cannot hold more than so many raw ones. Rounded, then one by one where that costs least.
 */
export function normalised(counts: Uint32Array, out: Uint16Array): void {
  const total = counts.reduce((sum, count) => sum + count, 0)
  let sum = 0
  counts.forEach((count, symbol) => {
    const share = count === 0 ? 0 : Math.min(RANS_TOTAL - 1, Math.max(1, Math.round((count * RANS_TOTAL) / total)))
    out[symbol] = share
    sum += share
  })
  // Alone, a byte shares with one that never comes.
  const present = counts.findIndex((count) => count > 0)
  if (counts[present] === total) {
    out[(present + 1) % SYMBOLS] = 1
    return
  }
  for (; sum > RANS_TOTAL; sum--) bump(counts, out, -1)
  for (; sum < RANS_TOTAL; sum++) bump(counts, out, 1)
}

/** Changes by one the frequency where that loses least or gains most: count · ln((f + 1) / f) is close to count / (f + 1/2). */
function bump(counts: Uint32Array, out: Uint16Array, step: 1 | -1): void {
  let best = -1
  let bestGain = -Infinity
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    const f = out[symbol] ?? 0
    if (f === 0 || (step < 0 && f === 1) || (step > 0 && f === RANS_TOTAL - 1)) continue
    const gain = (step * (counts[symbol] ?? 0)) / (f + step / 2)
    if (gain > bestGain) [best, bestGain] = [symbol, gain]
  }
  out[best] = (out[best] ?? 0) + step
}

/** Bits that bytes of these counts take by these frequencies. */
export function codedBits(counts: Uint32Array, frequencies: Uint16Array): number {
  let bits = 0
  for (let symbol = 0; symbol < SYMBOLS; symbol++) if ((counts[symbol] ?? 0) > 0) bits += (counts[symbol] ?? 0) * Math.log2(RANS_TOTAL / (frequencies[symbol] ?? 1))
  return bits
}

/** Writes one table: the order of its codes in 4 bits, that makes it shortest, then 256 Exp-Golomb codes. */
export function writeFrequencies(table: Uint16Array, writer: BitWriter): void {
  const bitsBy = ORDERS.map((order) => table.reduce((sum, f) => sum + golombBits(f, order), 0))
  const order = bitsBy.indexOf(Math.min(...bitsBy))
  writer.bits(order, ORDER_BITS)
  for (const f of table) writer.golomb(f, order)
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
