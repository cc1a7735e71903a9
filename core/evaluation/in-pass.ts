import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import { SIDES, type KvArrays } from '#core/kv/cache.ts'
import { layerMethods } from '#core/kv/layers.ts'
import { roundQueries } from '#core/kv/queries.ts'
import type { HiddenStates } from './head.ts'
import { emptyArrays, type ModeRow, type Origin, type Restore, type WindowMode } from './mode.ts'
import type { Reference } from './score.ts'
import type { ModelSession } from './session.ts'
import { ScoredStates } from './scored-states.ts'

/**
 * The mode in which all tokens of a window are fed at once and every token's keys and values, its own included, go through the method before anything attends to them.
 * Logits at positions P..C-2 score tokens P+1..C-1. The session must have been opened `layered`;
 * where it hands out queries, these are rounded to q8_0 beside keys that round, as llama.cpp does.
 */
export class InPass implements WindowMode {
  readonly #session: ModelSession
  readonly #prefix: number
  readonly #restore: Restore

  constructor(session: ModelSession, prefixLength: number, restore: Restore) {
    this.#session = session
    this.#prefix = prefixLength
    this.#restore = restore
  }

  async reference(ids: Uint32Array): Promise<Reference> {
    return this.#session.referenceOf(this.#scored(await this.#session.inPass(ids, 1, () => undefined)), ids.subarray(this.#prefix + 1))
  }

  async score(ids: Uint32Array, methods: readonly (Method | null)[], reference: Reference): Promise<ModeRow[]> {
    const shape = this.#session.shape(ids.length)
    const rows = methods.map((method) => ({ method, byLayer: method ? layerMethods(method, shape.layers) : [], original: emptyArrays(shape), attended: emptyArrays(shape), failure: null as LabError | null }))
    const states = await this.#session.inPass(ids, rows.length, (layer, arrays) => {
      for (const [index, row] of rows.entries()) {
        const own = { key: [], value: [] } as { key: Float32Array[]; value: Float32Array[] }
        for (const side of SIDES) {
          const length = arrays[side].length / rows.length
          own[side].push(arrays[side].subarray(index * length, (index + 1) * length))
        }
        keep(own, row.original, layer)
        const method = row.byLayer[layer]
        const query = arrays.query?.subarray((index * arrays.query.length) / rows.length, ((index + 1) * arrays.query.length) / rows.length)
        if (row.method && method && !row.failure) row.failure = this.#restoreLayer(own, query, ids.length, method, { method: row.method, layer })
        keep(own, row.attended, layer)
      }
    })
    const scores = await this.#session.compare(this.#scored(states), reference)
    const all = Array.from({ length: shape.layers }, () => ids.length)
    const settled = { key: all, value: all }
    return rows.map(({ original, attended, failure }, index) => ({ scores: failure ?? scores[index] ?? new LabError('INTERNAL', 'a row without scores'), original: { shape, ...original }, attended, settled }))
  }

  /** One layer through a KV file of its own, in place, and queries rounded as its keys ask for. What went wrong, where its values are not what its method can hold. */
  #restoreLayer(own: KvArrays, query: Float32Array | undefined, tokens: number, method: Method, origin: Origin): LabError | null {
    try {
      const shape = this.#session.shape(tokens)
      this.#restore({ shape: { ...shape, layers: 1 }, ...own }, method, own, origin)
      if (query) roundQueries(query, shape.headDim, method.key)
      return null
    } catch (error) {
      if (error instanceof LabError) return new LabError(error.code, `layer ${origin.layer} of the model, by itself: ${error.message}`, error.details)
      throw error
    }
  }

  /** The states that score: of tokens P on. */
  #scored(states: HiddenStates): HiddenStates {
    const scored = new ScoredStates(states.batch, states.tokens, this.#prefix)
    scored.take(states, 0)
    return scored.all()
  }
}

/** Copies one layer's arrays into a cache's. */
function keep(own: KvArrays, cache: KvArrays, layer: number): void {
  for (const side of SIDES) cache[side][layer]?.set(own[side][0] ?? new Float32Array())
}
