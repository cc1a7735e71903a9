import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import type { Tables } from '#core/quantizers/quantizer.ts'
import type { KvCache, Side } from './cache.ts'
import { gather } from './keep.ts'
import { layersOf } from './layers.ts'
import { elementsOf, type KvPart } from './layout.ts'
import { writeMethod } from './methods.ts'
import { kvPlan } from './plan.ts'

/** What a method's quantizers learned from the caches of another text, by side and layer of the model; null where a side of a layer learns nothing. */
export type Learned = Readonly<Record<Side, readonly (Tables | null)[]>>

/**
 * Learn what the method encodes other caches by, from caches of one shape, each without the tokens that the method keeps and after its transforms. Yields after every layer of a side.
 * Throws LabError INVALID_METHOD for a method that this shape does not allow; NOT_FINITE and OUT_OF_RANGE with side and layer.
 */
export function* learnTables(caches: readonly KvCache[], method: Method): Generator<void, Learned> {
  const shape = caches[0]?.shape
  if (!shape) throw new LabError('INTERNAL', 'there is no cache to learn from')
  const plan = kvPlan(writeMethod(method), shape)
  const learned = { key: new Array<Tables | null>(shape.layers).fill(null), value: new Array<Tables | null>(shape.layers).fill(null) }
  for (const part of plan.parts) {
    if (part.quantizer.learner?.asked(part.params) !== true) continue
    for (const layer of layersOf(plan.method, part.group, shape.layers)) {
      try {
        learned[part.side][layer] = learnLayer(caches, part, layer)
      } catch (error) {
        if (!(error instanceof LabError)) throw error
        throw new LabError(error.code, `calibration text, layer ${layer}, ${part.side}: ${error.message}`, error.details)
      }
      yield
    }
  }
  return learned
}

/** As learnTables, all at once. */
export function learnedFrom(caches: readonly KvCache[], method: Method): Learned {
  const steps = learnTables(caches, method)
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

/** Tables of a cache of that one layer. */
export function learnedOfLayer({ key, value }: Learned, layer: number): Learned {
  return { key: [key[layer] ?? null], value: [value[layer] ?? null] }
}

/** The tables that a part encodes a layer by; nothing where its quantizer asks for none. Throws LabError INVALID_METHOD where they are missing. */
export function tablesOf({ quantizer, params, side }: KvPart, layer: number, learned: Learned | null): Tables | undefined {
  if (quantizer.learner?.asked(params) !== true) return undefined
  const tables = learned?.[side][layer]
  if (tables) return tables
  const reason = `${quantizer.id}:cal needs a calibration text: measure it with kvlab sweep --calibration TEXT, or leave out :cal to learn on the cache itself`
  throw new LabError('INVALID_METHOD', reason, { reason })
}

function learnLayer(caches: readonly KvCache[], part: KvPart, layer: number): Tables | null {
  const { block, quantizer, params, side, transforms } = part
  const { kvHeads, tokens, headDim } = block
  const run = tokens * headDim
  const all = new Float32Array(caches.length * kvHeads * run)
  const own = new Float32Array(kvHeads * run)
  for (const [index, cache] of caches.entries()) {
    gather(cache[side][layer] ?? new Float32Array(), part, own)
    for (const { forward } of transforms) forward(own, oneLayer(part))
    for (let head = 0; head < kvHeads; head++) all.set(own.subarray(head * run, (head + 1) * run), (head * caches.length + index) * run)
  }
  return quantizer.learner?.learn(all, { ...block, tokens: caches.length * tokens }, params) ?? null
}

/** Room for the streams of one layer, which learning throws away. */
function oneLayer({ streams }: KvPart): Record<string, ReturnType<typeof elementsOf>> {
  return Object.fromEntries(streams.map(({ stream, dtype, shape: [layers = 1], rawBytes }) => [stream, elementsOf(new Uint8Array(rawBytes / layers), dtype)]))
}
