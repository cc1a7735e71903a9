import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { f16ToF32 } from '#core/bytes/float.ts'
import { POLAR_ANGLES, POLAR_BITS, POLAR_LEVELS, POLAR_SEED } from '#core/kernels/polar.ts'
import { randomSigns } from '#core/kernels/random-rotation.ts'
import { polar } from './polar.ts'
import type { BlockShape } from './quantizer.ts'

/** Integral of f over a to b by Simpson's rule. */
function integral(f: (x: number) => number, a: number, b: number): number {
  const steps = 400
  const h = (b - a) / steps
  let sum = f(a) + f(b)
  for (let i = 1; i < steps; i++) sum += f(a + i * h) * (i % 2 === 0 ? 2 : 4)
  return (sum * h) / 3
}

/** Four levels on 0 to π/2 by Lloyd's iteration: each the mean of the density over what is nearest to it. */
function lloyd(density: (angle: number) => number): number[] {
  let levels = [0.3, 0.6, 0.9, 1.2]
  for (let moved = 1; moved > 1e-12; ) {
    const edges = [0, ...levels.slice(1).map((level, i) => (level + levels[i]!) / 2), Math.PI / 2]
    const next = levels.map((_, i) => integral((x) => x * density(x), edges[i]!, edges[i + 1]!) / integral(density, edges[i]!, edges[i + 1]!))
    moved = Math.max(...next.map((level, i) => Math.abs(level - levels[i]!)))
    levels = next
  }
  return levels
}

describe('the levels of the angles', () => {
  it.each([2, 3, 4])('of level %i are where Lloyd and Max put them', (level) => {
    const expected = lloyd((angle) => Math.sin(2 * angle) ** (2 ** (level - 1) - 1))
    expect(POLAR_LEVELS[level - 1]!.length).toBe(4)
    for (const [i, angle] of expected.entries()) expect(POLAR_LEVELS[level - 1]![i]).toBeCloseTo(angle, 9)
  })

  it('of the first one are the middles of equal sectors', () => {
    expect([...POLAR_LEVELS[0]!]).toEqual(Array.from({ length: 16 }, (_, k) => ((2 * k + 1) * Math.PI) / 16))
  })

  it('the densities are those of norms of normal vectors: each level takes an eighth, a quarter, half and all of a block', () => {
    // The joint density of two norms of n normal values each is r^(n-1) s^(n-1) e^(-(r² + s²)/2): in polar form (cos sin)^(n-1), n = 2^(l-1).
    for (const n of [2, 4, 8]) {
      const [ours, theirs] = [0.3, 0.7].map((angle) => [Math.sin(2 * angle) ** (n - 1), (Math.cos(angle) * Math.sin(angle)) ** (n - 1)]) as [number[], number[]]
      expect(ours[0]! / ours[1]!).toBeCloseTo(theirs[0]! / theirs[1]!, 10)
    }
  })
})

type Node = { radius: number; codes: number[][]; unit: number[]; margin: number }

/** Recursive polar coordinates by their definition, with arc tangents: codes level by level, the unit vector they stand for, and how near any angle is to a boundary. */
function polarForm(values: readonly number[]): Node {
  const half = values.length / 2
  if (values.length === 1) return { radius: values[0]!, codes: [], unit: [1], margin: Infinity }
  const [one, other] = [polarForm(values.slice(0, half)), polarForm(values.slice(half))]
  const levels = POLAR_LEVELS[Math.log2(half)]!
  const angle = Math.atan2(other.radius, one.radius)
  const turned = half === 1 && angle < 0 ? angle + 2 * Math.PI : angle
  const distances = [...levels].map((level) => Math.abs(level - turned))
  const code = distances.indexOf(Math.min(...distances))
  const [nearest, next] = distances.toSorted((a, b) => a - b) as [number, number]
  const wrap = half === 1 ? Math.min(turned, 2 * Math.PI - turned) : Infinity
  return {
    radius: Math.hypot(one.radius, other.radius),
    codes: [...one.codes.map((row, level) => [...row, ...other.codes[level]!]), [code]],
    unit: [...one.unit.map((x) => x * Math.cos(levels[code]!)), ...other.unit.map((x) => x * Math.sin(levels[code]!))],
    margin: Math.min(one.margin, other.margin, next - nearest, wrap),
  }
}

/** Sylvester's matrix by its definition, orthonormal. */
const entry = (k: number, i: number, size: number): number => ((k & i).toString(2).replaceAll('0', '').length % 2 === 0 ? 1 : -1) / Math.sqrt(size)

function encoded(values: Float32Array, headDim: number): { streams: Record<string, Uint8Array | Uint16Array>; back: Float32Array } {
  const shape: BlockShape = { side: 'key', kvHeads: 1, tokens: values.length / headDim, headDim, dtype: 'F32' }
  const streams = Object.fromEntries(
    Object.entries(polar.layout(shape, {})).map(([name, { dtype, shape: sizes }]) => {
      const length = sizes.reduce((a, b) => a * b, 1)
      return [name, dtype === 'F16' ? new Uint16Array(length) : new Uint8Array(length)]
    }),
  )
  polar.encode(values, shape, {}, streams)
  const back = new Float32Array(values.length)
  expect(polar.decode(streams, shape, {}, back)).toBe(true)
  return { streams, back }
}

describe.each([16, 32, 64, 128])('rows of %i', (headDim) => {
  const normal = fc.tuple(fc.double({ min: 1e-9, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })).map(([u, v]) => Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v))

  it('are the recursive polar form of the rotated row', () => {
    let compared = 0
    const signs = randomSigns(headDim, POLAR_SEED)
    fc.assert(
      fc.property(fc.array(normal, { minLength: headDim, maxLength: headDim }), (numbers) => {
        const values = Float32Array.from(numbers)
        const { streams, back } = encoded(values, headDim)
        const rotated = numbers.map((_, k) => values.reduce((sum, x, i) => sum + x * signs[i]! * entry(k, i, headDim), 0))
        const blocks = Array.from({ length: headDim / 16 }, (_, k) => polarForm(rotated.slice(16 * k, 16 * k + 16)))
        if (blocks.some(({ margin }) => margin < 1e-4)) return
        compared++
        for (const level of [0, 1, 2, 3]) {
          const bits = POLAR_BITS[level]!
          const codes = Array.from({ length: (headDim / 16) * POLAR_ANGLES[level]! }, (_, i) => (streams[`angles${level + 1}`]![Math.floor((i * bits) / 8)]! >> ((i * bits) % 8)) & (2 ** bits - 1))
          expect(codes).toEqual(blocks.flatMap((block) => block.codes[level]!))
        }
        const decoded = blocks.flatMap(({ radius, unit }, k) => {
          expect(Math.abs(f16ToF32(streams['radii']![k]!) / radius - 1)).toBeLessThan(2 ** -10.99)
          return unit.map((x) => x * f16ToF32(streams['radii']![k]!))
        })
        const due = numbers.map((_, i) => signs[i]! * decoded.reduce((sum, y, k) => sum + y * entry(k, i, headDim), 0))
        for (const [i, x] of due.entries()) expect(Math.abs(back[i]! - x)).toBeLessThan(1e-5)
      }),
      { numRuns: 40 },
    )
    expect(compared).toBeGreaterThan(10)
  })
})

it('takes 3.875 bits from a head size of 64 on', () => {
  const bits = [16, 32, 64, 128, 256].map((headDim) => polar.bits({}, { side: 'key', kvHeads: 1, tokens: 1, headDim, dtype: 'F32' }))
  expect(bits).toEqual([4.5, 4, 3.875, 3.875, 3.875])
})
