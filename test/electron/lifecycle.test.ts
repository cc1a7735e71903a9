import { EventEmitter } from 'node:events'
import type { MessageBoxOptions } from 'electron'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Activity } from '#core/contract/library.ts'
import { manageLifecycle, type Lifecycle } from '../../electron/main/lifecycle.ts'

const run: Activity = { id: 'a', label: 'SmolLM2, 12 methods', status: 'running', fraction: 0.429, secondsLeft: null, conclusion: null }

/** An `app` and what is done to it, in order. */
let done: string[] = []
let windows: { isMinimized(): boolean; restore(): void; show(): void; hide(): void; focus(): void }[] = []
let runs: Activity[] = []
let asked: MessageBoxOptions[] = []
let answer = 0
let closing = pending()
let app = new EventEmitter()

function pending(): { promise: Promise<void>; resolve(): void; reject(error: Error): void } {
  const parts = { resolve: (): void => {}, reject: (_: Error): void => {} }
  const promise = new Promise<void>((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return { promise, resolve: () => parts.resolve(), reject: (error) => parts.reject(error) }
}
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function start(platform: NodeJS.Platform = 'linux'): Lifecycle {
  const note = (word: string) => (): void => void done.push(word)
  return manageLifecycle({
    app: Object.assign(app, { quit: () => quit() }),
    platform,
    windows: () => windows,
    openWindow: () => {
      done.push('open')
      windows.push({ isMinimized: () => true, restore: note('restore'), show: note('show'), hide: note('hide'), focus: note('focus') })
    },
    runs: () => runs,
    stopRuns: async () => void done.push('stop'),
    ask: async (options) => {
      asked.push(options)
      return answer
    },
    closeEngine: () => {
      done.push('close engine')
      return closing.promise
    },
  })
}

/** What Electron does: tell of it, and end unless someone prevents that. */
function quit(): void {
  let prevented = false
  app.emit('before-quit', { preventDefault: () => (prevented = true) })
  done.push(prevented ? 'quit prevented' : 'ended')
}

beforeEach(() => {
  done = []
  windows = []
  runs = []
  asked = []
  closing = pending()
  app = new EventEmitter()
})

describe('a second start', () => {
  it('brings the window to the front', () => {
    start()
    windows = [{ isMinimized: () => true, restore: () => void done.push('restore'), show: () => void done.push('show'), hide: () => {}, focus: () => void done.push('focus') }]
    app.emit('second-instance')
    expect(done).toEqual(['restore', 'show', 'focus'])
  })

  it('opens one where there is none', () => {
    start()
    app.emit('second-instance')
    expect(done).toEqual(['open'])
  })
})

describe('the last window is closed', () => {
  async function closeLast(platform: NodeJS.Platform = 'linux'): Promise<void> {
    start(platform)
    app.emit('window-all-closed')
    await settled()
  }

  it('and no run works: the program ends', async () => {
    await closeLast()
    expect(done).toEqual(['close engine', 'quit prevented'])
  })

  it('on macOS it stays', async () => {
    await closeLast('darwin')
    expect(done).toEqual([])
  })

  it('while a run works: asks, and names the run', async () => {
    runs = [run, { ...run, id: 'b' }]
    answer = 0
    await closeLast()
    expect(asked).toHaveLength(1)
    expect(asked[0]).toMatchObject({ buttons: ['Keep running in background', 'Stop after the pass', 'Back'], defaultId: 0, cancelId: 2 })
    expect(asked[0]?.detail).toMatch(/^SmolLM2, 12 methods, 42 % and one more run\./)
  })

  it('keep: nothing happens until the run has ended', async () => {
    runs = [run]
    answer = 0
    const lifecycle = start()
    app.emit('window-all-closed')
    await settled()
    expect(done).toEqual([])
    runs = []
    lifecycle.idle()
    expect(done).toEqual(['close engine', 'quit prevented'])
  })

  it('keep, and a window was opened since: it stays when the run ends', async () => {
    runs = [run]
    answer = 0
    const lifecycle = start()
    app.emit('window-all-closed')
    await settled()
    app.emit('second-instance')
    lifecycle.idle()
    expect(done).toEqual(['open'])
  })

  it('keep, but the run ended while the question stood: ends', async () => {
    runs = [run]
    answer = 0
    start()
    app.emit('window-all-closed')
    runs = []
    await settled()
    expect(done).toEqual(['close engine', 'quit prevented'])
  })

  it('stop: ends the runs after their pass, then the engine', async () => {
    runs = [run]
    answer = 1
    await closeLast()
    expect(done).toEqual(['stop', 'close engine', 'quit prevented'])
  })

  it('back: the window opens again', async () => {
    runs = [run]
    answer = 2
    await closeLast()
    expect(done).toEqual(['open'])
  })

  it.each([-1, 7])('an answer that no button has (%i) is back', async (given) => {
    runs = [run]
    answer = given
    await closeLast()
    expect(done).toEqual(['open'])
  })
})

describe('quit', () => {
  it('waits for the engine, once, with windows out of the way', async () => {
    start()
    windows = [{ isMinimized: () => false, restore: () => {}, show: () => {}, hide: () => void done.push('hide'), focus: () => {} }]
    quit()
    quit()
    expect(done).toEqual(['hide', 'close engine', 'quit prevented', 'quit prevented'])
    closing.resolve()
    await settled()
    expect(done.slice(4)).toEqual(['ended'])
  })

  it('ends also where the engine does not close', async () => {
    start()
    quit()
    closing.reject(new Error('no answer'))
    await settled()
    expect(done.at(-1)).toBe('ended')
  })
})
