import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { planWindows, tokenIdsSha256, tokenStreams } from './windows.ts'

const ids = (from: number, to: number): Uint32Array => Uint32Array.from({ length: to - from }, (_, i) => from + i)
const BOS = 99

describe('streams', () => {
  it('start with one BOS where it applies', () => {
    expect(tokenStreams([ids(1, 4), ids(7, 8)], BOS)).toEqual([Uint32Array.of(99, 1, 2, 3), Uint32Array.of(99, 7)])
    expect(tokenStreams([ids(1, 4)], null)).toEqual([ids(1, 4)])
    expect(tokenStreams([ids(0, 400_000)], BOS)[0]?.length).toBe(400_001)
  })

  it('are hashed as little-endian uint32', () => {
    const bytes = Uint8Array.of(1, 0, 0, 0, 0, 2, 0, 0, 3, 0, 4, 0)
    expect(tokenIdsSha256([Uint32Array.of(1, 512), Uint32Array.of(3 + 4 * 65536)])).toBe(createHash('sha256').update(bytes).digest('hex'))
  })
})

describe('windows', () => {
  const rule = { contextLength: 4, advance: 4, bosId: null, windows: 'all' } as const

  it('are disjoint by default and drop the short rest', () => {
    expect(planWindows([ids(0, 11)], rule)).toEqual([ids(0, 4), ids(4, 8)])
    expect(planWindows([ids(0, 12)], rule)).toHaveLength(3)
  })

  it('overlap with a shorter advance', () => {
    expect(planWindows([ids(0, 9)], { ...rule, advance: 2 })).toEqual([ids(0, 4), ids(2, 6), ids(4, 8)])
  })

  it('have BOS in place of their first token where it applies, and leave the stream as it was', () => {
    const stream = ids(0, 8)
    expect(planWindows([stream], { ...rule, bosId: BOS })).toEqual([Uint32Array.of(99, 1, 2, 3), Uint32Array.of(99, 5, 6, 7)])
    expect(stream).toEqual(ids(0, 8))
  })

  it('never cross documents, and stop at the number asked for', () => {
    const streams = [ids(0, 7), ids(10, 13), ids(20, 28)]
    expect(planWindows(streams, rule)).toEqual([ids(0, 4), ids(20, 24), ids(24, 28)])
    expect(planWindows(streams, { ...rule, windows: 2 })).toEqual([ids(0, 4), ids(20, 24)])
  })

  it('refuse a text without one whole window, with the numbers', () => {
    expect(() => planWindows([ids(0, 3)], rule)).toThrow(expect.objectContaining({ code: 'TEXT_TOO_SHORT', message: expect.stringMatching(/has 3 tokens, a window needs 4/) as string }))
    expect(() => planWindows([ids(0, 3), ids(0, 2)], rule)).toThrow(/longest document has 3 tokens/)
  })
})
