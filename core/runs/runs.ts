import { join, resolve } from 'node:path'
import { createHash } from 'node:crypto'
import { LabError } from '#core/contract/errors.ts'
import type { RunEvent, RunPlan } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { Job } from './job.ts'
import { KnownRuns } from './known.ts'
import { prepare, type Prepared, type Progress } from './prepare.ts'
import { Queue } from './queue.ts'
import { checkSpec } from './spec.ts'
import { RunFolder, type RunHead } from './store.ts'
import { storedSnapshot } from './stored.ts'
import { watching } from './watching.ts'

/** Where a run is. */
export type RunPlace = { id: string; folder: string }

/** All runs of one engine. They belong to the engine: watchers come and go. One measures at a time, the others wait in the order they came. */
export type Runs = {
  readonly known: KnownRuns
  /** Those that wait or work, by id. */
  readonly working: ReadonlyMap<string, Job>
  /** Told of each start and each event of a job; gives what ends that. */
  onChange(listener: (job: Job) => void): () => void
  /** What a sweep would do; runs nothing but the measurement of the batch size. */
  plan(spec: RunSpec, signal: AbortSignal): AsyncGenerator<Progress, RunPlan>
  /** Plan and start; the id names the run in `watch` and `cancel`. Yields what the preparation does. */
  start(spec: RunSpec, options: { out?: string | undefined }, signal: AbortSignal): AsyncGenerator<Progress, RunPlace>
  /** Continue the run in this folder; throws LabError INVALID_INPUT where it is done already, BUSY where somebody works on it. */
  resume(folder: string): Promise<RunPlace>
  /** Know the run in this folder by its id from now on; throws LabError FILE_NOT_FOUND or MALFORMED_FILE. */
  open(folder: string): Promise<RunPlace>
  /** The folder of a run; throws LabError INVALID_INPUT, FILE_NOT_FOUND or MALFORMED_FILE. */
  folder(id: string): Promise<RunFolder>
  /** A snapshot first, then every event until `finished`; of a run that this engine does not work on the snapshot alone, from its folder. */
  watch(id: string, signal: AbortSignal): AsyncGenerator<RunEvent>
  /** Hold before the next pass, and go on. Throw LabError INVALID_INPUT where it does not work here. */
  pause(id: string): void
  continue(id: string): void
  /** Stop after the pass in flight; resolves when all is on disk. Does nothing where the run does not work here; throws LabError where there is no such run. */
  cancel(id: string): Promise<void>
  /** Cancel all and wait. */
  close(): Promise<void>
}

/** `home`: the library's folder; runs go to `home/runs/<id>` unless told otherwise. */
export function createRuns({ home }: { home: string }): Runs {
  const known = new KnownRuns(home)
  const queue = new Queue()
  const working = new Map<string, Job>()
  /** Runs whose end could not be written to their folder: it is told from here. */
  const unrecorded = new Map<string, Job>()
  const listeners = new Set<(job: Job) => void>()

  /** Work on this folder, which nobody else may, when its turn comes. */
  async function begin(folder: RunFolder, prepared: Prepared | null): Promise<RunPlace> {
    const id = known.remember(folder.path, folder.head.id)
    const unlock = await folder.lock()
    const onEnd = (recorded: boolean): void => {
      working.delete(id)
      if (!recorded) unrecorded.set(id, job)
    }
    const job = new Job({ home, id, folder, unlock, prepared, place: queue.join(), onEnd })
    unrecorded.delete(id)
    working.set(id, job)
    const tell = (): void => listeners.forEach((listener) => listener(job))
    job.watch(tell)
    tell()
    return { id, folder: folder.path }
  }

  function jobOf(id: string): Job {
    const job = working.get(id)
    if (job) return job
    known.folderOf(id)
    throw new LabError('INVALID_INPUT', `run ${id} does not work now`)
  }

  return {
    known,
    working,

    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },

    async *plan(spec, signal) {
      const prepared = yield* prepare(home, checkSpec(spec), signal)
      await prepared.session.release()
      return prepared.plan
    },

    async *start(given, { out }, signal) {
      const spec = checkSpec(given)
      const prepared = yield* prepare(home, spec, signal)
      try {
        signal.throwIfAborted()
        const createdAt = new Date().toISOString()
        const id = runId(createdAt, spec, prepared.plan)
        const head: RunHead = { schema: 'kvlab.head/1', id, createdAt, plan: prepared.plan }
        return await begin(await RunFolder.create(resolve(out ?? join(home, 'runs', id)), spec, head), prepared)
      } catch (error) {
        await prepared.session.release()
        throw error
      }
    },

    async resume(path) {
      const folder = await RunFolder.open(resolve(path))
      if (await folder.finished()) throw new LabError('INVALID_INPUT', `${folder.path} is done: show it with: kvlab report ${folder.path}`)
      return begin(folder, null)
    },

    async open(folder) {
      const path = resolve(folder)
      const { head } = await RunFolder.open(path)
      return { id: known.remember(path, head.id), folder: path }
    },

    folder: async (id) => RunFolder.open(known.folderOf(id)),

    async *watch(id, signal) {
      const job = working.get(id) ?? unrecorded.get(id)
      if (job) return yield* watching(job, signal)
      yield { type: 'snapshot', snapshot: await storedSnapshot(id, await RunFolder.open(known.folderOf(id))) }
    },

    pause: (id) => jobOf(id).pause(),
    continue: (id) => jobOf(id).continue(),

    async cancel(id) {
      const job = working.get(id)
      if (!job) return void known.folderOf(id)
      job.cancel()
      await job.ended
    },

    async close() {
      const jobs = [...working.values()]
      for (const job of jobs) job.cancel()
      await Promise.all(jobs.map((job) => job.ended))
    },
  }
}

/** Sortable by time, readable, and not the same for two specs started in one second. */
function runId(createdAt: string, spec: RunSpec, plan: RunPlan): string {
  const hash = createHash('sha256').update(JSON.stringify([createdAt, process.pid, spec])).digest('hex').slice(0, 6)
  const model = plan.model.name.replace(/[^a-zA-Z0-9.-]+/g, '-')
  return `${createdAt.slice(0, 19).replaceAll(':', '').replace('T', '-')}-${model}-${hash}`
}
