import type { RunEvent, RunSnapshot } from '#core/contract/run.ts'

/** What can be watched: its state now, and each event after it. */
export type Watched = { readonly snapshot: RunSnapshot; readonly over: boolean; watch(watcher: (event: RunEvent) => void): () => void }

/** A snapshot first, then every event until `finished`. Progress and live states may be left out where the watcher is slow, all others never. */
export async function* watching(run: Watched, signal: AbortSignal): AsyncGenerator<RunEvent, void> {
  const queue: RunEvent[] = [{ type: 'snapshot', snapshot: run.snapshot }]
  if (run.over) return yield* queue
  let wake: () => void = () => {}
  const unwatch = run.watch((event) => {
    coalesce(queue, event)
    wake()
  })
  const abort = (): void => wake()
  signal.addEventListener('abort', abort, { once: true })
  try {
    for (;;) {
      signal.throwIfAborted()
      const event = queue.shift()
      if (event) yield event
      else await new Promise<void>((done) => (wake = done))
      if (event?.type === 'finished') return
    }
  } finally {
    unwatch()
    signal.removeEventListener('abort', abort)
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
