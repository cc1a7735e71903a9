import fc from 'fast-check'
import { expect, it } from 'vitest'
import { entropyBound } from './entropy.ts'

it.each([
  ['nothing', [], 0],
  ['one byte', [9], 0],
  ['equal bytes', new Array<number>(1000).fill(200), 0],
  ['two values by halves, one bit each', Array.from({ length: 800 }, (_, i) => (i % 2 ? 255 : 0)), 100],
  ['all values alike, nothing to gain', Array.from({ length: 1024 }, (_, i) => i % 256), 1024],
  // 1/2, 1/4, 1/8, 1/8: 1.75 bits a byte.
  ['a dyadic source', Array.from({ length: 800 }, (_, i) => [0, 0, 0, 0, 1, 1, 2, 3][i % 8]!), 175],
])('%s', (_, values, bound) => {
  expect(entropyBound(Uint8Array.from(values))).toBe(bound)
})

it('is Shannon’s sum, whatever the order and the length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const counts = new Map<number, number>()
      for (const byte of bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1)
      const bits = [...counts.values()].reduce((sum, count) => sum - count * Math.log2(count / bytes.length), 0)
      expect(Math.abs(entropyBound(bytes) - bits / 8)).toBeLessThanOrEqual(1)
      expect(entropyBound(bytes)).toBeGreaterThanOrEqual(bits / 8 - 1e-9)
      expect(entropyBound(bytes.slice().sort())).toBeCloseTo(entropyBound(bytes), -0.5)
    }),
    { numRuns: 200 },
  )
})
