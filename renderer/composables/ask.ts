import type { LabError } from '#core/contract/errors.ts'
import type { Progress } from '#core/contract/api.ts'
import { onScopeDispose, shallowReactive } from 'vue'
import { asLabError } from '../client.ts'

/** One piece of work of the engine as a component shows it: what it is at, what came of it. A new `run` ends the one before. */
export type Work<T> = { busy: boolean; progress: Progress | null; value: T | null; error: LabError | null; run(): Promise<void>; stop(): void }

/** Work that `start` does with a signal, a promise or a stream of progress; it ends with the component. The last value stays while new work runs. */
export function useWork<T>(start: (signal: AbortSignal) => Promise<T> | AsyncGenerator<Progress, T, void>): Work<T> {
  let controller: AbortController | null = null
  const work: Work<T> = shallowReactive({
    busy: false,
    progress: null,
    value: null as T | null,
    error: null,
    async run() {
      controller?.abort()
      const mine = (controller = new AbortController())
      work.busy = true
      work.progress = null
      try {
        const value = await finish(start(mine.signal), (progress) => mine.signal.aborted || (work.progress = progress))
        if (mine.signal.aborted) return
        work.value = value
        work.error = null
      } catch (thrown) {
        if (!mine.signal.aborted) work.error = asLabError(thrown)
      } finally {
        if (controller === mine) {
          work.busy = false
          work.progress = null
        }
      }
    },
    stop() {
      controller?.abort()
      controller = null
      work.busy = false
      work.progress = null
    },
  })
  onScopeDispose(() => work.stop())
  return work
}

/** The result of a promise or of a stream whose progress is shown. */
export async function finish<T>(steps: Promise<T> | AsyncGenerator<Progress, T, void>, show: (progress: Progress) => void): Promise<T> {
  if (!(Symbol.asyncIterator in steps)) return steps
  for (;;) {
    const step = await steps.next()
    if (step.done) return step.value
    show(step.value)
  }
}
