import { LabError } from '#core/contract/errors.ts'
import { headRows } from '#core/contract/memory.ts'
import { kernels } from '#core/kernels/index.ts'
import { METRIC_INPUTS, METRIC_OUTPUTS, metricRun, WIDE_LOGITS } from '#core/onnx/metrics.ts'
import type { Feeds, Graph, Tensor } from './runtime.ts'
import { scoreAgainst, type Reference, type TokenScores } from './score.ts'

/** Hidden states `[batch, tokens, width]` as the body gives them: F32, or the bits of F16. Of a graph that runs whole the logits take their place, its width the vocabulary. */
export type HiddenStates = { readonly data: Float32Array | Uint16Array; readonly batch: number; readonly tokens: number; readonly width: number }

/** The LM head of a split model: logits of hidden states, or their scores against a reference without the logits ever leaving it. */
export class Head {
  readonly #graph: Graph
  readonly #weigh: Graph
  readonly #vocab: number
  readonly #input: string
  readonly #logitsName: string
  /** Of this reference are the weights, in the same memory for every window. */
  #weighed: Reference | null = null
  #weights = new Float32Array()

  /** `weigh`: the graph of `weightsModel`. */
  constructor(graph: Graph, weigh: Graph, vocab: number) {
    this.#graph = graph
    this.#weigh = weigh
    this.#vocab = vocab
    const known: readonly string[] = Object.values(METRIC_INPUTS)
    const input = graph.inputs.find(({ name }) => !known.includes(name))
    if (!input) throw new LabError('INTERNAL', `${graph.name}: its head takes no hidden states`)
    this.#input = input.name
    this.#logitsName = graph.outputs.some(({ name }) => name === WIDE_LOGITS) ? WIDE_LOGITS : 'logits'
  }

  /** Logits `[rows, vocab]` of one sequence of the batch, from row `from` on, as many as fill `out`. */
  async logits(hidden: HiddenStates, row: number, from: number, out: Float32Array): Promise<void> {
    const count = out.length / this.#vocab
    const most = headRows(this.#vocab)
    for (let done = 0; done < count; done += most) {
      const rows = Math.min(most, count - done)
      // The comparison is fed, and not read: what it is fed does not matter.
      const any = out.subarray(done * this.#vocab, (done + rows) * this.#vocab)
      const results = await this.#graph.run(this.#feeds(hidden, row, from + done, rows, any, any, new BigInt64Array(2 * rows)), [this.#logitsName])
      const logits = this.#graph.output(results, this.#logitsName, [1, rows, this.#vocab])
      out.set(floatsOf(logits), done * this.#vocab)
      logits.dispose()
    }
  }

  /**
   * Scores of one sequence of the batch against the reference, as `scoreAgainst` gives them for its logits. The sums of a row that differs so much that e^d is no F32
   * number are worked out again from its logits. Throws LabError NOT_FINITE naming the token.
   */
  async compare(hidden: HiddenStates, row: number, reference: Reference): Promise<TokenScores> {
    const count = reference.targets.length
    const scores = { nll: new Float64Array(count), kl: new Float64Array(count), agree: new Uint8Array(count) }
    const most = headRows(this.#vocab)
    if (this.#weighed !== reference) await this.#weighAll(reference)
    this.#weighed = reference
    for (let from = 0; from < count; from += most) {
      if (!(await this.#compareRows(hidden, row, from, Math.min(most, count - from), reference, scores))) {
        const logits = new Float32Array(count * this.#vocab)
        await this.logits(hidden, row, 0, logits)
        return scoreAgainst(reference, logits, 0)
      }
    }
    return scores
  }

  async #compareRows(hidden: HiddenStates, row: number, from: number, count: number, reference: Reference, scores: TokenScores): Promise<boolean> {
    const vocab = this.#vocab
    const picks = new BigInt64Array(2 * count)
    for (let t = 0; t < count; t++) {
      picks[2 * t] = BigInt(reference.targets[from + t] ?? 0)
      picks[2 * t + 1] = BigInt(reference.argmax[from + t] ?? 0)
    }
    const part = (values: Float32Array): Float32Array => values.subarray(from * vocab, (from + count) * vocab)
    const feeds = this.#feeds(hidden, row, from, count, part(reference.logits), part(this.#weights), picks)
    const results = await this.#graph.run(feeds, Object.values(METRIC_OUTPUTS))
    const runs = vocab / metricRun(vocab)
    const take = (name: string, width: number): Float32Array => floatsOf(this.#graph.output(results, name, [1, count, width]))
    const max = take(METRIC_OUTPUTS.max, 1)
    const picked = take(METRIC_OUTPUTS.picked, 2)
    const excess = take(METRIC_OUTPUTS.excess, runs)
    const shift = take(METRIC_OUTPUTS.shift, runs)
    for (let t = 0; t < count; t++) {
      const weightSum = reference.sums[from + t] ?? NaN
      const growth = Math.log1p(sum(excess, t * runs, runs) / weightSum)
      const shifted = sum(shift, t * runs, runs) / weightSum
      if (!Number.isFinite(growth - shifted)) return false
      scores.nll[from + t] = (reference.maxima[from + t] ?? NaN) + Math.log(weightSum) + growth - (picked[2 * t] ?? NaN)
      scores.kl[from + t] = growth - shifted
      scores.agree[from + t] = (picked[2 * t + 1] ?? NaN) >= (max[t] ?? NaN) ? 1 : 0
    }
    return true
  }

  /** Weights of the reference's rows, once for all that are compared with it. */
  async #weighAll({ targets, logits, maxima }: Reference): Promise<void> {
    const vocab = this.#vocab
    const count = targets.length
    const most = headRows(vocab)
    if (this.#weights.length !== count * vocab) this.#weights = new Float32Array(count * vocab)
    for (let from = 0; from < count; from += most) {
      const rows = Math.min(most, count - from)
      const results = await this.#weigh.run(
        { logits: this.#weigh.floats(logits.subarray(from * vocab, (from + rows) * vocab), [rows, vocab]), maxima: this.#weigh.floats(Float32Array.from(maxima.subarray(from, from + rows)), [rows, 1]) },
        ['weights'],
      )
      const weights = this.#weigh.output(results, 'weights', [rows, vocab])
      this.#weights.set(floatsOf(weights), from * vocab)
      weights.dispose()
    }
  }

  async release(): Promise<void> {
    await this.#graph.release()
    await this.#weigh.release()
  }

  /** Seconds spent inside ONNX Runtime. */
  get seconds(): number {
    return this.#graph.seconds + this.#weigh.seconds
  }

  #feeds({ data, tokens, width }: HiddenStates, row: number, from: number, count: number, logits: Float32Array, weights: Float32Array, picks: BigInt64Array): Feeds {
    const begin = (row * tokens + from) * width
    return {
      [this.#input]: this.#graph.floats(data.subarray(begin, begin + count * width), [1, count, width]),
      [METRIC_INPUTS.logits]: this.#graph.floats(logits, [1, count, this.#vocab]),
      [METRIC_INPUTS.weights]: this.#graph.floats(weights, [1, count, this.#vocab]),
      [METRIC_INPUTS.picks]: this.#graph.integers(picks, [1, count, 2]),
    }
  }
}

function sum(values: Float32Array, from: number, count: number): number {
  let total = 0
  for (let i = from; i < from + count; i++) total += values[i] ?? 0
  return total
}

/** The values of a tensor as F32; those of F16 are converted. */
export function floatsOf(tensor: Tensor): Float32Array {
  const { data } = tensor
  if (data instanceof Float32Array || data instanceof Uint16Array) return asFloats(data)
  throw new LabError('INTERNAL', `a ${tensor.type} tensor where float32 or float16 was declared`)
}

/** F32 values as they are; the bits of F16 converted. */
export function asFloats(data: Float32Array | Uint16Array): Float32Array {
  if (data instanceof Float32Array) return data
  const values = new Float32Array(data.length)
  kernels.decodeFloats('F16', data, values)
  return values
}
