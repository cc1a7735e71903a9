import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { breakEven, transferSeconds, type Transfer } from './transfer.ts'

const positive = fc.double({ min: 1e3, max: 1e12, noNaN: true })
/** Whole, so that no two differ by less than a quotient shows. */
const bytes = fc.integer({ min: 1e3, max: 1e9 })
const transfers = fc.record<Transfer>({ raw: bytes, encoded: bytes, encode: positive, decode: positive, prefill: fc.option(fc.double({ min: 1e-3, max: 1e3, noNaN: true })) })

describe('the break-even of a transfer', () => {
  it('is the published example: 44 MiB, 3.56 times smaller, 500 MB/s both ways', () => {
    const raw = 22_528 * 2048
    const { sequential, pipelined } = breakEven({ raw, encoded: raw / 3.56, encode: 500e6, decode: 500e6, prefill: null })
    expect(sequential).toBeCloseTo(180e6, -6)
    expect(pipelined).toBe(500e6)
  })

  it('is where both ways take the same time', () => {
    fc.assert(
      fc.property(transfers, (transfer) => {
        const { sequential, pipelined } = breakEven(transfer)
        if (transfer.encoded >= transfer.raw) {
          expect([sequential, pipelined]).toEqual([0, 0])
          return
        }
        const at = transferSeconds(transfer, sequential)
        expect(at.sequential / at.plain).toBeCloseTo(1, 3)
        expect(transferSeconds(transfer, pipelined * 0.99).pipelined).toBeLessThan(transferSeconds(transfer, pipelined * 0.99).plain)
        expect(transferSeconds(transfer, pipelined * 1.01).pipelined).toBeGreaterThan(transferSeconds(transfer, pipelined * 1.01).plain)
      }),
    )
  })

  it('beats computing again from the named link on', () => {
    fc.assert(
      fc.property(transfers, (transfer) => {
        const { recompute } = breakEven(transfer)
        if (recompute === null || transfer.prefill === null) return
        expect(transferSeconds(transfer, recompute * 1.01).sequential).toBeLessThan(transfer.prefill)
        expect(transferSeconds(transfer, recompute * 0.99).sequential).toBeGreaterThan(transfer.prefill)
      }),
    )
  })
})
