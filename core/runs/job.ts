import { LabError, toLabErrorJson, type LabErrorJson } from '#core/contract/errors.ts'
import { apply, emptySnapshot, type RunEvent, type RunPlan, type RunResult, type RunSnapshot, type RunStatus } from '#core/contract/run.ts'
import { Journal } from './journal.ts'
import { learn, prepare, type Prepared, type Progress } from './prepare.ts'
import { liveState } from './live.ts'
import { Race } from './race.ts'
import { resultOf, type RunFacts } from './result.ts'
import type { Place } from './queue.ts'
import { passesOf } from './schedule.ts'
import { scoreChunks } from './scores-parquet.ts'
import { Stopwatch } from './stopwatch.ts'
import type { RunFolder } from './store.ts'
import { sweep } from './sweep.ts'
import { Tally } from './tally.ts'

/** Phases of a job's progress once its passes run: of these alone `done` and `total` are the run's. */
export const MEASURING = 'measuring'
export const COMPUTING = 'computing intervals'

/** Least time between two live states, in milliseconds. */
const LIVE_EVERY = 1000
/** Least time between two flushes of the journal to the disk, in milliseconds. `kill -9` needs none; this bounds what a power cut costs. */
const SYNC_EVERY = 5000

/**
 * What a job needs. `home`: the library's folder; `folder` is locked, `unlock` ends that; `prepared` is the open model, which the job releases, or null
 * where it must be opened (again); `place` is its place among the jobs, which it leaves; `onEnd` is told, before the watchers, whether the end is on disk.
 */
export type JobStart = {
  readonly home: string
  readonly id: string
  readonly folder: RunFolder
  readonly unlock: () => Promise<void>
  readonly prepared: Prepared | null
  readonly place: Place
  readonly onEnd: (recorded: boolean) => void
}

type Held = { over: Promise<void>; end: () => void }

/** One run while it waits and works: events to watchers, the folder on disk, and the signals that hold and stop it. */
export class Job {
  readonly id: string
  readonly folder: RunFolder
  snapshot: RunSnapshot
  /** Whether nothing more will happen. */
  over = false
  readonly ended: Promise<void>
  readonly #start: JobStart
  readonly #controller = new AbortController()
  readonly #watchers = new Set<(event: RunEvent) => void>()
  #held: Held | null = null

  /** Starts at once, or when its turn comes. */
  constructor(start: JobStart) {
    this.#start = start
    this.id = start.id
    this.folder = start.folder
    const { spec, head, path } = start.folder
    const snapshot = emptySnapshot({ id: start.id, folder: path, createdAt: head.createdAt, spec })
    // A run that waits has its plan already: a page can show what it will do.
    this.snapshot = start.place.first ? snapshot : { ...snapshot, status: 'queued', plan: head.plan }
    this.ended = this.#work()
  }

  /** Hold before the next pass. Throws LabError INVALID_INPUT where it does not work. */
  pause(): void {
    if (this.snapshot.status === 'paused') return
    this.#refuseUnless('running', 'paused')
    let end = (): void => {}
    this.#held = { over: new Promise((resolve) => (end = resolve)), end }
    this.#emit({ type: 'state', status: 'paused' })
  }

  /** Go on after a pause. Throws LabError INVALID_INPUT where it is not paused. */
  continue(): void {
    if (this.snapshot.status === 'running') return
    this.#refuseUnless('paused', 'continued')
    this.#held?.end()
    this.#held = null
    this.#emit({ type: 'state', status: 'running' })
  }

  /** Stop after the pass in flight; everything measured stays. */
  cancel(): void {
    if (this.over || this.#controller.signal.aborted) return
    this.#emit({ type: 'state', status: 'cancelling' })
    this.#controller.abort(new LabError('CANCELLED', 'the run was cancelled'))
  }

  watch(watcher: (event: RunEvent) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #refuseUnless(status: RunStatus, doing: string): void {
    if (this.snapshot.status !== status) throw new LabError('INVALID_INPUT', `run ${this.id} is ${this.snapshot.status}: only one that is ${status} can be ${doing}`)
  }

  #emit(event: RunEvent): void {
    // The end is recorded where it is told.
    if (event.type === 'planned' || event.type === 'rung' || event.type === 'trial' || event.type === 'warning') this.folder.record(event)
    this.snapshot = apply(this.snapshot, event)
    for (const watcher of this.#watchers) watcher(event)
  }

  async #work(): Promise<void> {
    let status: RunStatus = 'failed'
    let reason: LabErrorJson | null = null
    let result: RunResult | null = null
    let { prepared } = this.#start
    let tally: Tally | null = null
    try {
      if (!this.#start.place.first) {
        // Who waits must not hold a model in memory; it is opened again, for the same batch, when the turn comes.
        const waiting = prepared
        prepared = null
        await waiting?.session.release()
      }
      await this.#turn()
      prepared ??= await this.#prepareAgain()
      await this.#follow(learn(prepared, this.#controller.signal))
      const { plan } = this.folder.head
      this.#emit({ type: 'planned', at: now(), plan })
      for (const text of plan.warnings) this.#emit({ type: 'warning', at: now(), text })
      tally = new Tally(plan.methods, plan.protocol.windows, plan.protocol.scoredTokens / plan.protocol.windows, plan.model.layers)
      await this.#measure(prepared, tally, plan)
      this.#emit({ type: 'progress', phase: COMPUTING, done: plan.passes, total: plan.passes, secondsLeft: 0, tokensPerSecond: null })
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
    await this.#finish({ type: 'finished', at: now(), status, reason, folder: this.folder.path, result })
  }

  /** Everything is put away before anybody is told, so that who is told can go on with the folder at once. */
  async #finish(event: Extract<RunEvent, { type: 'finished' }>): Promise<void> {
    let recorded = true
    try {
      // A result is a file of its own and need not be in the log too.
      this.folder.record({ ...event, result: null })
    } catch {
      // The log could not be written (a full disk, say); the watchers must still learn that it is over.
      recorded = false
    }
    // A lock that cannot be removed names this process: it is taken over.
    await this.#start.unlock().catch(() => {})
    this.#start.place.leave()
    this.over = true
    this.#start.onEnd(recorded)
    this.#emit(event)
  }

  /** Wait for the jobs before this one. */
  async #turn(): Promise<void> {
    // Whoever started the run must hear of it before a pass blocks the process.
    await new Promise((resolve) => setImmediate(resolve))
    await unlessAborted(this.#start.place.turn, this.#controller.signal)
    if (this.snapshot.status === 'queued') this.#emit({ type: 'state', status: 'running' })
  }

  /** Let messages in, and wait here while the run is paused. */
  async #hold(clock: Stopwatch): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#held) {
      clock.stop()
      await unlessAborted(this.#held.over, this.#controller.signal)
    }
    clock.go()
  }

  /** A resumed run must be the same run: same model, same text, same protocol, same batch. */
  async #prepareAgain(): Promise<Prepared> {
    const { plan } = this.folder.head
    const steps = prepare(this.#start.home, this.folder.spec, this.#controller.signal, { batch: plan.batch, threads: plan.threads })
    const prepared = await this.#follow(steps)
    const difference = differs(plan, prepared.plan)
    if (difference !== null) {
      await prepared.session.release()
      throw new LabError('RUN_MISMATCH', `${this.folder.path} was started with another ${difference}: start a new run`)
    }
    return prepared
  }

  /** What comes of steps, whose progress is told. */
  async #follow<T>(steps: AsyncGenerator<Progress, T>): Promise<T> {
    for (;;) {
      const step = await steps.next()
      if (step.done) return step.value
      this.#emit({ type: 'progress', ...step.value, secondsLeft: null, tokensPerSecond: null })
    }
  }

  async #measure(prepared: Prepared, tally: Tally, plan: RunPlan): Promise<void> {
    const journal = Journal.open(this.folder.journalPath, (line) => tally.add(line))
    const { signal } = this.#controller
    const clock = new Stopwatch(() => performance.now())
    const replayed = tally.passes.reduce((sum, passes) => sum + passes.size, 0)
    const race = new Race(prepared.spec, plan, tally)
    let done = replayed
    let tokens = 0
    let total = plan.passes
    let running = -1
    let rungs = 0
    let shown = 0
    let synced = performance.now()
    let writing = 0
    try {
      this.#emit(liveState(tally, plan, race, prepared.spec.level))
      await this.#hold(clock)
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
        const perPass = clock.seconds / (done - replayed)
        tokens += line.records.filter(({ kind }) => kind === 'cell').length * tally.reference.tokensPerWindow
        this.#emit({ type: 'progress', phase: MEASURING, done, total, secondsLeft: Math.max(0, total - done) * perPass, tokensPerSecond: tokens / clock.seconds })
        if (time - shown > LIVE_EVERY) {
          shown = time
          this.#emit(liveState(tally, plan, race, prepared.spec.level))
        }
        await this.#hold(clock)
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

/** What `work` gives, or the reason of the signal where that comes first. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  // One that is aborted already tells its listeners nothing.
  signal.throwIfAborted()
  let stop = (): void => {}
  const aborted = new Promise<void>((resolve) => {
    stop = resolve
    signal.addEventListener('abort', stop, { once: true })
  })
  await Promise.race([work, aborted])
  signal.removeEventListener('abort', stop)
  signal.throwIfAborted()
}

function now(): string {
  return new Date().toISOString()
}
