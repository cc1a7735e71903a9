import xxhash from 'xxhash-wasm'
import { describe, expect, it } from 'vitest'
import { xxh64 } from './xxh64.ts'

describe('xxh64', () => {
  it.each([
    // The sums of the reference library for these texts, seed 0.
    ['', 'ef46db3751d8e999'],
    ['a', 'd24ec4f1a98c6e5b'],
    ['abc', '44bc2cf5ad770999'],
    ['123456789', '8cb841db40e6ae83'],
  ])('%j is %s', (text, sum) => {
    expect(xxh64(new TextEncoder().encode(text))).toBe(sum)
  })

  it('in pieces equals the whole at once, whatever the length and place in its buffer', async () => {
    const api = await xxhash()
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 2654435761) >>> 13)
    for (const [begin, end] of [[0, 1], [1, 33], [3, 32_771], [0, 32_768], [0, 65_536], [7, 200_000]] as const) {
      const part = bytes.subarray(begin, end)
      expect(xxh64(part)).toBe(api.h64Raw(part).toString(16).padStart(16, '0'))
    }
  })

  it('keeps leading zeros', () => {
    const sums = Array.from({ length: 600 }, (_, i) => xxh64(Uint8Array.of(i & 255, i >> 8)))
    expect(sums.every((sum) => /^[0-9a-f]{16}$/.test(sum))).toBe(true)
    expect(sums.some((sum) => sum.startsWith('0'))).toBe(true)
  })
})
