import { describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { LIMITS } from './limits.ts'
import { createRate } from './rate.ts'
import { passing, persist } from './retry.ts'
import { createSlots } from './slots.ts'

const limits = { ...LIMITS, attempts: 6, firstRetryMs: 1, longestRetryMs: 2, longestRetryAfterMs: 3 }
const signal = new AbortController().signal
const quiet = { limits, signal, progress: () => 0, note: () => {} }

describe('persisting', () => {
  it('gives up after so many attempts that brought nothing, with the last error', async () => {
    let attempts = 0
    await expect(persist(async () => Promise.reject(passing(`failure ${++attempts}`)), quiet)).rejects.toMatchObject({ message: 'failure 6' })
    expect(attempts).toBe(6)
  })

  it('begins to count anew with each byte', async () => {
    let attempts = 0
    let bytes = 0
    const work = async (): Promise<string> => {
      if (++attempts % 5 === 0) bytes++
      if (attempts < 33) throw passing('not yet')
      return 'there'
    }
    expect(await persist(work, { ...quiet, progress: () => bytes })).toBe('there')
  })

  it.each([
    new LabError('ACCESS_DENIED', 'no', { retry: true }),
    new LabError('DISK_FULL', 'full'),
    new LabError('NETWORK_FAILED', 'TLS', { status: null, retryAfterSeconds: null, retry: false }),
    new LabError('NETWORK_FAILED', 'no details'),
    new TypeError('a defect'),
  ])('does not repeat what does not pass: %s', async (error) => {
    let attempts = 0
    await expect(persist(async () => (attempts++, Promise.reject(error)), quiet)).rejects.toBe(error)
    expect(attempts).toBe(1)
  })

  it('says what it waits for, as long as the server asked', async () => {
    const notes: (string | null)[] = []
    let attempts = 0
    const busy = new LabError('NETWORK_FAILED', 'the hub was asked too often', { status: 429, retryAfterSeconds: 1, retry: true })
    await persist(async () => (++attempts === 1 ? Promise.reject(busy) : attempts), { ...quiet, limits: { ...limits, longestRetryAfterMs: 600_000 }, note: (text) => notes.push(text) })
    expect(notes).toEqual(['the hub was asked too often; trying again in 1 s', null])
  })

  it('ends at once when it is aborted while it waits', async () => {
    const controller = new AbortController()
    const slow = { ...limits, firstRetryMs: 1e9, longestRetryMs: 1e9 }
    const work = persist(async () => Promise.reject(passing('no')), { ...quiet, limits: slow, signal: controller.signal, note: () => controller.abort(new Error('paused')) })
    await expect(work).rejects.toThrow('paused')
  })
})

describe('slots', () => {
  it('let so many work at a time, the others in the order they came', async () => {
    const slots = createSlots(2)
    let working = 0
    const order: number[] = []
    const work = async (i: number): Promise<void> => {
      expect(++working).toBeLessThanOrEqual(2)
      order.push(i)
      await new Promise((resolve) => setTimeout(resolve, 2))
      working--
      if (i === 3) throw new Error('three')
    }
    const ends = await Promise.allSettled([0, 1, 2, 3, 4, 5].map((i) => slots.use(signal, () => work(i))))
    expect(order).toEqual([0, 1, 2, 3, 4, 5])
    expect(ends.map(({ status }) => status === 'fulfilled')).toEqual([true, true, true, false, true, true])
  })

  it('are not taken by whoever left while waiting', async () => {
    const slots = createSlots(1)
    const controller = new AbortController()
    let leave = (): void => {}
    const first = slots.use(signal, () => new Promise<void>((resolve) => (leave = resolve)))
    const second = slots.use(controller.signal, async () => 'never')
    const third = slots.use(signal, async () => 'third')
    controller.abort(new Error('left'))
    await expect(second).rejects.toThrow('left')
    leave()
    await first
    expect(await third).toBe('third')
    expect(await slots.use(signal, async () => 'fourth')).toBe('fourth')
  })
})

describe('a rate', () => {
  it('is of the last seconds, says nothing at first, and begins anew where bytes were dropped', () => {
    const rate = createRate()
    expect(rate.at(0)).toBe(null)
    rate.add(1_000, 0)
    rate.add(1_100, 100)
    expect(rate.at(100)).toBe(null)
    for (let now = 200; now <= 20_000; now += 200) rate.add(1_000 + 3 * now, now)
    expect(rate.at(20_000)).toBeCloseTo(3_000, 6)
    // Nothing comes any more.
    expect(rate.at(30_000)).toBeLessThan(1_100)
    rate.add(0, 30_000)
    expect(rate.at(30_000)).toBe(null)
  })
})
