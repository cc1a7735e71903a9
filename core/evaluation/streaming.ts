import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import { SIDES, type KvArrays, type Side } from '#core/kv/cache.ts'
import { settledThrough, soFar } from '#core/kv/keep.ts'
import { layerMethods } from '#core/kv/layers.ts'
import type { HiddenStates } from './head.ts'
import { copyTokens, emptyArrays, type ModeRow, type Restore, type WindowMode } from './mode.ts'
import type { Past } from './past.ts'
import type { Reference } from './score.ts'
import type { ModelSession } from './session.ts'
import { ScoredStates } from './scored-states.ts'

/** One row while its window is fed. `settled`: of each side and layer the tokens from the first on that are as they will stay; layers may differ in their rules. */
type Row = { readonly method: Method | null; readonly original: KvArrays; readonly attended: KvArrays; readonly settled: Readonly<Record<Side, number[]>>; failure: LabError | null }

/**
 * The mode in which a window is fed in blocks of `block` tokens. Before each, the tokens that the method no longer keeps (beyond its recent window and its quantizer's own
 * rule) are compressed: the cache so far is encoded to bytes and decoded, and what has newly settled is taken from there, once, and stays. Within a block tokens see each
 * other in full precision. Logits at positions P..C-2 score tokens P+1..C-1.
 */
export class Streaming implements WindowMode {
  readonly #session: ModelSession
  readonly #prefix: number
  readonly #block: number
  readonly #restore: Restore
  /** By rows; for windows of one length. */
  readonly #pasts = new Map<number, Past>()

  constructor(session: ModelSession, prefixLength: number, block: number, restore: Restore) {
    this.#session = session
    this.#prefix = prefixLength
    this.#block = block
    this.#restore = restore
  }

  async reference(ids: Uint32Array): Promise<Reference> {
    const { states } = await this.#feed(ids, [null])
    return this.#session.referenceOf(states, ids.subarray(this.#prefix + 1))
  }

  async score(ids: Uint32Array, methods: readonly (Method | null)[], reference: Reference): Promise<ModeRow[]> {
    const { states, rows } = await this.#feed(ids, methods)
    const scores = await this.#session.compare(states, reference)
    const shape = this.#session.shape(ids.length)
    return rows.map(({ original, attended, settled, failure }, index) => ({ scores: failure ?? scores[index] ?? new LabError('INTERNAL', 'a row without scores'), original: { shape, ...original }, attended, settled }))
  }

  async #feed(ids: Uint32Array, methods: readonly (Method | null)[]): Promise<{ states: HiddenStates; rows: Row[] }> {
    const shape = this.#session.shape(ids.length)
    const none = (): number[] => Array.from({ length: shape.layers }, () => 0)
    const rows = methods.map((method): Row => {
      const original = emptyArrays(shape)
      return { method, original, attended: method ? emptyArrays(shape) : original, settled: { key: none(), value: none() }, failure: null }
    })
    const room = this.#pasts.get(rows.length) ?? this.#session.past(rows.length, ids.length)
    this.#pasts.set(rows.length, room)
    const states = new ScoredStates(rows.length, ids.length, this.#prefix)
    for (let done = 0; done < ids.length; done += this.#block) {
      for (const row of rows) this.#settle(row, done)
      const past = this.#past(room, rows, done)
      const block = ids.subarray(done, done + this.#block)
      const fed = await this.#session.step(past, block, rows.length, done + block.length > this.#prefix, (side, layer, values) => {
        const length = values.length / rows.length
        for (const [index, { original, attended }] of rows.entries()) {
          for (const arrays of new Set([original, attended])) {
            const target = arrays[side][layer]
            if (target) copyTokens(shape.kvHeads, shape.headDim, values.subarray(index * length, (index + 1) * length), done, target, done, block.length)
          }
        }
      })
      if (fed) states.take(fed, done)
    }
    return { states: states.all(), rows }
  }

  /** Compress what has settled among the first `tokens` tokens and had not before. */
  #settle(row: Row, tokens: number): void {
    const { method, original, attended, settled } = row
    if (!method || row.failure || tokens === 0) return
    const shape = this.#session.shape(tokens)
    const { kvHeads, headDim } = shape
    const byLayer = layerMethods(method, shape.layers)
    // A layer that is kept whole settles with its token.
    const now = (side: Side, layer: number): number => (byLayer[layer] ? settledThrough(byLayer[layer], side, tokens) : tokens)
    if (SIDES.every((side) => byLayer.every((own, layer) => own === null || now(side, layer) <= (settled[side][layer] ?? 0)))) return
    const cache = emptyArrays(shape)
    for (const side of SIDES) cache[side].forEach((values, layer) => copyTokens(kvHeads, headDim, original[side][layer] ?? new Float32Array(), 0, values, 0, tokens))
    try {
      this.#restore({ shape, ...cache }, soFar(method, tokens), cache, { method, layer: null })
    } catch (error) {
      if (!(error instanceof LabError)) throw error
      row.failure = error
      return
    }
    for (const side of SIDES) {
      for (const [layer, values] of attended[side].entries()) {
        const [from, to] = [settled[side][layer] ?? 0, now(side, layer)]
        if (to <= from) continue
        copyTokens(kvHeads, headDim, cache[side][layer] ?? new Float32Array(), from, values, from, to - from)
        settled[side][layer] = to
      }
    }
  }

  #past(room: Past, rows: readonly Row[], tokens: number): Past | null {
    if (tokens === 0) return null
    const { kvHeads, headDim } = this.#session.info
    room.resize(tokens)
    for (const [index, { attended }] of rows.entries()) {
      const target = room.row(index)
      for (const side of SIDES) target[side].forEach((values, layer) => copyTokens(kvHeads, headDim, attended[side][layer] ?? new Float32Array(), 0, values, 0, tokens))
    }
    return room
  }
}
