import { expect, it } from 'vitest'
import { Queue } from './queue.ts'

it('gives the turn in the order of arrival, past those that left', async () => {
  const queue = new Queue()
  const places = [queue.join(), queue.join(), queue.join(), queue.join()] as const
  const turns: number[] = []
  places.forEach((place, i) => void place.turn.then(() => turns.push(i)))
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  await settled()
  expect(turns).toEqual([0])
  expect(places.map(({ first }) => first)).toEqual([true, false, false, false])
  places[1].leave()
  await settled()
  expect(turns).toEqual([0])
  places[0].leave()
  places[0].leave()
  await settled()
  expect(turns).toEqual([0, 2])
  expect(places[2].first).toBe(true)
  places[2].leave()
  places[3].leave()
  expect(queue.join().first).toBe(true)
})
