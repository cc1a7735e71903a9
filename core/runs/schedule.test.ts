import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CONTROL_WINDOWS, isControlWindow, passesOf, rowsOf } from './schedule.ts'

describe('isControlWindow', () => {
  it('is all windows of a short run, and spread ones of a long run with the first among them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.constantFrom(...Object.values(CONTROL_WINDOWS)), (windows, most) => {
        const chosen = Array.from({ length: windows }, (_, i) => i).filter((i) => isControlWindow(i, windows, most))
        expect(chosen.length).toBe(Math.min(windows, most))
        expect(chosen[0]).toBe(0)
        const gaps = chosen.slice(1).map((window, i) => window - (chosen[i] ?? 0))
        expect(Math.max(0, ...gaps) - Math.min(...gaps, windows)).toBeLessThanOrEqual(1)
      }),
      { numRuns: 200 },
    )
  })

  it('runs the exact controls where the wrong cache runs too, so that they share their pass', () => {
    for (const windows of [3, 17, 40, 330]) {
      const on = (most: number): number[] => Array.from({ length: windows }, (_, i) => i).filter((i) => isControlWindow(i, windows, most))
      expect(on(CONTROL_WINDOWS.wrongCache)).toEqual(expect.arrayContaining(on(CONTROL_WINDOWS.exact)))
    }
  })
})

describe('passesOf', () => {
  const methods = ['a', 'b', 'c', 'd', 'e']

  it('puts every method in exactly one row, the reference first, controls on control windows only', () => {
    for (const batch of [1, 2, 3, 4, 8]) {
      for (const [window, exact, wrongCache] of [[0, true, true], [7, false, true], [1, false, false]] as const) {
        const passes = passesOf(window, 100, methods, batch, 2)
        expect(passes[0]?.kind).toBe('reference')
        expect(passes.some((pass) => pass.kind === 'aa')).toBe(exact)
        const cells = passes.flatMap((pass) => (pass.kind === 'cells' ? pass.cells : []))
        expect(cells.filter((cell) => cell.kind === 'method').map((cell) => cell.method)).toEqual(methods)
        expect(cells.length).toBe(methods.length + Number(exact) + Number(wrongCache))
        expect(new Set(passes.map((pass) => pass.index)).size).toBe(passes.length)
        expect(rowsOf(passes)).toBe(1 + 1 + (exact ? 2 : 0) + cells.length)
      }
    }
  })
})
