import { availableParallelism } from 'node:os'
import { expect, it } from 'vitest'
import { chooseThreads } from './threads.ts'

it('chooses a number of threads that it has timed, no more than there are cores, once', async () => {
  const { threads, timings } = await chooseThreads()
  expect(timings[0]?.threads).toBe(availableParallelism())
  expect(timings.length).toBeGreaterThan(availableParallelism() > 1 ? 1 : 0)
  const chosen = timings.find((timing) => timing.threads === threads)
  expect(chosen?.seconds).toBeGreaterThan(0)
  // What is given up with fewer threads than measured was not clearly faster.
  expect(timings.every(({ seconds }) => (chosen?.seconds ?? Infinity) <= seconds / 0.8)).toBe(true)
  expect(await chooseThreads()).toBe(await chooseThreads())
})
