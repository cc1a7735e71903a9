import { LabError, type LabErrorJson } from '#core/contract/errors.ts'
import { decodeKv, encodeKv, type EncodedKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import type { KvCache } from '#core/kv/cache.ts'
import type { Past } from '#core/evaluation/past.ts'
import type { Reference, TokenScores } from '#core/evaluation/score.ts'
import { learnedOf } from './calibration.ts'
import { errorSums, sameBits } from './kv-errors.ts'
import type { JournalLine, JournalRecord, Prefill, Seconds, WindowScores } from './journal.ts'
import type { Prepared } from './prepare.ts'
import { passesOf, type Cell, type Pass } from './schedule.ts'
import type { ModeRunner } from './window-mode.ts'
import type { Race } from './race.ts'
import type { Tally } from './tally.ts'

/** What one pass left: a line for the journal and the KV files that were encoded for it. */
export type PassDone = { readonly line: JournalLine; readonly files: readonly { readonly method: string; readonly window: number; readonly bytes: Uint8Array }[] }

const IDENTITY = 'none'

/**
 * Run all passes that `tally` does not hold yet, window by window. In handoff the prefix is prefilled once, encoded by every method to the bytes
 * of a KV file, decoded from those bytes into a row of the batch, and the suffix is scored against the reference; in other modes every method reads the window anew.
 * The caller records each yielded line and adds it to the tally before it asks for the next, and lets messages in between: a pass blocks the process.
 * A method whose values or logits are not finite, or that its format cannot hold, becomes a failure record; the others go on.
 */
export async function* sweep(prepared: Prepared, tally: Tally, race: Race, signal: AbortSignal): AsyncGenerator<PassDone, void> {
  const worker = new WindowWorker(prepared)
  for (let window = 0; window < prepared.windows.length; window++) {
    const passes = passesOf(window, prepared.windows.length, race.methodsOn(window), prepared.batch.size, prepared.batch.aaSize)
    const recorded = tally.passes[window] ?? new Set<number>()
    if (passes.every((pass) => recorded.has(pass.index))) continue
    await worker.begin(window)
    for (const pass of passes) {
      if (recorded.has(pass.index)) continue
      signal.throwIfAborted()
      yield await worker.run(pass)
    }
  }
}

/** Holds what the passes of one window share. Buffers live as long as the sweep. */
class WindowWorker {
  readonly #prepared: Prepared
  readonly #pasts = new Map<number, Past>()
  #window = -1
  #prefix: KvCache | null = null
  #before: { window: number; prefix: KvCache } | null = null
  #reference: Reference | null = null
  #spent: Seconds = noSeconds()
  #prefilled: Prefill = { tokens: 0, seconds: 0 }

  constructor(prepared: Prepared) {
    this.#prepared = prepared
  }

  /** Prefill the window's prefix and score the reference; its record goes out with pass 0. */
  async begin(window: number): Promise<void> {
    if (this.#prefix) this.#before = { window: this.#window, prefix: this.#prefix }
    this.#window = window
    this.#spent = noSeconds()
    this.#prefilled = { tokens: 0, seconds: 0 }
    const { mode } = this.#prepared
    await this.#timed(async () => {
      try {
        if (mode) {
          this.#reference = await mode.reference(this.#ids(window))
          return
        }
        this.#prefix = await this.#prefill(window)
        const past = this.#past(1)
        past.fill(0, this.#prefix)
        this.#reference = await this.#prepared.session.reference(past, this.#suffix())
      } catch (error) {
        throw error instanceof LabError ? new LabError(error.code, `${this.#named(error).message}; without a reference there is no run`, error.details) : error
      }
    })
  }

  async run(pass: Pass): Promise<PassDone> {
    const records: JournalRecord[] = []
    const files: { method: string; window: number; bytes: Uint8Array }[] = []
    await this.#timed(async () => {
      if (pass.kind === 'reference') records.push({ kind: 'reference', nll: Array.from(this.#scoredAgainst().nll) })
      else if (pass.kind === 'aa') records.push(...(await this.#scoreAgain(pass.batch)))
      else if (this.#prepared.mode) records.push(...(await this.#scoreThroughout(this.#prepared.mode, pass.cells, files)))
      else records.push(...(await this.#scoreCells(pass.cells, files)))
    })
    const prefill = this.#prefilled.tokens === 0 ? {} : { prefill: this.#prefilled }
    const line: JournalLine = { window: this.#window, pass: pass.index, records, seconds: this.#spent, ...prefill }
    this.#spent = noSeconds()
    this.#prefilled = { tokens: 0, seconds: 0 }
    return { line, files }
  }

  /** The reference in a batch of another size: what the arithmetic itself does to a score. */
  async #scoreAgain(batch: number): Promise<JournalRecord[]> {
    const { mode } = this.#prepared
    if (mode) return [{ kind: 'control', control: 'aa', scores: plain(await mode.again(this.#ids(this.#window), batch, this.#scoredAgainst())), equalBits: null, batch }]
    const { prefix, reference } = this.#known()
    const past = this.#past(batch)
    for (let row = 0; row < batch; row++) past.fill(row, prefix)
    const scores = await this.#prepared.session.score(past, this.#suffix(), reference)
    const last = scores.at(-1)
    if (!last || last instanceof LabError) throw last ?? new LabError('INTERNAL', 'a batch without rows')
    return [{ kind: 'control', control: 'aa', scores: plain(last), equalBits: null, batch }]
  }

  async #scoreCells(cells: readonly Cell[], files: { method: string; window: number; bytes: Uint8Array }[]): Promise<JournalRecord[]> {
    const { prefix, reference } = this.#known()
    const failures: JournalRecord[] = []
    // Encode first: a row that cannot be encoded leaves the batch before the batch is formed.
    const encoded: { cell: Cell; file: EncodedKv | null; seconds: number }[] = []
    for (const cell of cells) {
      if (cell.kind === 'wrongCache') {
        encoded.push({ cell, file: null, seconds: 0 })
        continue
      }
      const text = cell.kind === 'method' ? cell.method : IDENTITY
      const method = this.#prepared.methods.get(text) ?? readMethod(text)
      const began = performance.now()
      try {
        const file = encodeKv(prefix, method, { model: this.#prepared.plan.model.name }, learnedOf(this.#prepared.learned, text))
        const seconds = (performance.now() - began) / 1000
        this.#spent.encode += seconds
        encoded.push({ cell, file, seconds })
        if (cell.kind === 'method') files.push({ method: text, window: this.#window, bytes: file.bytes })
      } catch (error) {
        if (cell.kind !== 'method' || !(error instanceof LabError)) throw error
        failures.push({ kind: 'failure', method: cell.method, reason: this.#named(error) })
      }
    }
    if (encoded.length === 0) return failures

    const past = this.#past(encoded.length)
    const rows: { cell: Cell; record: (scores: WindowScores) => JournalRecord }[] = []
    for (const [row, { cell, file, seconds: encodeSeconds }] of encoded.entries()) {
      if (file === null) {
        past.fill(row, await this.#otherPrefix())
        rows.push({ cell, record: (scores) => ({ kind: 'control', control: 'wrongCache', scores, equalBits: null, batch: encoded.length }) })
        continue
      }
      const target = past.row(row)
      const began = performance.now()
      decodeKv(file.bytes, target)
      const decodeSeconds = (performance.now() - began) / 1000
      this.#spent.decode += decodeSeconds
      if (cell.kind === 'identity') {
        const equalBits = sameBits(prefix, target)
        rows.push({ cell, record: (scores) => ({ kind: 'control', control: 'identity', scores, equalBits, batch: encoded.length }) })
      } else if (cell.kind === 'method') {
        const errors = errorSums(prefix, target)
        const bytes = { encoded: file.bytes.length, header: file.header, streams: file.streams }
        rows.push({ cell, record: (scores) => ({ kind: 'cell', method: cell.method, scores, bytes, encodeSeconds, decodeSeconds, errors }) })
      }
    }
    const scores = await this.#prepared.session.score(past, this.#suffix(), reference)
    const records = rows.map(({ cell, record }, row): JournalRecord => {
      const score = scores[row] ?? new LabError('INTERNAL', 'a row without scores')
      if (!(score instanceof LabError)) return record(plain(score))
      if (cell.kind !== 'method') throw score
      return { kind: 'failure', method: cell.method, reason: this.#named(score) }
    })
    return [...failures, ...records]
  }

  /** Cells of a mode that compresses while it reads. The wrong cache is what it is in handoff: another window's prefix is the past, and the rest is fed after it. */
  async #scoreThroughout(mode: ModeRunner, cells: readonly Cell[], files: PassDone['files'][number][]): Promise<JournalRecord[]> {
    const reference = this.#scoredAgainst()
    const records: JournalRecord[] = []
    const own = cells.filter((cell) => cell.kind !== 'wrongCache')
    const texts = own.map((cell) => (cell.kind === 'method' ? cell.method : IDENTITY))
    const results = own.length === 0 ? [] : await mode.cells(this.#ids(this.#window), texts.map((text) => this.#prepared.methods.get(text) ?? readMethod(text)), reference)
    for (const [index, cell] of own.entries()) {
      const result = results[index] ?? new LabError('INTERNAL', 'a cell without a result')
      if (result instanceof LabError) {
        if (cell.kind !== 'method') throw result
        records.push({ kind: 'failure', method: cell.method, reason: this.#named(result) })
        continue
      }
      const { file, original, restored, encodeSeconds, decodeSeconds } = result
      const scores = plain(result.scores)
      if (cell.kind !== 'method') {
        records.push({ kind: 'control', control: 'identity', scores, equalBits: sameBits(original, restored), batch: own.length })
        continue
      }
      files.push({ method: cell.method, window: this.#window, bytes: file.bytes })
      const bytes = { encoded: file.bytes.length, header: file.header, streams: file.streams }
      records.push({ kind: 'cell', method: cell.method, scores, bytes, encodeSeconds, decodeSeconds, errors: errorSums(original, restored) })
    }
    const { encode, decode } = mode.takeSpent()
    this.#spent.encode += encode
    this.#spent.decode += decode
    if (own.length === cells.length) return records
    const past = this.#past(1)
    past.fill(0, await this.#otherPrefix())
    const [scores = new LabError('INTERNAL', 'a row without scores')] = await this.#prepared.session.score(past, this.#suffix(), reference)
    if (scores instanceof LabError) throw scores
    return [...records, { kind: 'control', control: 'wrongCache', scores: plain(scores), equalBits: null, batch: 1 }]
  }

  /** The prefix of the window before (of the last window for the first), prefilled again only where it is not at hand. */
  async #otherPrefix(): Promise<KvCache> {
    const count = this.#prepared.windows.length
    const other = (this.#window + count - 1) % count
    if (this.#before?.window !== other) this.#before = { window: other, prefix: await this.#prefill(other) }
    return this.#before.prefix
  }

  async #prefill(window: number): Promise<KvCache> {
    const ids = this.#ids(window).subarray(0, this.#prepared.spec.prefixLength)
    const began = performance.now()
    const prefix = await this.#prepared.session.prefill(ids)
    const { tokens, seconds } = this.#prefilled
    this.#prefilled = { tokens: tokens + ids.length, seconds: seconds + (performance.now() - began) / 1000 }
    return prefix
  }

  #ids(window: number): Uint32Array {
    return this.#prepared.windows[window] ?? new Uint32Array()
  }

  #suffix(): Uint32Array {
    return this.#ids(this.#window).subarray(this.#prepared.spec.prefixLength)
  }

  #past(batch: number): Past {
    const past = this.#pasts.get(batch) ?? this.#prepared.session.past(batch, this.#prepared.spec.prefixLength)
    this.#pasts.set(batch, past)
    return past
  }

  #scoredAgainst(): Reference {
    if (!this.#reference) throw new LabError('INTERNAL', 'a pass before its window')
    return this.#reference
  }

  #known(): { prefix: KvCache; reference: Reference } {
    if (!this.#prefix || !this.#reference) throw new LabError('INTERNAL', 'a pass before its window')
    return { prefix: this.#prefix, reference: this.#reference }
  }

  #named(error: LabError): LabErrorJson {
    return { ...error.toJSON(), message: `window ${this.#window}: ${error.message}` }
  }

  /** Adds wall time, time inside the model, and the rest of the pass beyond encoding and decoding as scoring. */
  async #timed(work: () => Promise<void>): Promise<void> {
    const { session } = this.#prepared
    const began = performance.now()
    const before = { inference: session.inferenceSeconds, score: session.scoreSeconds }
    await work()
    this.#spent.inference += session.inferenceSeconds - before.inference
    this.#spent.score += session.scoreSeconds - before.score
    this.#spent.total += (performance.now() - began) / 1000
  }
}

function noSeconds(): Seconds {
  return { inference: 0, encode: 0, decode: 0, score: 0, write: 0, total: 0 }
}

function plain(scores: TokenScores): WindowScores {
  return { nll: Array.from(scores.nll), kl: Array.from(scores.kl), agree: scores.agree.join('') }
}
