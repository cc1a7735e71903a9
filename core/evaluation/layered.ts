import { dirname } from 'node:path'
import { openFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { queriesMisfit } from '#core/kv/queries.ts'
import type { ModelFolder } from '#core/library/models.ts'
import { splitHead } from '#core/onnx/head.ts'
import type { KvGraph } from '#core/onnx/kv-graph.ts'
import { cutLayers } from '#core/onnx/layers.ts'
import { MAX_GRAPH_BYTES, readModel, writeModel } from '#core/onnx/model.ts'
import { queriesOf } from '#core/onnx/queries.ts'
import { openGraph, type Feeds, type Graph, type Tensor } from './runtime.ts'

/**
 * Called with the keys and values of a layer, `[batch, kvHeads, tokens, headDim]`, whose data may be changed in place before the next layer reads them; and with its queries, rows of
 * headDim by batch, where the graph was cut at these too.
 */
export type LayerEdit = (layer: number, key: Tensor, value: Tensor, query: Tensor | null) => void

/**
 * Open a model's graph cut at each layer's keys and values (core/onnx/layers.ts), on the CPU with `threads` threads; `output`: the hidden states of a graph that is
 * split before its LM head, or `logits`; `atQueries`: cut at each layer's queries too. Its weights are in memory once more. Throws LabError MODEL_UNSUPPORTED with the reason where it cannot be cut, and as `openGraph`.
 */
export async function openLayered(model: ModelFolder, graph: KvGraph, output: string, threads: number, atQueries: boolean): Promise<LayeredBody> {
  const source = await openFile(model.onnxPath)
  const parts: Graph[] = []
  try {
    if (source.size >= MAX_GRAPH_BYTES) throw new LabError('MODEL_UNSUPPORTED', `in-pass: ${model.onnxPath} is larger than a graph can be`)
    const read = readModel(await source.read(0, source.size), model.onnxPath)
    const split = output === 'logits' ? { body: read } : splitHead(read)
    const body = 'reason' in split ? read : split.body
    const outputs = body.graph.output.filter(({ name }) => name === output)
    const misfit = atQueries ? queriesMisfit(graph.headDim) : null
    const queries = misfit !== null ? { reason: misfit } : atQueries ? queriesOf(body, graph.present) : []
    if ('reason' in queries) throw new LabError('MODEL_UNSUPPORTED', `in-pass with rounded queries: ${model.onnxPath}: ${queries.reason}; use --queries exact`)
    const cut = cutLayers(body, graph, outputs, queries)
    if ('reason' in cut) throw new LabError('MODEL_UNSUPPORTED', `in-pass: ${model.onnxPath}: ${cut.reason}`)
    const types = new Map<string, string>()
    for (let index = 0; index < cut.parts; index++) {
      const name = `${model.onnxPath}, part ${index + 1} of ${cut.parts}`
      const part = await openGraph({ name, bytes: Buffer.concat(writeModel(cut.part(index, types))), folder: dirname(model.onnxPath) }, threads)
      parts.push(part)
      for (const { name, type } of part.outputs) types.set(name, type)
    }
    return new LayeredBody(parts, graph, queries, output)
  } catch (error) {
    for (const part of parts) await part.release()
    throw error
  } finally {
    await source.close()
  }
}

/** The parts of a cut graph, run one after another. Release it when done. */
export class LayeredBody {
  readonly #parts: readonly Graph[]
  readonly #graph: KvGraph
  readonly #queries: readonly string[]
  readonly #output: string

  /** Use `openLayered`. */
  constructor(parts: readonly Graph[], graph: KvGraph, queries: readonly string[], output: string) {
    this.#parts = parts
    this.#graph = graph
    this.#queries = queries
    this.#output = output
  }

  /** Seconds spent inside ONNX Runtime. */
  get seconds(): number {
    return this.#parts.reduce((sum, { seconds }) => sum + seconds, 0)
  }

  /** One pass without a past: every layer's keys and values go through `edit` before anything attends to them. What it throws ends the pass. Throws as `Graph.run`. */
  async run(feeds: Feeds, edit: LayerEdit): Promise<Feeds> {
    const values: Feeds = { ...feeds }
    const lastReader = new Map(this.#parts.flatMap((part, index) => part.inputs.map(({ name }) => [name, index] as const)))
    for (const [index, part] of this.#parts.entries()) {
      const own = Object.fromEntries(part.inputs.map(({ name }): [string, Tensor] => {
        const value = values[name]
        if (!value) throw new LabError('INTERNAL', `${part.name} needs ${name}, which no part before it gives`)
        return [name, value]
      }))
      const results = await part.run(own, part.outputs.map(({ name }) => name))
      Object.assign(values, results)
      const names = this.#graph.present[index]
      const [key, value] = [results[names?.key ?? ''], results[names?.value ?? '']]
      if (key && value) edit(index, key, value, results[this.#queries[index] ?? ''] ?? null)
      // What no later part reads need not be held.
      for (const name of Object.keys(values)) if (name !== this.#output && (lastReader.get(name) ?? -1) <= index) delete values[name]
    }
    return values
  }

  async release(): Promise<void> {
    for (const part of this.#parts) await part.release()
  }
}
