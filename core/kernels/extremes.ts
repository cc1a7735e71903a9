import { bitsUnder } from '#core/bytes/float.ts'

/*
 * Extremes of runs of finite values. F32 bits without their sign order as integers do, and a maximum of such integers takes no branch:
 * `most - x` is negative where x is larger, and then its own sign, as a mask, adds the difference. Branches on random values cost twice the time.
 */

/** What the last call found: the least value, then the largest. In an array of floats, since an object changes its layout with what it holds. */
export const found = new Float32Array(2)
const foundBits = bitsUnder(found)
const LOW = 0
const HIGH = 1
const SIGN = 0x80000000

/** Largest |x| of bits[at..at + length), a multiple of 4. */
export function largestMagnitude(bits: Int32Array, at: number, length: number): number {
  let most = 0
  let other = 0
  for (let i = at; i < at + length; i += 4) {
    const a = bits[i]! & 0x7fffffff
    const b = bits[i + 1]! & 0x7fffffff
    const c = bits[i + 2]! & 0x7fffffff
    const d = bits[i + 3]! & 0x7fffffff
    const first = most - (a - ((a - b) & ((a - b) >> 31)))
    const second = other - (c - ((c - d) & ((c - d) >> 31)))
    most -= first & (first >> 31)
    other -= second & (second >> 31)
  }
  foundBits[HIGH] = Math.max(most, other)
  return found[HIGH]!
}

/** Finds the least negative value of bits[at..at + length), a multiple of 2, and the largest positive one; 0 where no value has the sign. */
export function findExtremes(bits: Int32Array, at: number, length: number): void {
  let high = 0
  let low = 0
  let otherHigh = 0
  let otherLow = 0
  for (let i = at; i < at + length; i += 2) {
    const a = bits[i]!
    const b = bits[i + 1]!
    const up = high - (a & ~(a >> 31))
    const down = low - (a & (a >> 31) & 0x7fffffff)
    const otherUp = otherHigh - (b & ~(b >> 31))
    const otherDown = otherLow - (b & (b >> 31) & 0x7fffffff)
    high -= up & (up >> 31)
    low -= down & (down >> 31)
    otherHigh -= otherUp & (otherUp >> 31)
    otherLow -= otherDown & (otherDown >> 31)
  }
  foundBits[LOW] = Math.max(low, otherLow) | SIGN
  foundBits[HIGH] = Math.max(high, otherHigh)
}

/** Finds the least and the largest of values[at..at + length), as they stand: of equal zeros the first. */
export function findRange(values: Float32Array, bits: Int32Array, at: number, length: number): void {
  findExtremes(bits, at, length)
  if (found[LOW]! < 0 && found[HIGH]! > 0) return
  let low = values[at]!
  let high = low
  for (let i = at + 1; i < at + length; i++) {
    const x = values[i]!
    if (x < low) low = x
    if (x > high) high = x
  }
  found[LOW] = low
  found[HIGH] = high
}
