import { join, resolve } from 'node:path'
import { createHash } from 'node:crypto'
import { LabError } from '#core/contract/errors.ts'
import type { RunEvent, RunPlan } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { Job } from './job.ts'
import { prepare, type Progress } from './prepare.ts'
import { checkSpec } from './spec.ts'
import { RunFolder, type RunHead } from './store.ts'

/** All runs of one engine. They belong to the engine: watchers come and go. */
export type Runs = {
  /** What a sweep would do; runs nothing but the measurement of the batch size. */
  plan(spec: RunSpec, signal: AbortSignal): AsyncGenerator<Progress, RunPlan>
  /** Plan and start; the id names the run in `watch` and `cancel`. Yields what the preparation does. */
  start(spec: RunSpec, options: { out?: string | undefined }, signal: AbortSignal): AsyncGenerator<Progress, { id: string; folder: string }>
  /** Continue the run in this folder; throws LabError INVALID_INPUT where it is done already, RUN_BUSY where this engine works on it. */
  resume(folder: string): Promise<{ id: string; folder: string }>
  /** A snapshot first, then every event until `finished`. Progress and live states may be left out where the watcher is slow, trials and the end never. */
  watch(id: string, signal: AbortSignal): AsyncGenerator<RunEvent>
  /** Stop after the pass in flight; resolves when all is on disk. */
  cancel(id: string): Promise<void>
  /** Cancel all and wait. */
  close(): Promise<void>
}

/** `home`: the library's folder; runs go to `home/runs/<id>` unless told otherwise. */
export function createRuns(options: { home: string }): Runs {
  const jobs = new Map<string, Job>()

  function jobOf(id: string): Job {
    const job = jobs.get(id)
    if (!job) throw new LabError('INVALID_INPUT', `no run ${id} in this engine`)
    return job
  }

  return {
    async *plan(spec, signal) {
      const prepared = yield* prepare(options.home, checkSpec(spec), signal)
      await prepared.session.release()
      return prepared.plan
    },

    async *start(given, { out }, signal) {
      const spec = checkSpec(given)
      const prepared = yield* prepare(options.home, spec, signal)
      try {
        const createdAt = new Date().toISOString()
        const id = runId(createdAt, spec, prepared.plan)
        const head: RunHead = { schema: 'kvlab.head/1', id, createdAt, plan: prepared.plan }
        const folder = await RunFolder.create(resolve(out ?? join(options.home, 'runs', id)), spec, head)
        jobs.set(id, new Job(options.home, folder, prepared))
        return { id, folder: folder.path }
      } catch (error) {
        await prepared.session.release()
        throw error
      }
    },

    async resume(path) {
      const folder = await RunFolder.open(resolve(path))
      if (await folder.finished()) throw new LabError('INVALID_INPUT', `${folder.path} is done: show it with: kvlab report ${folder.path}`)
      if (jobs.get(folder.head.id)?.snapshot.status === 'running') throw new LabError('RUN_BUSY', `${folder.path} is being worked on by this engine already: watch it`)
      jobs.set(folder.head.id, new Job(options.home, folder, null))
      return { id: folder.head.id, folder: folder.path }
    },

    async *watch(id, signal) {
      const job = jobOf(id)
      const queue: RunEvent[] = [{ type: 'snapshot', snapshot: job.snapshot }]
      let wake: () => void = () => {}
      const unwatch = job.watch((event) => {
        coalesce(queue, event)
        wake()
      })
      signal.addEventListener('abort', () => wake(), { once: true })
      try {
        if (job.snapshot.status !== 'running') {
          yield* queue
          return
        }
        for (;;) {
          signal.throwIfAborted()
          const event = queue.shift()
          if (event) yield event
          else await new Promise<void>((done) => (wake = done))
          if (event?.type === 'finished') return
        }
      } finally {
        unwatch()
      }
    },

    async cancel(id) {
      const job = jobOf(id)
      job.cancel()
      await job.ended
    },

    async close() {
      for (const job of jobs.values()) job.cancel()
      await Promise.all([...jobs.values()].map((job) => job.ended))
    },
  }
}

/** Put an event in the queue of a watcher; a progress or live event replaces one of its kind that was not fetched yet. */
function coalesce(queue: RunEvent[], event: RunEvent): void {
  if (event.type === 'progress' || event.type === 'live') {
    const waiting = queue.findIndex((other) => other.type === event.type)
    if (waiting !== -1) queue.splice(waiting, 1)
  }
  queue.push(event)
}

/** Sortable by time, readable, and not the same for two specs started in one second. */
function runId(createdAt: string, spec: RunSpec, plan: RunPlan): string {
  const hash = createHash('sha256').update(JSON.stringify([createdAt, process.pid, spec])).digest('hex').slice(0, 6)
  const model = plan.model.name.replace(/[^a-zA-Z0-9.-]+/g, '-')
  return `${createdAt.slice(0, 19).replaceAll(':', '').replace('T', '-')}-${model}-${hash}`
}
