import { expect, it } from 'vitest'
import { normalQuantile } from './quantile.ts'
import { studentQuantile } from './student.ts'

it('agrees with the published tables', () => {
  // Three decimals as in any textbook, and the closed forms for 1 and 2 degrees of freedom.
  const table: [share: number, degrees: number, t: number][] = [
    [0.9, 1, 3.078], [0.975, 1, 12.706], [0.999, 1, 318.309], [0.975, 2, 4.303], [0.999, 3, 10.215], [0.95, 7, 1.895], [0.999, 7, 4.785],
    [0.975, 10, 2.228], [0.99, 15, 2.602], [0.975, 40, 2.021], [0.999, 100, 3.174],
  ]
  for (const [share, degrees, t] of table) expect(Math.abs(studentQuantile(share, degrees) - t), `${share} ${degrees}`).toBeLessThan(6e-4)
  for (const share of [0.6, 0.99, 1 - 1e-6, 1 - 1e-9]) {
    expect(studentQuantile(share, 1) / Math.tan(Math.PI * (share - 0.5)) - 1).toBeCloseTo(0, 6)
    expect(studentQuantile(share, 2) / ((2 * share - 1) * Math.sqrt(1 / (2 * share * (1 - share)))) - 1).toBeCloseTo(0, 6)
  }
})

it('falls to the normal quantile as degrees of freedom grow', () => {
  for (const share of [0.9, 0.999, 0.99999]) {
    const falling = [1, 2, 3, 7, 8, 40, 41, 500, 1999, 2000].map((degrees) => studentQuantile(share, degrees))
    falling.slice(1).forEach((t, i) => expect(t).toBeLessThan(falling[i]!))
    expect(falling.at(-1)).toBe(normalQuantile(share))
    expect((falling.at(-2) ?? NaN) / normalQuantile(share) - 1).toBeLessThan(0.005)
  }
})
