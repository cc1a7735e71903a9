import './float16array.ts'
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-node'
import { decodeF16, encodeF16 } from '#core/bytes/float.ts'
import { LabError } from '#core/contract/errors.ts'
import type { KvArrays, KvCache, KvShape } from '#core/kv/cache.ts'
import type { ModelFolder } from '#core/library/models.ts'
import { loadConfig, type ModelConfig } from './config.ts'
import { readGraph, type GraphValue, type KvGraph } from './graph.ts'

/** What can be said of an open model. */
export type SessionInfo = Pick<KvGraph, 'layers' | 'kvHeads' | 'headDim' | 'kvDtype' | 'hasPositionIds'> &
  Pick<ModelConfig, 'maxPositions' | 'rope'> & { readonly vocab: number }

/** Logits `[batch, tokens, vocab]` of one pass, natural order. `release()` lets their memory go; do not read `data` after it. */
export type Logits = { readonly data: Float32Array; release(): void }

type Feeds = Record<string, Tensor>

/**
 * Open a model on the CPU with `threads` threads. Throws LabError MODEL_UNSUPPORTED (a graph that cannot be evaluated, and why) or
 * MODEL_BROKEN (files that do not load, among them missing external data). Release the session when done: nothing else frees it.
 */
export async function openSession(model: ModelFolder, options: { threads: number }): Promise<ModelSession> {
  const config = await loadConfig(model)
  const runtime = await import('onnxruntime-node').catch((error: unknown) => {
    throw new LabError('MODEL_UNSUPPORTED', `ONNX Runtime does not load on this machine (${reasonOf(error)}): see kvlab doctor`)
  })
  const settings: InferenceSession.SessionOptions = {
    executionProviders: ['cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    // Threads that wait by spinning made a pass 2 to 5 times slower on a busy machine; on a quiet one the two differ by less than a tenth.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
    // Only what is fatal goes to stderr: every error comes back as one anyway.
    logSeverityLevel: 4,
  }
  const session = await runtime.InferenceSession.create(model.onnxPath, settings).catch((error: unknown) => {
    throw loadError(model.onnxPath, reasonOf(error))
  })
  try {
    const graph = readGraph(model.onnxPath, session.inputMetadata.map(plain), session.outputMetadata.map(plain))
    const vocab = graph.vocab ?? config.vocab
    if (vocab === null) throw new LabError('MODEL_UNSUPPORTED', `${model.onnxPath} does not say how many tokens its vocabulary has, nor does config.json`)
    return new ModelSession(session, runtime.Tensor, model.name, graph, { ...graph, maxPositions: config.maxPositions, rope: config.rope, vocab })
  } catch (error) {
    await session.release()
    throw error
  }
}

/** Names of the execution providers that ONNX Runtime was built with for this system; which of them work here is another matter. */
export async function listBackends(): Promise<string[]> {
  const { listSupportedBackends } = await import('onnxruntime-node')
  return listSupportedBackends().map(({ name }) => name)
}

/** An open model. One call at a time: a pass blocks the process while it runs. */
export class ModelSession {
  readonly info: SessionInfo
  /** Seconds spent inside ONNX Runtime, and in scoring its logits. */
  inferenceSeconds = 0
  scoreSeconds = 0
  readonly #session: InferenceSession
  readonly #Tensor: TensorConstructor
  readonly #name: string
  readonly #graph: KvGraph

  /** Use `openSession`. */
  constructor(session: InferenceSession, tensor: TensorConstructor, name: string, graph: KvGraph, info: SessionInfo) {
    this.#session = session
    this.#Tensor = tensor
    this.#name = name
    this.#graph = graph
    const { layers, kvHeads, headDim, kvDtype, hasPositionIds, maxPositions, rope, vocab } = info
    this.info = { layers, kvHeads, headDim, kvDtype, hasPositionIds, maxPositions, rope, vocab }
  }

  /** The KV cache of `ids`, `[kvHeads, tokens, headDim]` a layer. Throws LabError INVALID_INPUT (ids or length the model cannot take) or MODEL_UNSUPPORTED (the graph failed). */
  async prefill(ids: Uint32Array): Promise<KvCache> {
    const { layers, kvHeads, headDim, kvDtype } = this.info
    const results = await this.#run(this.#feeds(null, ids, 1), this.#graph.present.flatMap(({ key, value }) => [key, value]))
    const shape: KvShape = { layers, kvHeads, tokens: ids.length, headDim, dtype: kvDtype }
    const take = (name: string): Float32Array => floats(this.#output(results, name, [1, kvHeads, ids.length, headDim]))
    return { shape, key: this.#graph.present.map(({ key }) => take(key)), value: this.#graph.present.map(({ value }) => take(value)) }
  }

  /** Room for the past of `batch` rows of `tokens` tokens, for use over and over. */
  past(batch: number, tokens: number): Past {
    return new Past(this.info, batch, tokens)
  }

  /**
   * Logits of `ids`, the same for every row, after `past` (null: from position 0). Attention covers all of the past; positions go on from its end.
   * Throws LabError INVALID_INPUT (ids or length the model cannot take) or MODEL_UNSUPPORTED (the graph failed, as fused attention does with a batch and a past).
   */
  async logits(past: Past | null, ids: Uint32Array, batch: number): Promise<Logits> {
    if (past && past.batch !== batch) throw new LabError('INTERNAL', `a past of ${past.batch} rows in a batch of ${batch}`)
    const results = await this.#run(this.#feeds(past, ids, batch), ['logits'])
    const tensor = this.#output(results, 'logits', [batch, ids.length, this.info.vocab])
    return { data: floats(tensor), release: () => tensor.dispose() }
  }

  /** Free the native memory. The session is of no use after it. */
  release(): Promise<void> {
    return this.#session.release()
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
      return new this.#Tensor('int64', data, [batch, length])
    }
    const feeds: Feeds = { input_ids: whole(ids.length, (i) => BigInt(ids[i] ?? 0)) }
    if (this.#session.inputNames.includes('attention_mask')) feeds['attention_mask'] = whole(end, () => 1n)
    if (hasPositionIds) feeds['position_ids'] = whole(ids.length, (i) => BigInt(before + i))
    const dims = [batch, kvHeads, before, headDim]
    this.#graph.past.forEach((names, layer) => {
      for (const side of ['key', 'value'] as const) {
        const values = past?.batchOf(side, layer) ?? new Float32Array()
        feeds[names[side]] = kvDtype === 'F32' ? new this.#Tensor('float32', values, dims) : new this.#Tensor('float16', bitsOf(values), dims)
      }
    })
    return feeds
  }

  async #run(feeds: Feeds, outputs: string[]): Promise<Feeds> {
    const began = performance.now()
    try {
      return await this.#session.run(feeds, outputs)
    } catch (error) {
      throw new LabError('MODEL_UNSUPPORTED', `${this.#name}: its graph failed: ${reasonOf(error)}`)
    } finally {
      this.inferenceSeconds += (performance.now() - began) / 1000
    }
  }

  #output(results: Feeds, name: string, dims: readonly number[]): Tensor {
    const tensor = results[name]
    if (!tensor || tensor.dims.join() !== dims.join()) throw new LabError('MODEL_UNSUPPORTED', `${this.#name}: ${name} came as [${tensor?.dims.join() ?? ''}], expected [${dims.join()}]`)
    return tensor
  }
}

/** The past of a batch: `row(b)` are the F32 arrays of one row, to decode a cache into. */
export class Past {
  readonly batch: number
  readonly tokens: number
  readonly #key: readonly Float32Array[]
  readonly #value: readonly Float32Array[]

  /** Use `ModelSession.past`. */
  constructor(info: SessionInfo, batch: number, tokens: number) {
    this.batch = batch
    this.tokens = tokens
    const room = (): Float32Array[] => Array.from({ length: info.layers }, () => new Float32Array(batch * info.kvHeads * tokens * info.headDim))
    this.#key = room()
    this.#value = room()
  }

  row(row: number): KvArrays {
    if (!Number.isInteger(row) || row < 0 || row >= this.batch) throw new LabError('INTERNAL', `row ${row} of a batch of ${this.batch}`)
    const view = (values: Float32Array): Float32Array => values.subarray((row * values.length) / this.batch, ((row + 1) * values.length) / this.batch)
    return { key: this.#key.map(view), value: this.#value.map(view) }
  }

  /** All rows of one layer, `[batch, kvHeads, tokens, headDim]`. */
  batchOf(side: 'key' | 'value', layer: number): Float32Array {
    return (side === 'key' ? this.#key : this.#value)[layer] ?? new Float32Array()
  }
}

function plain(value: InferenceSession.ValueMetadata): GraphValue {
  return value.isTensor ? { name: value.name, type: value.type, shape: value.shape } : { name: value.name, type: 'none', shape: [] }
}

function floats(tensor: Tensor): Float32Array {
  const { data } = tensor
  if (data instanceof Float32Array) return data
  if (!(data instanceof Uint16Array)) throw new LabError('INTERNAL', `a ${tensor.type} tensor where float32 or float16 was declared`)
  const values = new Float32Array(data.length)
  decodeF16(data, values)
  return values
}

function bitsOf(values: Float32Array): Uint16Array {
  const bits = new Uint16Array(values.length)
  encodeF16(values, bits)
  return bits
}

function loadError(path: string, reason: string): LabError {
  // What ONNX Runtime's messages say where a graph is sound but not for it; it gives no codes.
  const foreign = /Unsupported data type|No Op registered|not a registered function|NOT_IMPLEMENTED|opset|IR version|Fatal error/i.test(reason)
  if (foreign) return new LabError('MODEL_UNSUPPORTED', `${path} cannot be evaluated: ${reason.replace(/(Unsupported data type): 16\b/, '$1: bfloat16')}`, { reason })
  return new LabError('MODEL_BROKEN', `${path} does not load: ${reason}; get its files again`, { reason })
}

/** The first line, without the path that our own message names. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return (text.split('\n')[0] ?? '').replace(/^Load model from .*? failed: ?/, '')
}
