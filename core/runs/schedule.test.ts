import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isControlWindow, MAX_CONTROL_WINDOWS, passesOf, rowsOf } from './schedule.ts'

describe('isControlWindow', () => {
  it('is all windows of a short run, and 16 spread ones of a long run with the first among them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), (windows) => {
        const chosen = Array.from({ length: windows }, (_, i) => i).filter((i) => isControlWindow(i, windows))
        expect(chosen.length).toBe(Math.min(windows, MAX_CONTROL_WINDOWS))
        expect(chosen[0]).toBe(0)
        const gaps = chosen.slice(1).map((window, i) => window - (chosen[i] ?? 0))
        expect(Math.max(0, ...gaps) - Math.min(...gaps, windows)).toBeLessThanOrEqual(windows <= MAX_CONTROL_WINDOWS ? 1 : 1)
      }),
      { numRuns: 200 },
    )
  })
})

describe('passesOf', () => {
  const methods = ['a', 'b', 'c', 'd', 'e']

  it('puts every method in exactly one row, the reference first, controls on control windows only', () => {
    for (const batch of [1, 2, 3, 4, 8]) {
      for (const [window, controls] of [[0, true], [1, false]] as const) {
        const passes = passesOf(window, 100, methods, batch, 2)
        expect(passes[0]?.kind).toBe('reference')
        expect(passes.some((pass) => pass.kind === 'aa')).toBe(controls)
        const cells = passes.flatMap((pass) => (pass.kind === 'cells' ? pass.cells : []))
        expect(cells.filter((cell) => cell.kind === 'method').map((cell) => cell.method)).toEqual(methods)
        expect(cells.length).toBe(methods.length + (controls ? 2 : 0))
        expect(new Set(passes.map((pass) => pass.index)).size).toBe(passes.length)
        expect(rowsOf(passes)).toBe(1 + 1 + (controls ? 2 : 0) + cells.length)
      }
    }
  })
})
