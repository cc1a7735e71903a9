import { LabError, toLabErrorJson, type LabErrorJson } from '#core/contract/errors.ts'
import { apply, emptySnapshot, type RunEvent, type RunPlan, type RunResult, type RunSnapshot, type RunStatus } from '#core/contract/run.ts'
import { Journal } from './journal.ts'
import { prepare, type Prepared } from './prepare.ts'
import { liveState } from './live.ts'
import { Race } from './race.ts'
import { resultOf, type RunFacts } from './result.ts'
import { passesOf } from './schedule.ts'
import { scoreChunks } from './scores-parquet.ts'
import type { RunFolder } from './store.ts'
import { sweep } from './sweep.ts'
import { Tally } from './tally.ts'

/** Least time between two live states, in milliseconds. */
const LIVE_EVERY = 1000
/** Least time between two flushes of the journal to the disk, in milliseconds. `kill -9` needs none; this bounds what a power cut costs. */
const SYNC_EVERY = 5000

/** One run while it works: events to watchers, the folder on disk, and the signal that stops it. */
export class Job {
  readonly folder: RunFolder
  snapshot: RunSnapshot
  readonly #home: string
  readonly #controller = new AbortController()
  readonly #watchers = new Set<(event: RunEvent) => void>()
  readonly ended: Promise<void>

  /** Starts at once. `home`: the library's folder. `prepared` is the open model, which the job releases. */
  constructor(home: string, folder: RunFolder, prepared: Prepared | null) {
    this.#home = home
    this.folder = folder
    this.snapshot = emptySnapshot(folder.head.id)
    this.ended = this.#work(prepared)
  }

  /** Stop after the pass in flight; everything measured stays. */
  cancel(): void {
    this.#controller.abort(new LabError('CANCELLED', 'the run was cancelled'))
  }

  watch(watcher: (event: RunEvent) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #emit(event: RunEvent): void {
    if (event.type === 'planned' || event.type === 'rung' || event.type === 'trial' || event.type === 'warning' || event.type === 'finished') {
      // A result is a file of its own and need not be in the log too.
      this.folder.record(event.type === 'finished' ? { ...event, result: null } : event)
    }
    this.snapshot = apply(this.snapshot, event)
    for (const watcher of this.#watchers) watcher(event)
  }

  async #work(given: Prepared | null): Promise<void> {
    let unlock = async (): Promise<void> => {}
    let status: RunStatus = 'failed'
    let reason: LabErrorJson | null = null
    let result: RunResult | null = null
    let prepared = given
    let tally: Tally | null = null
    try {
      unlock = await this.folder.lock()
      prepared ??= await this.#prepareAgain()
      const { plan } = this.folder.head
      this.#emit({ type: 'planned', at: now(), plan })
      for (const text of plan.warnings) this.#emit({ type: 'warning', at: now(), text })
      tally = new Tally(plan.methods, plan.protocol.windows, plan.protocol.scoredTokens / plan.protocol.windows, plan.model.layers)
      await this.#measure(prepared, tally, plan)
      this.#emit({ type: 'progress', phase: 'computing intervals', done: plan.passes, total: plan.passes, secondsLeft: 0, tokensPerSecond: null })
      result = resultOf(this.#facts(), tally, 'done', null)
      await this.folder.writeScores(scoreChunks(tally, prepared.windows, plan.protocol.prefixLength))
      status = 'done'
    } catch (error) {
      reason = toLabErrorJson(error)
      status = reason.code === 'CANCELLED' ? 'cancelled' : 'failed'
      if (tally) result = resultOf(this.#facts(), tally, status, reason)
    }
    try {
      await prepared?.session.release()
      for (const trial of result?.trials ?? []) {
        await this.folder.writeTrial(trial)
        this.#emit({ type: 'trial', at: now(), trial })
      }
      if (result) await this.folder.writeResult(result)
      if (status === 'done') await this.folder.dropJournal()
    } catch (error) {
      status = 'failed'
      reason = toLabErrorJson(error)
      result = null
    }
    try {
      this.#emit({ type: 'finished', at: now(), status, reason, folder: this.folder.path, result })
    } catch {
      // The log could not be written (a full disk, say); the watchers must still learn that it is over.
      const event: RunEvent = { type: 'finished', at: now(), status, reason, folder: this.folder.path, result }
      this.snapshot = apply(this.snapshot, event)
      for (const watcher of this.#watchers) watcher(event)
    }
    await unlock()
  }

  /** A resumed run must be the same run: same model, same text, same protocol, same batch. */
  async #prepareAgain(): Promise<Prepared> {
    const { plan } = this.folder.head
    const steps = prepare(this.#home, this.folder.spec, this.#controller.signal, { batch: plan.batch, threads: plan.threads })
    for (;;) {
      const step = await steps.next()
      if (!step.done) {
        this.#emit({ type: 'progress', ...step.value, secondsLeft: null, tokensPerSecond: null })
        continue
      }
      const difference = differs(plan, step.value.plan)
      if (difference !== null) {
        await step.value.session.release()
        throw new LabError('RUN_MISMATCH', `${this.folder.path} was started with another ${difference}: start a new run`)
      }
      return step.value
    }
  }

  async #measure(prepared: Prepared, tally: Tally, plan: RunPlan): Promise<void> {
    const journal = Journal.open(this.folder.journalPath, (line) => tally.add(line))
    const { signal } = this.#controller
    const began = performance.now()
    const replayed = tally.passes.reduce((sum, passes) => sum + passes.size, 0)
    const race = new Race(prepared.spec, plan, tally)
    let done = replayed
    let tokens = 0
    let total = plan.passes
    let running = -1
    let rungs = 0
    let shown = 0
    let synced = began
    let writing = 0
    try {
      this.#emit(liveState(tally, plan, race, prepared.spec.level))
      for await (const { line, files } of sweep(prepared, tally, race, signal)) {
        for (; rungs < race.decided; rungs++) this.#emit({ type: 'rung', at: now(), windows: race.ends[rungs] ?? 0, dropped: droppedAfter(race, rungs) })
        const methods = race.methodsOn(line.window).length
        if (methods !== running) {
          running = methods
          total = passesInAll(prepared, race)
        }
        const seconds = { ...line.seconds, write: writing, total: line.seconds.total + writing }
        const writeBegan = performance.now()
        for (const { method, window, bytes } of files) if (window === 0 || prepared.spec.keepKv) await this.folder.writeKv(method, window, bytes)
        journal.append({ ...line, seconds })
        if (writeBegan - synced > SYNC_EVERY) {
          synced = writeBegan
          journal.sync()
        }
        const time = performance.now()
        writing = (time - writeBegan) / 1000
        tally.add({ ...line, seconds })
        done++
        const perPass = (time - began) / (done - replayed)
        tokens += line.records.filter(({ kind }) => kind === 'cell').length * tally.reference.tokensPerWindow
        this.#emit({ type: 'progress', phase: 'measuring', done, total, secondsLeft: (Math.max(0, total - done) * perPass) / 1000, tokensPerSecond: tokens / ((time - began) / 1000) })
        if (time - shown > LIVE_EVERY) {
          shown = time
          this.#emit(liveState(tally, plan, race, prepared.spec.level))
        }
      }
      journal.sync()
    } finally {
      journal.close()
    }
  }

  #facts(): RunFacts {
    const { spec, head } = this.folder
    return { id: head.id, createdAt: head.createdAt, spec, plan: head.plan }
  }
}

/** Passes of the whole run as far as is known: methods that failed or were dropped need no more. */
function passesInAll({ windows, batch }: Prepared, race: Race): number {
  return windows.reduce((sum, _, window) => sum + passesOf(window, windows.length, race.methodsOn(window), batch.size, batch.aaSize).length, 0)
}

function droppedAfter(race: Race, rung: number): string[] {
  return [...race.drops().values()].filter(({ afterWindows }) => afterWindows === race.ends[rung]).map(({ method }) => method)
}

/** What of a plan must be the same for two parts of one run; the name of the first thing that is not. */
function differs(before: RunPlan, after: RunPlan): string | null {
  if (before.protocol.fingerprint !== after.protocol.fingerprint || before.protocol.windows !== after.protocol.windows) return 'text or protocol'
  if (before.model.files.some(({ path, sha256 }) => after.model.files.find((file) => file.path === path)?.sha256 !== sha256)) return 'model file'
  if (before.model.tokenizerSha256 !== after.model.tokenizerSha256) return 'tokenizer'
  if (before.methods.join() !== after.methods.join()) return 'set of methods'
  return before.batch === after.batch ? null : 'batch size (this machine cannot run the first one)'
}

function now(): string {
  return new Date().toISOString()
}
