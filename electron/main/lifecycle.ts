import type { MessageBoxOptions } from 'electron'
import type { Activity } from '#core/contract/library.ts'

/** The few events of `app` that decide how long the program lives. */
type App = {
  on(event: 'second-instance' | 'activate' | 'window-all-closed', listener: () => void): unknown
  on(event: 'before-quit', listener: (event: { preventDefault(): void }) => void): unknown
  quit(): void
}
type Window = { isMinimized(): boolean; restore(): void; show(): void; hide(): void; focus(): void }

export type LifecycleParts = {
  app: App
  platform: NodeJS.Platform
  windows(): readonly Window[]
  openWindow(): void
  runs(): readonly Activity[]
  /** Ends every run after its pass in flight. */
  stopRuns(): Promise<void>
  /** The index of the button that was pressed. */
  ask(options: MessageBoxOptions): Promise<number>
  /** Ends the engine, and kills it where it does not end in time. */
  closeEngine(): Promise<void>
}

export type Lifecycle = {
  /** Bring a window to the front, or open one. */
  focus(): void
  /** No run works any more: without a window there is nothing left to do. */
  idle(): void
}

const CHOICES = ['keep', 'stop', 'back'] as const
const BUTTONS = ['Keep running in background', 'Stop after the pass', 'Back']

/** One program at a time; it lives as long as it has a window or a run that shall go on, and takes the engine with it when it ends. */
export function manageLifecycle(parts: LifecycleParts): Lifecycle {
  const { app } = parts
  let ending: 'no' | 'engine closes' | 'engine closed' = 'no'

  function focus(): void {
    const [window] = parts.windows()
    if (!window) {
      parts.openWindow()
      return
    }
    if (window.isMinimized()) window.restore()
    window.show()
    window.focus()
  }

  function idle(): void {
    // On macOS a program stays until it is told to quit.
    if (parts.windows().length === 0 && parts.platform !== 'darwin') app.quit()
  }

  async function lastWindowClosed(): Promise<void> {
    const [run] = parts.runs()
    if (!run) {
      idle()
      return
    }
    const choice = CHOICES[await parts.ask(questionOf(run, parts.runs().length - 1))] ?? 'back'
    // Keep: the run tells when it has ended; starting the program again opens a window.
    if (choice === 'keep' && parts.runs().length === 0) idle()
    if (choice === 'back' && parts.windows().length === 0) parts.openWindow()
    if (choice !== 'stop') return
    await parts.stopRuns()
    app.quit()
  }

  async function endEngine(): Promise<void> {
    for (const window of parts.windows()) window.hide()
    // However that went: nothing keeps a program that was told to end.
    await parts.closeEngine().catch(() => {})
    ending = 'engine closed'
    app.quit()
  }

  app.on('second-instance', focus)
  app.on('activate', focus)
  app.on('window-all-closed', () => void lastWindowClosed())
  app.on('before-quit', (event) => {
    if (ending === 'engine closed') return
    event.preventDefault()
    if (ending === 'engine closes') return
    ending = 'engine closes'
    void endEngine()
  })
  return { focus, idle }
}

function questionOf(run: Activity, others: number): MessageBoxOptions {
  const more = others === 0 ? '' : others === 1 ? ' and one more run' : ` and ${others} more runs`
  return {
    type: 'question',
    title: 'KV Lab',
    message: 'A run has not ended yet.',
    detail: `${run.label}, ${Math.floor(100 * run.fraction)} %${more}. In the background it goes on without a window; start the program again to see it. A stopped run keeps what it measured and can be resumed.`,
    buttons: BUTTONS,
    defaultId: CHOICES.indexOf('keep'),
    cancelId: CHOICES.indexOf('back'),
    noLink: true,
  }
}
