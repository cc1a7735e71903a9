import fc from 'fast-check'
import { expect, it } from 'vitest'
import { takeOutliers, vectorsOf } from './vector-outliers.ts'

it('the least and the largest values of each vector are taken, the first of equal ones, and its mean stands for them', () => {
  const sizes = fc.record({ heads: fc.integer({ min: 1, max: 3 }), tokens: fc.integer({ min: 1, max: 9 }), headDim: fc.integer({ min: 1, max: 8 }), byChannel: fc.boolean() })
  const value = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ min: -9, max: 9, noNaN: true }))
  fc.assert(
    fc.property(sizes, fc.double({ min: 0, max: 0.5, noNaN: true }), fc.infiniteStream(value), ({ heads, tokens, headDim, byChannel }, part, stream) => {
      const values = Float32Array.from({ length: heads * tokens * headDim }, () => Number(stream.next().value))
      const vectors = vectorsOf(byChannel, heads, tokens, headDim)
      const each = Math.floor(vectors.length * part)
      const indices = new Uint16Array(2 * each * vectors.count)
      const filled = values.slice()
      takeOutliers(values, vectors, each, indices, filled)
      const nameOf = (i: number): number => (byChannel ? Math.floor(i / (tokens * headDim)) * headDim + (i % headDim) : Math.floor(i / headDim) % tokens)
      for (let v = 0; v < vectors.count; v++) {
        // A vector's values in the order of the layer are in that of its indices too: heads one after the other.
        const places = [...values.keys()].filter((i) => nameOf(i) === v)
        const own = places.map((i) => values[i]!)
        const up = [...own.keys()].toSorted((a, b) => own[a]! - own[b]!).slice(0, each)
        const down = [...own.keys()].filter((i) => !up.includes(i)).toSorted((a, b) => own[b]! - own[a]!).slice(0, each)
        expect([...indices.subarray(2 * v * each, 2 * (v + 1) * each)]).toEqual([...up, ...down])
        const mean = Math.fround(own.reduce((sum, x) => sum + x, 0) / own.length)
        for (const [i, at] of places.entries()) expect(filled[at]).toBe(up.includes(i) || down.includes(i) ? mean : values[at])
      }
    }),
    { numRuns: 200 },
  )
})
