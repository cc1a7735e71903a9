import { expect, it } from 'vitest'
import type { ModelEntry } from './library.ts'
import { memoryAt, sweepMemory } from './memory.ts'

const ENTRY: ModelEntry = {
  name: 'one', path: 'one', origin: 'library', source: null, weights: null, weightsType: 'F32', bytes: 5_000_000, cache: { layers: 2, kvHeads: 4, headDim: 64, dtype: 'F16' }, kvBytesPerToken: 2048,
  contextLimit: 4096, family: null, vocab: 1000, queryHeads: null, attention: 'plain', rope: null, slidingWindow: null, modes: [], unusable: null, edits: [{ name: 'split', reason: null }], notes: [],
}
/** Keys and values of a token in F32, whatever the cache's own type. */
const TOKEN = 2 * 2 * 4 * 64 * 4

it('a sweep’s memory is its weights, caches and the logits of the scored half', () => {
  const [prefix, context, row] = [512, 1024, 4 * 1000]
  expect(memoryAt(ENTRY, context)).toBe(5_000_000 + 4 * TOKEN * prefix + TOKEN * (prefix + 2 * context) + 6 * row * (context - prefix))
  // A large vocabulary's head runs on some rows at a time; a graph that runs whole makes all logits at once.
  const large = { ...ENTRY, vocab: 256_000 }
  expect(memoryAt(large, context)).toBeLessThan(memoryAt({ ...large, edits: [{ name: 'split', reason: 'it cannot' }] }, context) ?? 0)
})

it('grows with the batch, and is not known of what cannot be evaluated', () => {
  const sizes = { layers: 2, kvHeads: 4, headDim: 64, vocab: 1000, split: true }
  expect(sweepMemory(sizes, 1024, 512, 4) - sweepMemory(sizes, 1024, 512, 1)).toBe(3 * TOKEN * (512 + 2 * 1024))
  for (const change of [{ cache: null }, { vocab: null }, { unusable: 'it is broken' }]) expect(memoryAt({ ...ENTRY, ...change }, 1024)).toBe(null)
})
