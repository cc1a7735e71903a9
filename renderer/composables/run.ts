import type { LabError } from '#core/contract/errors.ts'
import { apply, type RunSnapshot } from '#core/contract/run.ts'
import { onScopeDispose, shallowReactive, watch, type Ref } from 'vue'
import { asLabError, connection, engine } from '../client.ts'

/** A run as it is watched: the snapshot grows by events; `error` where it cannot be watched at all. */
export type WatchedRun = { snapshot: RunSnapshot | null; error: LabError | null }

/** Watch a run for as long as the component lives; a lost engine is waited for, a new snapshot then replaces the old. `again` starts over, after a resume. */
export function useRun(id: Ref<string>): WatchedRun & { again(): void } {
  const state: WatchedRun & { again(): void } = shallowReactive({ snapshot: null, error: null, again: () => follow(id.value) })
  let controller = new AbortController()

  function follow(run: string): void {
    controller.abort()
    controller = new AbortController()
    void watchRun(run, controller.signal)
  }

  async function watchRun(run: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        const client = await engine(signal)
        for await (const event of client.stream('run.watch', { id: run }, { signal })) {
          if (signal.aborted) return
          state.error = null
          state.snapshot = event.type === 'snapshot' ? event.snapshot : state.snapshot && apply(state.snapshot, event)
        }
        return
      } catch (thrown) {
        if (signal.aborted) return
        const error = asLabError(thrown)
        if (error.code !== 'ENGINE_CRASHED') {
          state.error = error
          return
        }
        // What was shown stays; the next engine tells how the run stands.
        if (connection.state === 'ready') await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }

  watch(
    id,
    (run) => {
      state.snapshot = null
      state.error = null
      follow(run)
    },
    { immediate: true },
  )
  onScopeDispose(() => controller.abort())
  return state
}
