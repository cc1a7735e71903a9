import { expect } from 'vitest'
import type { TokenScores } from '#core/evaluation/score.ts'
import type { TorchFixture } from './torch.ts'

const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length
const rms = (values: readonly number[]): number => Math.sqrt(mean(values.map((value) => value ** 2)))

/**
 * Two libraries compute the cache alike to some 1e-6 of its largest value. Where a value lies that close to the middle between two codes,
 * they choose different ones: a handful of the tens of thousands of values of a window, each as wrong as any other. So scores differ by about
 * a hundredth of what the method does to them, hence bounds in units of that; more is a difference in method.
 *
 * In one pass through the method at every layer each such choice moves the values of all layers behind it, and with them more choices: noise of 1e-6 of the largest
 * key or value changes the losses of this program against themselves by 7 % (q4_0) to 23 % (int8:g64) of the method's effect in the demo model, and by 84 % (q4_0) in
 * the 30 layers of SmolLM2, where torch differs by 79 % and two unrelated errors would by 141 %. Means over tokens stay: mean KL by 5 % on one window there.
 */
const BOUNDS = {
  handoff: { losses: 0.03, change: 1e-3, kl: 0.01, flips: 1e-3 },
  streaming: { losses: 0.03, change: 1e-3, kl: 0.01, flips: 1e-3 },
  'in-pass': { losses: 0.25, change: 0.02, kl: 0.03, flips: 0.01 },
} as const

/** Of in-pass in a model of many layers, on one window. */
export const DEEP_BOUNDS = { losses: 1.2, change: 0.15, kl: 0.1, flips: 0.25 } as const

/** Holds own per-token scores of a method against the fixture's first tokens of that mode. */
export async function agrees(fixture: TorchFixture, mode: keyof typeof BOUNDS, method: string, own: TokenScores, bounds: Readonly<Record<'losses' | 'change' | 'kl' | 'flips', number>> = BOUNDS[mode]): Promise<void> {
  const count = own.nll.length
  const array = async (name: string): Promise<Float32Array> => (await fixture.floats(`${mode}.${name}`)).slice(0, count)
  const [none, nll, kl] = [await array('none.nll'), await array(`${method}.nll`), await array(`${method}.kl`)]
  const agree = (await fixture.bytes(`${mode}.${method}.agree`)).slice(0, count)
  const difference = Array.from(own.nll, (value, i) => value - (nll[i] ?? NaN))
  const effect = rms(Array.from(nll, (value, i) => value - (none[i] ?? NaN)))
  expect(rms(difference), 'losses').toBeLessThan(1e-4 + bounds.losses * effect)
  expect(Math.abs(mean(difference)), 'Δ ln PPL').toBeLessThan(1e-5 + bounds.change * effect)
  expect(Math.abs(mean(own.kl) - mean(kl)), 'mean KL').toBeLessThan(1e-8 + bounds.kl * mean(kl))
  expect(own.agree.filter((value, i) => value !== agree[i]).length, 'top-1 agreement').toBeLessThanOrEqual(2 + count * bounds.flips)
  // The graph works in F32: e^d has an error of 6e-8 where d is small.
  expect(Math.min(...own.kl)).toBeGreaterThan(-2e-7)
}
