import type { BrowserWindow, PowerSaveBlocker } from 'electron'
import type { EngineApi } from '#core/contract/api.ts'
import type { Activity } from '#core/contract/library.ts'
import type { Client } from '#core/contract/rpc.ts'
import { isUnderWay, type RunStatus } from '#core/contract/run.ts'

export type ActivityParts = {
  power: Pick<PowerSaveBlocker, 'start' | 'stop'>
  windows(): readonly Pick<BrowserWindow, 'setProgressBar' | 'isFocused'>[]
  notify(title: string, text: string): void
  /** Called when the last run has ended. */
  onIdle(): void
}

/** What the system is shown of the runs: the machine stays awake, the taskbar fills, a notification tells of an end that nobody watches. */
export type ActivityDisplay = {
  /** The runs that work or wait, as the engine last told them. */
  current(): readonly Activity[]
  show(activities: readonly Activity[]): void
  /** The engine is gone, and what it worked on with it. */
  lost(): void
}

const WORKS: readonly RunStatus[] = ['running', 'cancelling']
/** How a run ended, where it has no conclusion. A run that was cancelled was cancelled by the one who would read of it. */
const ENDINGS: { readonly [status in RunStatus]?: string } = { done: 'The run has ended.', failed: 'The run failed.', interrupted: 'The run was interrupted; what it measured is kept.' }

export function displayActivity(parts: ActivityParts): ActivityDisplay {
  let open: readonly Activity[] = []
  let blocker: number | null = null

  function show(activities: readonly Activity[]): void {
    const before = open
    open = activities.filter(({ status }) => isUnderWay(status))
    keepAwake(open.some(({ status }) => WORKS.includes(status)))
    showProgress()
    for (const was of before.filter(({ id }) => !open.some((run) => run.id === id))) {
      // A run that leaves the list without a last word has ended.
      tell(activities.find(({ id }) => id === was.id) ?? { ...was, status: was.status === 'cancelling' ? 'cancelled' : 'done' })
    }
    if (before.length > 0 && open.length === 0) parts.onIdle()
  }

  function keepAwake(needed: boolean): void {
    if (needed) blocker ??= parts.power.start('prevent-app-suspension')
    else if (blocker !== null) {
      parts.power.stop(blocker)
      blocker = null
    }
  }

  function showProgress(): void {
    const begun = open.filter(({ status }) => status !== 'queued')
    const fraction = begun.length === 0 ? -1 : begun.reduce((sum, run) => sum + run.fraction, 0) / begun.length
    const mode = begun.length > 0 && begun.every(({ status }) => status === 'paused') ? 'paused' : 'normal'
    for (const window of parts.windows()) window.setProgressBar(fraction, { mode: fraction < 0 ? 'none' : mode })
  }

  function tell({ label, status, conclusion }: Activity): void {
    const ending = ENDINGS[status]
    if (ending !== undefined && !parts.windows().some((window) => window.isFocused())) parts.notify(label, conclusion ?? ending)
  }

  return { current: () => open, show, lost: () => show(open.map((run) => ({ ...run, status: 'interrupted', conclusion: null }))) }
}

/** Shows what the engine tells of its runs, until it is gone. */
export async function watchActivity(engine: Pick<Client<EngineApi>, 'stream'>, display: ActivityDisplay): Promise<void> {
  try {
    for await (const activities of engine.stream('run.activity', {})) display.show(activities)
  } catch {
    // Why it is gone is shown by the page; here nothing works any more.
  }
  display.lost()
}
