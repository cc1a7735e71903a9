import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { Xoshiro128 } from './random.ts'

type Golden = { state: [number, number, number, number]; numbers: number[]; seeds: { seed: number; numbers: number[] }[] }
const golden = JSON.parse(readFileSync(new URL('../../test/golden/statistics/xoshiro.json', import.meta.url), 'utf8')) as Golden

function next(random: Xoshiro128, count: number): number[] {
  const out = new Uint32Array(count)
  random.fill(out)
  return [...out]
}

it('gives the published sequence from a known state', () => {
  expect(next(Xoshiro128.fromState(golden.state), golden.numbers.length)).toEqual(golden.numbers)
})

it('uses all bits of a seed, and goes on where it stopped', () => {
  for (const { seed, numbers } of golden.seeds) {
    const random = Xoshiro128.fromSeed(seed)
    expect([...next(random, 2), ...next(random, numbers.length - 2)]).toEqual(numbers)
  }
})

it('fills an interval evenly', () => {
  const bins = new Array<number>(16).fill(0)
  for (const value of next(Xoshiro128.fromSeed(3), 160_000)) bins[value >>> 28]! += 1
  // Chi square with 15 degrees of freedom: 99.9 % lie below 37.7.
  expect(bins.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(37.7)
})
