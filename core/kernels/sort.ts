const DIGIT = 11
const DIGITS = 1 << DIGIT
const LAST = 2 * DIGIT
const SIGN = 0x80000000

/** Sorts finite numbers upwards, -0 before 0, by their bits in three rounds of eleven: several times as fast as comparing. */
export function sortFloats(numbers: Float32Array): void {
  const bits = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length)
  const other = new Uint32Array(numbers.length)
  const [low, middle, high] = [new Uint32Array(DIGITS), new Uint32Array(DIGITS), new Uint32Array(DIGITS)]
  for (let i = 0; i < bits.length; i++) {
    // Bits as unsigned integers in the order of the numbers: negative ones inverted, others with the sign set.
    const x = bits[i]!
    const ordered = (x ^ (-(x >>> 31) | SIGN)) >>> 0
    bits[i] = ordered
    low[ordered & (DIGITS - 1)]!++
    middle[(ordered >>> DIGIT) & (DIGITS - 1)]!++
    high[ordered >>> LAST]!++
  }
  for (const counts of [low, middle, high]) {
    for (let digit = 0, begin = 0; digit < DIGITS; digit++) {
      const count = counts[digit]!
      counts[digit] = begin
      begin += count
    }
  }
  scatter(bits, other, low, 0)
  scatter(other, bits, middle, DIGIT)
  scatter(bits, other, high, LAST)
  for (let i = 0; i < bits.length; i++) bits[i] = other[i]! ^ (((other[i]! >>> 31) - 1) | SIGN)
}

/** Moves each number to where those of its digit stand next. */
function scatter(from: Uint32Array, to: Uint32Array, next: Uint32Array, shift: number): void {
  for (let i = 0; i < from.length; i++) to[next[(from[i]! >>> shift) & (DIGITS - 1)]!++] = from[i]!
}
