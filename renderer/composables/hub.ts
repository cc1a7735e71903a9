import { shallowRef } from 'vue'
import type { HubState } from '#core/contract/hub.ts'
import { engine } from '../client.ts'
import { complain } from './notices.ts'

/** How the engine reaches a hub, as it last said; null until it was asked. */
export const hub = shallowRef<HubState | null>(null)

/** Ask again: settings, the token and the free disk change. */
export async function askHub(): Promise<void> {
  try {
    hub.value = await (await engine()).call('hub.state', {})
  } catch (error) {
    complain(error)
  }
}


/** What a page asks of its GetPanel: to show what a repository has, and to look again after something was removed. */
export type Getting = { show(repo: string): void; refresh(): void }
