import { computed, reactive, shallowRef } from 'vue'
import { LabError } from '#core/contract/errors.ts'
import type { Download, RepoKind } from '#core/contract/hub.ts'
import { engine } from '../client.ts'
import { follow } from './engine.ts'
import { complain, say } from './notices.ts'

/** All downloads that the engine knows, ended ones too. */
export const downloads = shallowRef<readonly Download[]>([])
/** Those that work, wait or are held. */
export const openDownloads = computed(() => downloads.value.filter(({ status }) => status === 'queued' || status === 'running' || status === 'paused'))
/** How many of a kind have arrived while this page lived, and where the last one lies: whoever shows what there is looks again. */
export const arrived: Record<RepoKind, { times: number; path: string }> = reactive({ model: { times: 0, path: '' }, dataset: { times: 0, path: '' } })

/** Follow all downloads of the engine for as long as the page lives. */
export function followDownloads(): Promise<never> {
  return follow((client) => client.stream('download.watch', {}), show)
}

function show(now: readonly Download[] | null): void {
  const before = openDownloads.value
  downloads.value = now ?? []
  for (const ended of downloads.value.filter(({ id }) => before.some((was) => was.id === id))) {
    // Where downloads are shown they tell of it themselves.
    const seen = /^#\/(models|datasets)/.test(location.hash)
    if (ended.status === 'done') arrived[ended.kind] = { times: arrived[ended.kind].times + 1, path: ended.path }
    if (ended.status === 'done' && !seen) say(`${ended.label} is here`)
    if (ended.status === 'failed' && !seen && ended.error) complain(new LabError(ended.error.code, `${ended.label}: ${ended.error.message}`))
  }
}

/** Ask the engine to begin a download; what becomes of it is followed. */
export async function download(what: { kind: RepoKind; repo: string; revision: string; choice: string }): Promise<void> {
  try {
    await (await engine()).call('download.start', what)
  } catch (error) {
    complain(error)
  }
}

/** Hold, go on with, or end a download. */
export async function steer(id: string, what: 'pause' | 'continue' | 'cancel'): Promise<void> {
  try {
    await (await engine()).call(`download.${what}`, { id })
  } catch (error) {
    complain(error)
  }
}
