import type { Activity } from '#core/contract/library.ts'
import { isUnderWay } from '#core/contract/run.ts'
import { shallowRef } from 'vue'
import { asLabError, engine } from '../client.ts'
import { say } from './notices.ts'

/** The runs that work or wait now. */
export const activity = shallowRef<readonly Activity[]>([])

/** Follow all runs of the engine for as long as the page lives. */
export async function followActivity(): Promise<never> {
  for (;;) {
    try {
      for await (const now of (await engine()).stream('run.activity', {})) {
        for (const { id, status, label, conclusion } of now) if (!isUnderWay(status) && !location.hash.endsWith(`/runs/${id}`)) say(`${label}: ${conclusion ?? status}`)
        activity.value = now.filter(({ status }) => isUnderWay(status))
      }
    } catch (thrown) {
      activity.value = []
      if (asLabError(thrown).code !== 'ENGINE_CRASHED') throw thrown
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
