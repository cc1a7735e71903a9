import { rm } from 'node:fs/promises'
import { LabError } from '#core/contract/errors.ts'
import { kernels } from '#core/kernels/index.ts'
import { SIDES, type KvCache, type KvShape, type RopeFacts, type Side } from '#core/kv/cache.ts'
import { readConfig, type ModelConfig } from '#core/library/model-config.ts'
import type { ModelFolder } from '#core/library/models.ts'
import type { Refusal } from '#core/onnx/head.ts'
import { weightsModel } from '#core/onnx/metrics.ts'
import { readGraph, type KvGraph } from '#core/onnx/kv-graph.ts'
import { asFloats, floatsOf, Head, type HiddenStates } from './head.ts'
import { openLayered, type LayeredBody } from './layered.ts'
import { Past } from './past.ts'
import { openGraph, type Feeds, type Graph, type Tensor } from './runtime.ts'
import { Reference, scoreAgainst, type TokenScores } from './score.ts'
import { splitSources, type SplitSources } from './split.ts'

/**
 * What can be said of an open model. `whole`: why its graph runs whole and its logits are scored outside it; null where it was split before its LM head. `rotation`: how its
 * keys are rotated; null where that is not known for certain.
 */
export type SessionInfo = Pick<KvGraph, 'layers' | 'kvHeads' | 'headDim' | 'kvDtype' | 'hasPositionIds'> &
  Pick<ModelConfig, 'maxPositions' | 'rope'> & { readonly rotation: RopeFacts | null; readonly vocab: number; readonly whole: string | null }

/**
 * `graphs`: the folder that keeps edited graphs; without one they are made anew. `whole`: run the graph as it is, unedited. `layered`: cut at every layer too, for `inPass`;
 * the weights are in memory once more then. `queries`: layered, hand out queries too.
 */
export type SessionOptions = { readonly threads: number; readonly graphs?: string; readonly whole?: boolean; readonly layered?: boolean; readonly queries?: boolean }

/** What `inPass` hands out of one layer. */
export type LayerArrays = Readonly<Record<Side, Float32Array>> & { readonly query?: Float32Array }

/**
 * Open a model on the CPU with `threads` threads: split before its LM head, or whole where that cannot be done or its parts do not run. Throws LabError MODEL_UNSUPPORTED (a graph that cannot be evaluated, and why) or
 * MODEL_BROKEN (files that do not load, among them missing external data). Release the session when done: nothing else frees it.
 */
export async function openSession(model: ModelFolder, options: SessionOptions): Promise<ModelSession> {
  const session = await openUncut(model, options)
  try {
    if (options.layered) await session.openLayers(model, options.queries ?? false)
    return session
  } catch (error) {
    await session.release()
    throw error
  }
}

async function openUncut(model: ModelFolder, { threads, graphs, whole = false }: SessionOptions): Promise<ModelSession> {
  const config = await readConfig(model.configPath)
  if (whole) return openParts(model, config, threads, { reason: 'that was asked for' })
  const attempt = async (): Promise<ModelSession | { reason: string; kept: string | null }> => {
    const split = await splitSources(model, config.vocab, graphs ?? null)
    if ('reason' in split) return { reason: split.reason, kept: null }
    try {
      return await tried(await openParts(model, config, threads, split))
    } catch (error) {
      if (error instanceof LabError) return { reason: error.message, kept: split.kept }
      throw error
    }
  }
  let session = await attempt()
  if ('reason' in session && session.kept !== null) {
    // What was kept of an earlier start may be damaged: it can be made again.
    await rm(session.kept, { recursive: true, force: true })
    session = await attempt()
  }
  return 'reason' in session ? openParts(model, config, threads, { reason: session.reason }) : session
}

/** The session itself, once two tokens went through all of its parts; else it is released, and what they failed with is thrown. */
async function tried(session: ModelSession): Promise<ModelSession> {
  try {
    await session.logits(null, Uint32Array.of(0, 0))
    return session
  } catch (error) {
    await session.release()
    throw error
  }
}

async function openParts(model: ModelFolder, config: ModelConfig, threads: number, split: SplitSources | Refusal): Promise<ModelSession> {
  const open: Graph[] = []
  try {
    const body = await openGraph('reason' in split ? { name: model.onnxPath, path: model.onnxPath } : split.body, threads)
    open.push(body)
    const head = 'reason' in split ? null : await openGraph(split.head, threads)
    if (head) open.push(head)
    const graph = readGraph(model.onnxPath, body.inputs, [...(head?.outputs ?? []), ...body.outputs])
    const vocab = graph.vocab ?? config.vocab
    if (vocab === null) throw new LabError('MODEL_UNSUPPORTED', `${model.onnxPath} does not say how many tokens its vocabulary has, nor does config.json`)
    const weigh = head && (await openGraph({ name: 'the weights of a reference', bytes: Buffer.concat(weightsModel()), folder: '.' }, threads))
    if (weigh) open.push(weigh)
    const info = { maxPositions: config.maxPositions, rope: config.rope, rotation: config.rotation(graph.headDim), vocab, whole: 'reason' in split ? split.reason : null }
    return new ModelSession(model.name, threads, body, head && weigh && new Head(head, weigh, vocab), graph, info)
  } catch (error) {
    for (const part of open) await part.release()
    throw error
  }
}

/** An open model. One call at a time: a pass blocks the process while it runs. */
export class ModelSession {
  readonly info: SessionInfo
  readonly threads: number
  /** Seconds spent in scoring logits outside the graph. */
  scoreSeconds = 0
  readonly #body: Graph
  readonly #head: Head | null
  readonly #name: string
  readonly #graph: KvGraph
  readonly #output: string
  #layered: LayeredBody | null = null
  /** The reference's logits, in the same memory for every window. */
  #reference = new Float32Array()

  /** Use `openSession`. */
  constructor(name: string, threads: number, body: Graph, head: Head | null, graph: KvGraph, info: Pick<SessionInfo, 'maxPositions' | 'rope' | 'rotation' | 'vocab' | 'whole'>) {
    this.threads = threads
    this.#body = body
    this.#head = head
    this.#name = name
    this.#graph = graph
    const { layers, kvHeads, headDim, kvDtype, hasPositionIds } = graph
    this.info = { layers, kvHeads, headDim, kvDtype, hasPositionIds, ...info }
    const cache = new Set(graph.present.flatMap(({ key, value }) => [key, value]))
    this.#output = head ? (body.outputs.find((output) => !cache.has(output.name))?.name ?? '') : 'logits'
  }

  /** Seconds spent inside ONNX Runtime. */
  get inferenceSeconds(): number {
    return this.#body.seconds + (this.#head?.seconds ?? 0) + (this.#layered?.seconds ?? 0)
  }

  /** Open the graph cut at every layer, and with `queries` at these too, for `inPass`. Throws LabError MODEL_UNSUPPORTED with the reason where it cannot be cut. */
  async openLayers(model: ModelFolder, queries: boolean): Promise<void> {
    this.#layered ??= await openLayered(model, this.#graph, this.#output, this.threads, queries)
  }

  /** The KV cache of `ids`, `[kvHeads, tokens, headDim]` a layer. Throws LabError INVALID_INPUT (ids or length the model cannot take) or MODEL_UNSUPPORTED (the graph failed). */
  async prefill(ids: Uint32Array): Promise<KvCache> {
    const results = await this.#body.run(this.#feeds(null, ids, 1), this.#graph.present.flatMap(({ key, value }) => [key, value]))
    const shape = this.shape(ids.length)
    const { kvHeads, headDim } = shape
    const take = (name: string): Float32Array => floatsOf(this.#body.output(results, name, [1, kvHeads, ids.length, headDim]))
    return { shape, key: this.#graph.present.map(({ key }) => take(key)), value: this.#graph.present.map(({ value }) => take(value)) }
  }

  /** Shape of this model's cache of so many tokens. */
  shape(tokens: number): KvShape {
    const { layers, kvHeads, headDim, kvDtype, rotation } = this.info
    return { layers, kvHeads, tokens, headDim, dtype: kvDtype, ...(rotation ? { rope: rotation } : {}) }
  }

  /** Room for the past of `batch` rows of `tokens` tokens, for use over and over. */
  past(batch: number, tokens: number): Past {
    return new Past(this.info, this.info.kvDtype, batch, tokens)
  }

  /**
   * Logits `[tokens - from, vocab]` of one sequence, after `past` (null: from position 0), of its tokens from `from` on.
   * Throws LabError INVALID_INPUT (ids or length the model cannot take) or MODEL_UNSUPPORTED (the graph failed).
   */
  async logits(past: Past | null, ids: Uint32Array, from = 0): Promise<Float32Array> {
    const logits = new Float32Array((ids.length - from) * this.info.vocab)
    await this.#logits(past, ids, from, logits)
    return logits
  }

  /**
   * The pass that others are scored against: row t of the logits of `ids` after `past` predicts `ids[t + 1]`. It lies in the session's own memory:
   * the next call takes it away. Throws as `logits`, and NOT_FINITE.
   */
  async reference(past: Past, ids: Uint32Array): Promise<Reference> {
    return this.referenceOf(await this.states(past, ids, past.batch), ids.subarray(1))
  }

  /** The reference of the first row of `states`, whose token t predicts `targets[t]`; otherwise as `reference`. */
  async referenceOf(states: HiddenStates, targets: Uint32Array): Promise<Reference> {
    const size = targets.length * this.info.vocab
    if (this.#reference.length !== size) this.#reference = new Float32Array(size)
    if (this.#head) await this.#head.logits(states, 0, 0, this.#reference)
    else this.#reference.set(asFloats(states.data).subarray(0, size))
    return this.#scoring(() => new Reference(this.#reference, this.info.vocab, targets))
  }

  /**
   * The rows of a batch whose pasts hold restored caches, scored against the reference; attention covers all of the past, and positions go on from its end.
   * A row that is not finite is an error of its own. Throws as `logits`.
   */
  async score(past: Past, ids: Uint32Array, reference: Reference): Promise<(TokenScores | LabError)[]> {
    return this.compare(await this.states(past, ids, past.batch), reference)
  }

  /** All rows of `states`, whose first token predicts the reference's first target, scored against it; a row that is not finite is an error of its own. */
  async compare(states: HiddenStates, reference: Reference): Promise<(TokenScores | LabError)[]> {
    const scores: (TokenScores | LabError)[] = []
    const logits = this.#head ? null : asFloats(states.data)
    for (let row = 0; row < states.batch; row++) {
      const score = this.#head ? this.#head.compare(states, row, reference) : this.#scoring(async () => scoreAgainst(reference, logits ?? new Float32Array(), row * states.tokens * this.info.vocab))
      scores.push(await score.catch(asResult))
    }
    return scores
  }

  /** What the tokens of a batch leave before the LM head, or their logits where the graph runs whole. Throws as `logits`. */
  async states(past: Past | null, ids: Uint32Array, batch: number): Promise<HiddenStates> {
    return this.#statesOf(await this.#body.run(this.#feeds(past, ids, batch), [this.#output]), batch, ids.length)
  }

  /**
   * A pass of a batch that goes on from `past` and hands the cache of all tokens, old and new, to `take`: one layer of one side, `[batch, kvHeads, tokens, headDim]`,
   * valid until it returns. `wanted`: whether the tokens' states are too, else null. Throws as `logits`.
   */
  async step(past: Past | null, ids: Uint32Array, batch: number, wanted: boolean, take: (side: Side, layer: number, values: Float32Array) => void): Promise<HiddenStates | null> {
    const { kvHeads, headDim } = this.info
    const results = await this.#body.run(this.#feeds(past, ids, batch), [...(wanted ? [this.#output] : []), ...this.#graph.present.flatMap(({ key, value }) => [key, value])])
    const dims = [batch, kvHeads, (past?.tokens ?? 0) + ids.length, headDim]
    this.#graph.present.forEach((names, layer) => {
      for (const side of SIDES) take(side, layer, floatsOf(this.#body.output(results, names[side], dims)))
    })
    return wanted ? this.#statesOf(results, batch, ids.length) : null
  }

  /**
   * One pass of a batch of equal rows without a past, in which every layer's keys and values, `[batch, kvHeads, tokens, headDim]`, go through `edit` before any token
   * attends to them: what it writes into them is what the pass, and its result, is of. Queries, rows of headDim by batch, where the session hands them out.
   * The session must have been opened `layered`. Throws as `logits`.
   */
  async inPass(ids: Uint32Array, batch: number, edit: (layer: number, arrays: LayerArrays) => void): Promise<HiddenStates> {
    if (!this.#layered) throw new LabError('INTERNAL', `${this.#name} was not opened for passes layer by layer`)
    const results = await this.#layered.run(this.#feeds(null, ids, batch), (layer, key, value, query) => {
      if (query && (query.dims[0] !== batch || query.dims.at(-1) !== this.info.headDim)) throw new LabError('MODEL_UNSUPPORTED', `${this.#name}: its queries of layer ${layer} are not rows of a head: use --queries exact`)
      const arrays = { key: floatsOf(key), value: floatsOf(value), ...(query ? { query: floatsOf(query) } : {}) }
      edit(layer, arrays)
      for (const [tensor, values] of [[key, arrays.key], [value, arrays.value], [query, arrays.query]] as const) if (values && tensor?.data instanceof Uint16Array) kernels.encodeFloats('F16', values, tensor.data)
    })
    return this.#statesOf(results, batch, ids.length)
  }

  /** Free the native memory. The session is of no use after it. */
  async release(): Promise<void> {
    await this.#body.release()
    await this.#head?.release()
    await this.#layered?.release()
  }

  #statesOf(results: Feeds, batch: number, tokens: number): HiddenStates {
    const width = this.#head ? (results[this.#output]?.dims[2] ?? 0) : this.info.vocab
    const { data } = this.#body.output(results, this.#output, [batch, tokens, width])
    if (!(data instanceof Float32Array) && !(data instanceof Uint16Array)) throw new LabError('INTERNAL', `${this.#name}: ${this.#output} that are neither F32 nor F16`)
    return { data, batch, tokens, width }
  }

  /** Logits of one sequence from row `from` on, as many as fill `out`. */
  async #logits(past: Past | null, ids: Uint32Array, from: number, out: Float32Array): Promise<void> {
    const states = await this.states(past, ids, 1)
    if (this.#head) return this.#head.logits(states, 0, from, out)
    out.set(asFloats(states.data).subarray(from * this.info.vocab, from * this.info.vocab + out.length))
  }

  #scoring<T>(work: () => T): T {
    const began = performance.now()
    try {
      return work()
    } finally {
      this.scoreSeconds += (performance.now() - began) / 1000
    }
  }

  #feeds(past: Past | null, ids: Uint32Array, batch: number): Feeds {
    const { vocab, maxPositions, kvHeads, headDim, kvDtype, hasPositionIds } = this.info
    const before = past?.tokens ?? 0
    const end = before + ids.length
    const wrong = ids.find((id) => id >= vocab)
    if (wrong !== undefined) throw new LabError('INVALID_INPUT', `${this.#name}: token id ${wrong} is beyond its vocabulary of ${vocab}: the tokenizer is not this model's`)
    if (ids.length === 0) throw new LabError('INVALID_INPUT', `${this.#name}: a pass needs at least one token`)
    if (maxPositions !== null && end > maxPositions) throw new LabError('INVALID_INPUT', `${this.#name}: a context of ${end} tokens is beyond its ${maxPositions} positions: take a shorter --context`)
    const whole = (length: number, at: (i: number) => bigint): Tensor => {
      const data = new BigInt64Array(batch * length)
      for (let i = 0; i < data.length; i++) data[i] = at(i % length)
      return this.#body.integers(data, [batch, length])
    }
    const feeds: Feeds = { input_ids: whole(ids.length, (i) => BigInt(ids[i] ?? 0)) }
    if (this.#body.inputs.some(({ name }) => name === 'attention_mask')) feeds['attention_mask'] = whole(end, () => 1n)
    if (hasPositionIds) feeds['position_ids'] = whole(ids.length, (i) => BigInt(before + i))
    const { logitsToKeep } = this.#graph
    if (logitsToKeep) feeds[logitsToKeep.name] = this.#body.integers(BigInt64Array.of(0n), logitsToKeep.shape)
    const dims = [batch, kvHeads, before, headDim]
    this.#graph.past.forEach((names, layer) => {
      for (const side of SIDES) feeds[names[side]] = this.#body.floats(past?.feed(side, layer) ?? (kvDtype === 'F32' ? new Float32Array() : new Uint16Array()), dims)
    })
    return feeds
  }
}

function asResult(error: unknown): LabError {
  if (error instanceof LabError && error.code === 'NOT_FINITE') return error
  throw error
}
