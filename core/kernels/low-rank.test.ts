import { describe, expect, it } from 'vitest'
import { lowRank } from './low-rank.ts'

/** Even numbers of -1 to 1 from a 32-bit generator (xorshift, Marsaglia 2003). */
function evenly(count: number, seed: number): number[] {
  let state = seed
  return Array.from({ length: count }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state / 2 ** 31
  })
}

function factors(matrix: ArrayLike<number>, rows: number, columns: number, rank: number): { left: number[][]; right: number[][]; rest: number } {
  const [left, right] = [new Float64Array(rows * rank), new Float64Array(columns * rank)]
  lowRank(Float64Array.from(matrix), rows, columns, rank, left, right)
  const split = (flat: Float64Array): number[][] => Array.from({ length: rank }, (_, k) => Array.from(flat).filter((_x, i) => i % rank === k))
  const [l, r] = [split(left), split(right)]
  const rest = Array.from(matrix).reduce((sum, x, i) => sum + (x - l.reduce((total, column, k) => total + column[Math.floor(i / columns)]! * r[k]![i % columns]!, 0)) ** 2, 0)
  return { left: l, right: r, rest }
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0)

/** Σ of the squares of all but the first `rank` singular values: by power iteration on matrixᵀ matrix, one at a time and to the end. */
function leastRest(matrix: readonly number[], columns: number, rank: number): number {
  const rows = Array.from({ length: matrix.length / columns }, (_, t) => matrix.slice(t * columns, (t + 1) * columns))
  let rest = dot(matrix, matrix)
  for (let k = 0; k < rank; k++) {
    let v = evenly(columns, 5 + k)
    let value = 0
    for (let turn = 0; turn < 2000; turn++) {
      const u = rows.map((row) => dot(row, v))
      const w = v.map((_, c) => rows.reduce((sum, row, t) => sum + row[c]! * u[t]!, 0))
      value = Math.hypot(...w)
      v = w.map((x) => x / value)
    }
    rest -= value
    for (const row of rows) {
      const along = dot(row, v)
      for (let c = 0; c < columns; c++) row[c]! -= along * v[c]!
    }
  }
  return rest
}

describe('a low-rank product', () => {
  const [rows, columns] = [23, 16]

  it('is the matrix where that has so little rank, and has zeros where it has less', () => {
    const [a, b] = [evenly(2 * rows, 1), evenly(2 * columns, 2)]
    const matrix = Array.from({ length: rows * columns }, (_, i) => [0, 1].reduce((sum, k) => sum + a[k * rows + Math.floor(i / columns)]! * b[k * columns + (i % columns)]!, 0))
    for (const rank of [2, 3, 5]) expect(factors(matrix, rows, columns, rank).rest).toBeLessThan(1e-18)
    const none = factors(matrix.map(() => 0), rows, columns, 3)
    expect([...none.left.flat(), ...none.right.flat()].every((x) => x === 0)).toBe(true)
  })

  it('has orthonormal columns on the left, and on the right what the matrix is along them', () => {
    const matrix = evenly(rows * columns, 3)
    const { left, right } = factors(matrix, rows, columns, 4)
    for (const [i, a] of left.entries()) for (const [j, b] of left.entries()) expect(dot(a, b)).toBeCloseTo(i === j ? 1 : 0, 12)
    for (const [k, column] of right.entries()) for (const [c, x] of column.entries()) expect(x).toBeCloseTo(dot(left[k]!, matrix.filter((_, i) => i % columns === c)), 12)
  })

  it.each([1, 2, 4, 8])('of rank %i leaves at most half as much again as the best one can', (rank) => {
    const matrix = evenly(rows * columns, 4).map((x, i) => x / (1 + (i % columns)))
    const best = leastRest(matrix, columns, rank)
    const { rest } = factors(matrix, rows, columns, rank)
    expect(rest).toBeGreaterThan(best * (1 - 1e-9))
    expect(rest).toBeLessThan(1.5 * best)
  })
})
