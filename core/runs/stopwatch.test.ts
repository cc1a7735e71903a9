import { expect, it } from 'vitest'
import { Stopwatch } from './stopwatch.ts'

it('counts the time while it runs and not while it is stopped', () => {
  let now = 5000
  const watch = new Stopwatch(() => now)
  now += 2000
  expect(watch.seconds).toBe(2)
  watch.stop()
  now += 60_000
  watch.stop()
  expect(watch.seconds).toBe(2)
  watch.go()
  watch.go()
  now += 500
  expect(watch.seconds).toBe(2.5)
})
