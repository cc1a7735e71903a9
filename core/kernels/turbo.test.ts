import { describe, expect, it } from 'vitest'
import { walshHadamard } from './hadamard.ts'
import { TURBO_LEVELS } from './turbo.ts'

const density = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)

/** Mass of N(0, 1) from a to b by Simpson's rule. */
function mass(a: number, b: number): number {
  const steps = 400
  const h = (b - a) / steps
  let sum = density(a) + density(b)
  for (let i = 1; i < steps; i++) sum += density(a + i * h) * (i % 2 === 0 ? 2 : 4)
  return (sum * h) / 3
}

/** Positive levels by Lloyd's iteration: each the mean of N(0, 1) over what is nearest to it. Beyond 12 there is no mass. */
function lloyd(count: number): number[] {
  let levels = Array.from({ length: count }, (_, i) => ((i + 0.5) * 3) / count)
  for (let moved = 1; moved > 1e-11; ) {
    const edges = [0, ...levels.slice(1).map((level, i) => (level + levels[i]!) / 2), 12]
    const next = levels.map((_, i) => (density(edges[i]!) - density(edges[i + 1]!)) / mass(edges[i]!, edges[i + 1]!))
    moved = Math.max(...next.map((level, i) => Math.abs(level - levels[i]!)))
    levels = next
  }
  return levels
}

describe.each([2, 3, 4] as const)('the levels of %i bits', (bits) => {
  it('are where Lloyd and Max put them', () => {
    const positive = lloyd(2 ** (bits - 1))
    const expected = [...positive.map((level) => -level).reverse(), ...positive]
    expect(TURBO_LEVELS[bits].length).toBe(expected.length)
    for (const [i, level] of expected.entries()) expect(TURBO_LEVELS[bits][i]).toBeCloseTo(level, 6)
  })
})

it.each([16, 32, 64, 128, 256, 512, 1024])('the transform of %i values is Sylvester’s matrix', (size) => {
  const matrix = (k: number, i: number): number => ((k & i).toString(2).replaceAll('0', '').length % 2 === 0 ? 1 : -1)
  for (const i of [0, 1, 2, 5, size / 2, size - 1]) {
    const unit = new Float32Array(size)
    unit[i] = 1
    walshHadamard(unit)
    expect([...unit]).toEqual(Array.from({ length: size }, (_, k) => matrix(k, i)))
  }
})
