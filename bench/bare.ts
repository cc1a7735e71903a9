import { openFile } from '#core/bytes/file.ts'
import { openGraph, type Feeds, type Graph } from '#core/evaluation/runtime.ts'
import { findModel } from '#core/library/models.ts'
import { node, value } from '#core/onnx/build.ts'
import { splitHead } from '#core/onnx/head.ts'
import { readModel, withGraph, writeModel } from '#core/onnx/model.ts'
import { readGraph, type KvGraph } from '#core/onnx/kv-graph.ts'
import { median } from './measure.ts'

/** Seconds of the passes that no exact program can avoid: a prefix without the head, a suffix with it. `fetched`: the suffix by the model's own graph, its logits copied out. */
export type Bare = { readonly prefix: number; readonly suffix: number; readonly fetched: number }

/** The model's own arithmetic, bare: nothing is quantised, written or scored. Sessions stay open between rounds, so that rounds can stand between the sweeps they are held against. */
export class BarePasses {
  readonly #body: Graph
  readonly #head: Graph
  readonly #whole: Graph
  readonly #kv: KvGraph
  readonly #hidden: string
  readonly #sizes: { prefix: number; suffix: number }
  readonly #rounds: Bare[] = []

  private constructor(graphs: { body: Graph; head: Graph; whole: Graph }, kv: KvGraph, hidden: string, sizes: { prefix: number; suffix: number }) {
    this.#body = graphs.body
    this.#head = graphs.head
    this.#whole = graphs.whole
    this.#kv = kv
    this.#hidden = hidden
    this.#sizes = sizes
  }

  static async open(model: string, sizes: { prefix: number; suffix: number }, threads: number): Promise<BarePasses> {
    const { onnxPath } = await findModel(model)
    const source = await openFile(onnxPath)
    const split = splitHead(readModel(await source.read(0, source.size), onnxPath))
    await source.close()
    if ('reason' in split) throw new Error(`${onnxPath} cannot be cut before its head: ${split.reason}`)
    // Fetching the shape of the logits has them computed, and copies nothing.
    const { head } = split
    const shaped = withGraph(head, { node: [...head.graph.node, node('Shape', ['logits'], 'kvlab.shape')], output: [...head.graph.output, value('kvlab.shape', 'I64', [3])] })
    const open = (pieces: Uint8Array[]): Promise<Graph> => openGraph({ name: onnxPath, bytes: Buffer.concat(pieces), folder: '.' }, threads)
    const graphs = { body: await open(writeModel(split.body)), head: await open(writeModel(shaped)), whole: await openGraph({ name: onnxPath, path: onnxPath }, threads) }
    return new BarePasses(graphs, readGraph(onnxPath, graphs.whole.inputs, graphs.whole.outputs), split.hidden, sizes)
  }

  /** Time each pass `passes` times and keep the medians. */
  async round(passes = 3): Promise<void> {
    const { prefix, suffix } = this.#sizes
    const present = this.#kv.present.flatMap(({ key, value: name }) => [key, name])
    const before = this.#feeds(0, prefix)
    const after = this.#feeds(prefix, suffix)
    const whole = { ...after }
    const timed = async (work: () => Promise<unknown>): Promise<number> => {
      const times: number[] = []
      for (let pass = 0; pass < passes; pass++) {
        const began = performance.now()
        await work()
        times.push((performance.now() - began) / 1000)
      }
      return median(times)
    }
    this.#rounds.push({
      prefix: await timed(() => this.#body.run(before, present)),
      suffix: await timed(async () => {
        const hidden = await this.#body.run(after, [this.#hidden])
        await this.#head.run(hidden, ['kvlab.shape'])
      }),
      fetched: await timed(() => this.#whole.run(whole, ['logits'])),
    })
  }

  /** Medians over all rounds. */
  result(): Bare {
    const of = (pick: (bare: Bare) => number): number => median(this.#rounds.map(pick))
    return { prefix: of(({ prefix }) => prefix), suffix: of(({ suffix }) => suffix), fetched: of(({ fetched }) => fetched) }
  }

  async close(): Promise<void> {
    for (const graph of [this.#body, this.#head, this.#whole]) await graph.release()
  }

  #feeds(past: number, tokens: number): Feeds {
    const ints = (length: number, at: (i: number) => number): Feeds[string] => this.#body.integers(BigInt64Array.from({ length }, (_, i) => BigInt(at(i))), [1, length])
    const feeds: Feeds = { input_ids: ints(tokens, (i) => (i * 37) % 1000), attention_mask: ints(past + tokens, () => 1), position_ids: ints(tokens, (i) => past + i) }
    const dims = [1, this.#kv.kvHeads, past, this.#kv.headDim]
    const size = dims.reduce((product, length) => product * length, 1)
    for (const { key, value: name } of this.#kv.past) for (const input of [key, name]) feeds[input] = this.#body.floats(Float32Array.from({ length: size }, (_, i) => Math.sin(i)), dims)
    return feeds
  }
}
