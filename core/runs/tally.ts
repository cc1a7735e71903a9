import { LabError, type LabErrorJson } from '#core/contract/errors.ts'
import type { StreamBytes } from '#core/contract/run.ts'
import { ErrorSums } from '#core/kv/metrics.ts'
import type { TokenSamples } from '#core/statistics/samples.ts'
import type { CellRecord, ControlName, ControlRecord, JournalLine, Prefill, Seconds, WindowScores } from './journal.ts'

/** Scores of one method or control, window by window, in arrays of fixed size. */
export class ScoreTable {
  readonly tokensPerWindow: number
  readonly done: Uint8Array
  readonly nll: Float64Array
  readonly kl: Float64Array
  readonly agree: Uint8Array
  /** Of each window that is done: sums over its tokens of the loss, of its difference to the reference's, of KL, and of tokens that flipped. */
  readonly sums: { readonly nll: Float64Array; readonly change: Float64Array; readonly kl: Float64Array; readonly flips: Float64Array }

  constructor(windows: number, tokensPerWindow: number) {
    this.tokensPerWindow = tokensPerWindow
    this.done = new Uint8Array(windows)
    this.nll = new Float64Array(windows * tokensPerWindow)
    this.kl = new Float64Array(windows * tokensPerWindow)
    this.agree = new Uint8Array(windows * tokensPerWindow)
    const sums = (): Float64Array => new Float64Array(windows)
    this.sums = { nll: sums(), change: sums(), kl: sums(), flips: sums() }
  }

  /** `reference`: the table of the reference, which has this window already; the reference itself has none. */
  set(window: number, scores: WindowScores, reference?: ScoreTable): void {
    const at = window * this.tokensPerWindow
    this.nll.set(scores.nll, at)
    this.kl.set(scores.kl, at)
    for (let i = 0; i < scores.agree.length; i++) this.agree[at + i] = scores.agree.charCodeAt(i) - 48
    this.done[window] = 1
    const { nll, change, kl, flips } = this.sums
    nll[window] = total(scores.nll)
    kl[window] = total(scores.kl)
    change[window] = reference ? scores.nll.reduce((sum, loss, i) => sum + loss - (reference.nll[at + i] ?? 0), 0) : 0
    flips[window] = scores.agree.replaceAll('1', '').length
  }

  /** The windows that are done, closed up, beside the reference's losses of the same windows. */
  samples(reference: Float64Array): TokenSamples {
    const windows = this.windows()
    const { tokensPerWindow } = this
    if (windows.length === this.done.length) return { tokensPerWindow, nllRef: reference, nll: this.nll, kl: this.kl, agree: this.agree }
    const closeUp = <T extends Float64Array | Uint8Array>(from: T, to: T): T => {
      windows.forEach((window, i) => to.set(from.subarray(window * tokensPerWindow, (window + 1) * tokensPerWindow), i * tokensPerWindow))
      return to
    }
    const size = windows.length * tokensPerWindow
    return {
      tokensPerWindow,
      nllRef: closeUp(reference, new Float64Array(size)),
      nll: closeUp(this.nll, new Float64Array(size)),
      kl: closeUp(this.kl, new Float64Array(size)),
      agree: closeUp(this.agree, new Uint8Array(size)),
    }
  }

  /** Indices of the windows that are done. */
  windows(): number[] {
    return Array.from(this.done.keys()).filter((window) => this.done[window] === 1)
  }
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}

/** All that was measured of one method. */
export class MethodTally {
  readonly scores: ScoreTable
  readonly streams = new Map<string, StreamBytes>()
  readonly encodeSeconds: number[] = []
  readonly decodeSeconds: number[] = []
  /** Layer 0 key, layer 0 value, layer 1 key, … */
  readonly errors: ErrorSums[]
  /** Bytes of the coded streams of each window: the KV file without its header. */
  readonly streamBytes: Float64Array
  encoded = 0
  header = 0
  /** Wall seconds of its rows: its share of the passes they were in. */
  seconds = 0
  failure: { window: number; reason: LabErrorJson } | null = null

  constructor(windows: number, tokensPerWindow: number, layers: number) {
    this.scores = new ScoreTable(windows, tokensPerWindow)
    this.errors = Array.from({ length: 2 * layers }, () => new ErrorSums())
    this.streamBytes = new Float64Array(windows)
  }

  add(window: number, record: CellRecord, reference: ScoreTable): void {
    this.scores.set(window, record.scores, reference)
    this.streamBytes[window] = record.bytes.encoded - record.bytes.header
    this.encoded += record.bytes.encoded
    this.header += record.bytes.header
    for (const [name, stream] of Object.entries(record.bytes.streams)) {
      const sum = this.streams.get(name) ?? { raw: 0, coded: 0, entropyBound: 0 }
      this.streams.set(name, { raw: sum.raw + stream.raw, coded: sum.coded + stream.coded, entropyBound: sum.entropyBound + stream.entropyBound })
    }
    this.encodeSeconds.push(record.encodeSeconds)
    this.decodeSeconds.push(record.decodeSeconds)
    record.errors.forEach((sums, i) => this.errors[i]?.merge(ErrorSums.fromJSON(sums)))
  }
}

export type ControlTally = { scores: ScoreTable; equalBits: boolean; batch: number }

/**
 * Everything a run has measured so far: a pure fold over the journal's lines, the same while it runs and when it is resumed,
 * so that an interrupted run ends in the table of an uninterrupted one.
 */
export class Tally {
  readonly reference: ScoreTable
  readonly methods: ReadonlyMap<string, MethodTally>
  readonly controls: ReadonlyMap<ControlName, ControlTally>
  readonly seconds: Seconds = { inference: 0, encode: 0, decode: 0, score: 0, write: 0, total: 0 }
  /** All prefix passes whose time is known. */
  readonly prefill: Prefill = { tokens: 0, seconds: 0 }
  /** Wall seconds of the controls' rows: their share of the passes they were in. */
  controlSeconds = 0
  /** Passes recorded of each window. */
  readonly passes: Set<number>[]

  constructor(methods: readonly string[], windows: number, tokensPerWindow: number, layers: number) {
    this.reference = new ScoreTable(windows, tokensPerWindow)
    this.methods = new Map(methods.map((method) => [method, new MethodTally(windows, tokensPerWindow, layers)]))
    const control = (): ControlTally => ({ scores: new ScoreTable(windows, tokensPerWindow), equalBits: true, batch: 1 })
    this.controls = new Map([['identity', control()], ['aa', control()], ['wrongCache', control()]])
    this.passes = Array.from({ length: windows }, () => new Set<number>())
  }

  add(line: JournalLine): void {
    const passes = this.passes[line.window]
    if (!passes || passes.has(line.pass)) throw new LabError('MALFORMED_FILE', `pass ${line.pass} of window ${line.window} is recorded twice or does not exist: start the run again in a new folder`)
    passes.add(line.pass)
    for (const key of Object.keys(this.seconds) as (keyof Seconds)[]) this.seconds[key] += line.seconds[key]
    this.prefill.tokens += line.prefill?.tokens ?? 0
    this.prefill.seconds += line.prefill?.seconds ?? 0
    const share = line.seconds.total / line.records.length
    for (const record of line.records) {
      switch (record.kind) {
        case 'reference':
          this.reference.set(line.window, { nll: record.nll, kl: [], agree: '' })
          break
        case 'cell': {
          const method = this.methods.get(record.method)
          method?.add(line.window, record, this.reference)
          if (method) method.seconds += share
          break
        }
        case 'failure': {
          const method = this.methods.get(record.method)
          if (method) method.failure ??= { window: line.window, reason: record.reason }
          break
        }
        case 'control':
          this.#addControl(line.window, record)
          this.controlSeconds += share
      }
    }
  }

  #addControl(window: number, record: ControlRecord): void {
    const control = this.controls.get(record.control)
    if (!control) return
    control.scores.set(window, record.scores, this.reference)
    control.equalBits &&= record.equalBits ?? true
    control.batch = record.batch
  }
}
