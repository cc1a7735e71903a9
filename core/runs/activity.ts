import { setTimeout } from 'node:timers/promises'
import type { Activity } from '#core/contract/library.ts'
import type { RunResult } from '#core/contract/run.ts'
import { COMPUTING, MEASURING, type Job } from './job.ts'
import type { Runs } from './runs.ts'

/** Least time between two states, in milliseconds. */
const EVERY = 100

/** The runs that wait or work, at once and at each change until the signal aborts; one that ended is told once more, with what it came to. */
export async function* activity(runs: Runs, conclusion: (result: RunResult) => string, signal: AbortSignal): AsyncGenerator<Activity[], void> {
  const ended = new Map<string, Activity>()
  let changed = true
  let wake: () => void = () => {}
  const change = (): void => {
    changed = true
    wake()
  }
  const stop = runs.onChange((job) => {
    if (job.over) ended.set(job.id, activityOf(job, conclusion))
    change()
  })
  signal.addEventListener('abort', change, { once: true })
  try {
    for (let told = ''; !signal.aborted; ) {
      changed = ended.size > 0
      const working = [...runs.working.values()].map((job) => activityOf(job, conclusion))
      const all = [...working, ...[...ended.values()].filter(({ id }) => !runs.working.has(id))]
      ended.clear()
      const text = JSON.stringify(all)
      if (text !== told) yield all
      told = text
      await setTimeout(EVERY, null, { signal }).catch(() => {})
      while (!changed && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    stop()
    signal.removeEventListener('abort', change)
  }
}

function activityOf({ id, folder, snapshot }: Job, conclusion: (result: RunResult) => string): Activity {
  const { status, progress, result, reason } = snapshot
  const { model, data, methods } = folder.head.plan
  const measures = progress?.phase === MEASURING || progress?.phase === COMPUTING
  return {
    id,
    label: `${model.name} on ${data.name}, ${methods.length} ${methods.length === 1 ? 'method' : 'methods'}`,
    status,
    fraction: status === 'done' ? 1 : measures ? Math.min(1, progress.done / Math.max(1, progress.total)) : 0,
    secondsLeft: measures && (status === 'running' || status === 'paused') ? progress.secondsLeft : null,
    conclusion: result ? conclusion(result) : (reason?.message ?? null),
  }
}
