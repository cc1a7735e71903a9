import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sweepMemory } from '#core/contract/memory.ts'
import { openSession, type ModelSession } from '#core/evaluation/session.ts'
import { findModel } from '#core/library/models.ts'
import { chooseBatch } from './batch.ts'

const [CONTEXT, PREFIX, ROWS] = [64, 32, 12]
const WINDOW = Uint32Array.from({ length: CONTEXT }, (_, i) => (i * 137) % 4000)

describe('the batch of a sweep', () => {
  let session: ModelSession
  beforeAll(async () => {
    session = await openSession(await findModel('demo'), { threads: 1 })
  })
  afterAll(() => session.release())
  const needs = (batch: number): number => sweepMemory({ ...session.info, split: session.info.whole === null }, CONTEXT, PREFIX, batch)

  it('needs more memory with every row', () => {
    expect([1, 2, 3, 4].map(needs)).toEqual([1, 2, 3, 4].map(needs).sort((a, b) => a - b))
    expect(needs(4) - needs(3)).toBeCloseTo(needs(2) - needs(1))
    expect(needs(2)).toBeGreaterThan(needs(1))
  })

  it('that would not fit is made smaller, not tried', async () => {
    const { size, warnings } = await chooseBatch(session, WINDOW, PREFIX, 8, needs(3) + 1, ROWS)
    expect(size).toBe(3)
    expect(warnings).toEqual([expect.stringMatching(/a batch of 8 needs about \d+ MB .* 3 is used/)])
    expect((await chooseBatch(session, WINDOW, PREFIX, 'auto', needs(2), ROWS)).size).toBeLessThanOrEqual(2)
  })

  it('as asked for is taken where it fits, but no larger than there are rows', async () => {
    expect(await chooseBatch(session, WINDOW, PREFIX, 4, needs(16), ROWS)).toMatchObject({ size: 4, aaSize: 4, warnings: [] })
    expect(await chooseBatch(session, WINDOW, PREFIX, 40, needs(16), ROWS)).toMatchObject({ size: ROWS, warnings: [] })
  })

  it('of one row that does not fit is refused before anything runs', async () => {
    const before = session.inferenceSeconds
    await expect(chooseBatch(session, WINDOW, PREFIX, 'auto', needs(1) - 1, ROWS)).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('--memory') as string })
    expect(session.inferenceSeconds).toBe(before)
  })
})
