import { LabError, type LabErrorJson } from '#core/contract/errors.ts'
import type { StreamBytes } from '#core/contract/run.ts'
import { ErrorSums } from '#core/kv/metrics.ts'
import type { TokenSamples } from '#core/statistics/samples.ts'
import type { CellRecord, ControlName, ControlRecord, JournalLine, Seconds, WindowScores } from './journal.ts'

/** Scores of one method or control, window by window, in arrays of fixed size. */
export class ScoreTable {
  readonly tokensPerWindow: number
  readonly done: Uint8Array
  readonly nll: Float64Array
  readonly kl: Float64Array
  readonly agree: Uint8Array

  constructor(windows: number, tokensPerWindow: number) {
    this.tokensPerWindow = tokensPerWindow
    this.done = new Uint8Array(windows)
    this.nll = new Float64Array(windows * tokensPerWindow)
    this.kl = new Float64Array(windows * tokensPerWindow)
    this.agree = new Uint8Array(windows * tokensPerWindow)
  }

  set(window: number, scores: WindowScores): void {
    const at = window * this.tokensPerWindow
    this.nll.set(scores.nll, at)
    this.kl.set(scores.kl, at)
    for (let i = 0; i < scores.agree.length; i++) this.agree[at + i] = scores.agree.charCodeAt(i) - 48
    this.done[window] = 1
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

/** All that was measured of one method. */
export class MethodTally {
  readonly scores: ScoreTable
  readonly streams = new Map<string, StreamBytes>()
  readonly encodeSeconds: number[] = []
  readonly decodeSeconds: number[] = []
  /** Layer 0 key, layer 0 value, layer 1 key, … */
  readonly errors: ErrorSums[]
  encoded = 0
  header = 0
  failure: { window: number; reason: LabErrorJson } | null = null

  constructor(windows: number, tokensPerWindow: number, layers: number) {
    this.scores = new ScoreTable(windows, tokensPerWindow)
    this.errors = Array.from({ length: 2 * layers }, () => new ErrorSums())
  }

  add(window: number, record: CellRecord): void {
    this.scores.set(window, record.scores)
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
  readonly seconds: Seconds = { inference: 0, encode: 0, decode: 0, score: 0, total: 0 }
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
    for (const record of line.records) {
      switch (record.kind) {
        case 'reference':
          this.reference.set(line.window, { nll: record.nll, kl: [], agree: '' })
          break
        case 'cell':
          this.methods.get(record.method)?.add(line.window, record)
          break
        case 'failure': {
          const method = this.methods.get(record.method)
          if (method) method.failure ??= { window: line.window, reason: record.reason }
          break
        }
        case 'control':
          this.#addControl(line.window, record)
      }
    }
  }

  #addControl(window: number, record: ControlRecord): void {
    const control = this.controls.get(record.control)
    if (!control) return
    control.scores.set(window, record.scores)
    control.equalBits &&= record.equalBits ?? true
    control.batch = record.batch
  }
}
