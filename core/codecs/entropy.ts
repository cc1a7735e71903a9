const BYTE_VALUES = 256

/**
 * Bytes, rounded up, that an ideal order-0 coder needs for `bytes`: Shannon's bound for independent bytes of these frequencies,
 * without a table for them. Coders that see beyond single bytes, as LZ4 does, can get below it.
 */
export function entropyBound(bytes: Uint8Array): number {
  let bits = 0
  for (const count of histogram(bytes)) if (count > 0) bits += count * Math.log2(bytes.length / count)
  return Math.ceil(bits / 8)
}

/** Four tables in turn, so that runs of one byte do not wait for their own increment; used anew at every call. */
const counts = new Uint32Array(BYTE_VALUES)
const second = new Uint32Array(BYTE_VALUES)
const third = new Uint32Array(BYTE_VALUES)
const fourth = new Uint32Array(BYTE_VALUES)

/** How often each byte value comes; valid until the next call. */
export function histogram(bytes: Uint8Array): Uint32Array {
  for (const table of [counts, second, third, fourth]) table.fill(0)
  const whole = bytes.length - (bytes.length % 4)
  for (let i = 0; i < whole; i += 4) {
    counts[bytes[i]!]!++
    second[bytes[i + 1]!]!++
    third[bytes[i + 2]!]!++
    fourth[bytes[i + 3]!]!++
  }
  for (let i = whole; i < bytes.length; i++) counts[bytes[i]!]!++
  for (let value = 0; value < BYTE_VALUES; value++) counts[value]! += second[value]! + third[value]! + fourth[value]!
  return counts
}
