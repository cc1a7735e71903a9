import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bitsOf, bytesFrom, runs, same, shifted } from '../../test/kernel-twins.ts'
import { POLAR_ANGLES, POLAR_BLOCK, polarBytes, type PolarStreams } from './polar.ts'

const sizes = [16, 32, 64, 128, 512, 1024] as const
const rowsOf = (headDim: number): fc.Arbitrary<number> => fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(Math.floor(16_384 / headDim) - 1, Math.floor(16_384 / headDim) + 1, Math.floor(40_000 / headDim)))

describe.each(sizes)('rows of %i values', (headDim) => {
  const large = headDim === 1024 ? 4 : 10

  it('signs of random rotations: the same bits, norms, values and errors', () => {
    let encoded = 0
    const property = fc.property(runs(headDim), fc.constantFrom(1, 2, 3, 8), (values, rotations) => {
      const result = same((implementation) => {
        const codes = shifted(Uint8Array, (values.length * rotations) / 8)
        const norms = shifted(Uint16Array, values.length / headDim)
        implementation.quantizeSketch(values, headDim, codes, norms)
        const out = shifted(Float32Array, values.length)
        const finite = implementation.dequantizeSketch(codes, norms, headDim, out)
        return { codes, norms, finite, out: bitsOf(out) }
      })
      if ('codes' in result) encoded++
    })
    fc.assert(property, { numRuns: 4 * large })
    expect(encoded).toBeGreaterThan(0)
  })

  it('polar coordinates: the same codes, radii, values and errors', () => {
    let encoded = 0
    const property = fc.property(runs(headDim), (values) => {
      const result = same((implementation) => {
        const streams = emptyPolar(values.length / headDim, headDim)
        implementation.quantizePolar(values, headDim, streams)
        const out = shifted(Float32Array, values.length)
        const finite = implementation.dequantizePolar(streams, headDim, out)
        return { angles: streams.angles, radii: streams.radii, finite, out: bitsOf(out) }
      })
      if ('radii' in result) encoded++
    })
    fc.assert(property, { numRuns: 6 * large })
    expect(encoded).toBeGreaterThan(0)
  })

  it('the same values from any codes, norms and radii', () => {
    const property = fc.property(rowsOf(headDim), fc.integer(), fc.boolean(), fc.constantFrom(1, 2, 5), (rows, seed, tame, rotations) => {
      const random = bytesFrom(seed)
      const half = (): number => (random() | (random() << 8)) & (tame ? 0xbbff : 0xffff)
      const codes = shifted(Uint8Array, (rows * headDim * rotations) / 8).map(random)
      const norms = shifted(Uint16Array, rows).map(half)
      const { angles } = emptyPolar(rows, headDim)
      for (const level of angles) for (let i = 0; i < level.length; i++) level[i] = random()
      const radii = shifted(Uint16Array, (rows * headDim) / POLAR_BLOCK).map(half)
      for (const decoded of [
        same((implementation) => {
          const out = shifted(Float32Array, rows * headDim)
          return { finite: implementation.dequantizeSketch(codes, norms, headDim, out), out: bitsOf(out) }
        }),
        same((implementation) => {
          const out = shifted(Float32Array, rows * headDim)
          return { finite: implementation.dequantizePolar({ angles, radii }, headDim, out), out: bitsOf(out) }
        }),
      ]) if (tame) expect(decoded).toMatchObject({ finite: true })
    })
    fc.assert(property, { numRuns: large })
  })
})

it('angles on the axes, on the diagonals and on both sides of each boundary have the same codes', () => {
  const angles = Array.from({ length: 64 }, (_, k) => (k * Math.PI) / 32).flatMap((angle) => [angle - 1e-7, angle, angle + 1e-7])
  const values = Float32Array.from(angles.flatMap((angle) => Array.from({ length: 8 }, () => [Math.cos(angle), Math.sin(angle)]).flat()))
  const axes = Float32Array.from([0, 1, 0, -1, 1, 0, -1, 0, 0, 0, -0, 0, 1, -1, -1, 1].flatMap((x) => [x, ...new Array<number>(15).fill(0)]))
  for (const some of [values, axes]) {
    same((implementation) => {
      const streams = emptyPolar(some.length / 16, 16)
      implementation.quantizePolar(some, 16, streams)
      return streams
    })
  }
})

function emptyPolar(rows: number, headDim: number): PolarStreams {
  const level = (i: number): Uint8Array => shifted(Uint8Array, rows * polarBytes(headDim, i))
  expect(POLAR_ANGLES.length).toBe(4)
  return { angles: [level(0), level(1), level(2), level(3)], radii: shifted(Uint16Array, (rows * headDim) / POLAR_BLOCK) }
}
