import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { InPass } from '#core/evaluation/in-pass.ts'
import { differingLayer, emptyArrays, type ModeRow, type Origin, type WindowMode } from '#core/evaluation/mode.ts'
import type { Reference, TokenScores } from '#core/evaluation/score.ts'
import type { ModelSession } from '#core/evaluation/session.ts'
import { Streaming } from '#core/evaluation/streaming.ts'
import type { KvArrays, KvCache } from '#core/kv/cache.ts'
import { decodeKv, encodeKv, type EncodedKv } from '#core/kv/file.ts'
import { learnedOfLayer } from '#core/kv/calibration.ts'
import { writeMethod } from '#core/kv/methods.ts'
import { learnedOf, type LearnedMethods } from './calibration.ts'

/** What one method came to on one window: its scores, its cache of the window as one KV file, and that file's restored values; or why it came to nothing. */
export type ModeCell = { readonly scores: TokenScores; readonly original: KvCache; readonly restored: KvArrays; readonly file: EncodedKv; readonly encodeSeconds: number; readonly decodeSeconds: number }

/** Runs the windows of a sweep in a mode that compresses the cache while a window is read; adds what it spends on files to `spent`. */
export class ModeRunner {
  readonly #mode: WindowMode
  readonly #model: string
  readonly #learned: LearnedMethods
  readonly #spent = { encode: 0, decode: 0 }

  /** `model`: its name, for the files; `learned` holds what methods learned when they are first run. The session must have been opened `layered` for in-pass. */
  constructor(session: ModelSession, spec: Pick<RunSpec, 'mode' | 'prefixLength' | 'block'>, model: string, learned: LearnedMethods) {
    this.#model = model
    this.#learned = learned
    const restore = (cache: KvCache, method: Method, into: KvArrays, origin: Origin): void => void this.#through(cache, method, into, origin)
    this.#mode = spec.mode === 'in-pass' ? new InPass(session, spec.prefixLength, restore) : new Streaming(session, spec.prefixLength, spec.block ?? spec.prefixLength, restore)
  }

  /** The pass of the window without compression, in the session's memory until the next call. */
  reference(ids: Uint32Array): Promise<Reference> {
    return this.#mode.reference(ids)
  }

  /** The same pass again, in a batch of so many rows: the scores of the last. */
  async again(ids: Uint32Array, batch: number, reference: Reference): Promise<TokenScores> {
    const rows = await this.#mode.score(ids, Array.from({ length: batch }, () => null), reference)
    const last = rows.at(-1)?.scores ?? new LabError('INTERNAL', 'a batch without rows')
    if (last instanceof LabError) throw last
    return last
  }

  /** The window in one batch, a row a method. */
  async cells(ids: Uint32Array, methods: readonly Method[], reference: Reference): Promise<(ModeCell | LabError)[]> {
    const rows = await this.#mode.score(ids, methods, reference)
    return methods.map((method, index) => {
      const row = rows[index] ?? { scores: new LabError('INTERNAL', 'a method without a row') }
      return 'original' in row ? this.#cell(row, method) : row.scores
    })
  }

  /** Seconds spent on encoding and decoding since this was last asked. */
  takeSpent(): { encode: number; decode: number } {
    const spent = { ...this.#spent }
    Object.assign(this.#spent, { encode: 0, decode: 0 })
    return spent
  }

  #cell(row: ModeRow, method: Method): ModeCell | LabError {
    const { scores, original } = row
    if (scores instanceof LabError) return scores
    try {
      const restored = emptyArrays(original.shape)
      const made = this.#through(original, method, restored, { method, layer: null })
      const differing = differingLayer(row, restored)
      if (differing === null) return { scores, original, restored, ...made }
      const { layer, side } = differing
      return new LabError('INVALID_METHOD', `${writeMethod(method)}: the file of the whole window holds other values in layer ${layer}, ${side}, than those that were attended to: it encodes tokens by what comes after them; measure it in handoff`)
    } catch (error) {
      if (error instanceof LabError) return error
      throw error
    }
  }

  #through(cache: KvCache, method: Method, into: KvArrays, origin: Origin): Pick<ModeCell, 'file' | 'encodeSeconds' | 'decodeSeconds'> {
    const all = learnedOf(this.#learned, writeMethod(origin.method))
    const learned = all && origin.layer !== null ? learnedOfLayer(all, origin.layer) : all
    const began = performance.now()
    const file = encodeKv(cache, method, { model: this.#model }, learned)
    const encoded = performance.now()
    decodeKv(file.bytes, into)
    const encodeSeconds = (encoded - began) / 1000
    const decodeSeconds = (performance.now() - encoded) / 1000
    this.#spent.encode += encodeSeconds
    this.#spent.decode += decodeSeconds
    return { file, encodeSeconds, decodeSeconds }
  }
}
