import type { Activity } from '#core/contract/library.ts'
import { isUnderWay } from '#core/contract/run.ts'
import { shallowRef } from 'vue'
import { follow } from './engine.ts'
import { say } from './notices.ts'

/** The runs that work or wait now. */
export const activity = shallowRef<readonly Activity[]>([])

/** Follow all runs of the engine for as long as the page lives. */
export function followActivity(): Promise<never> {
  return follow(
    (client) => client.stream('run.activity', {}),
    (now) => {
      for (const { id, status, label, conclusion } of now ?? []) if (!isUnderWay(status) && !location.hash.endsWith(`/runs/${id}`)) say(`${label}: ${conclusion ?? status}`)
      activity.value = (now ?? []).filter(({ status }) => isUnderWay(status))
    },
  )
}
