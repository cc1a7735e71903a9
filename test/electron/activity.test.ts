import { beforeEach, describe, expect, it } from 'vitest'
import { engineApi, type EngineApi } from '#core/contract/api.ts'
import type { Activity } from '#core/contract/library.ts'
import { portPair } from '#core/contract/ports.ts'
import { createClient, serve, type Handlers } from '#core/contract/rpc.ts'
import type { RunStatus } from '#core/contract/run.ts'
import { displayActivity, watchActivity, type ActivityDisplay } from '../../electron/main/activity.ts'

const run = (id: string, status: RunStatus, fraction = 0, conclusion: string | null = null): Activity => ({ id, label: `run ${id}`, status, fraction, secondsLeft: null, conclusion })

let blockers: number[] = []
let bars: { fraction: number; mode: string | undefined }[] = []
let told: string[] = []
let idle = 0
let focused = false
let display: ActivityDisplay
beforeEach(() => {
  blockers = []
  bars = []
  told = []
  idle = 0
  focused = false
  let last = 0
  display = displayActivity({
    power: {
      start: (type) => {
        expect(type).toBe('prevent-app-suspension')
        blockers.push(++last)
        return last
      },
      stop: (id) => {
        expect(blockers).toContain(id)
        blockers = blockers.filter((other) => other !== id)
        return true
      },
    },
    windows: () => [{ setProgressBar: (fraction, options) => void bars.push({ fraction, mode: options?.mode }), isFocused: () => focused }],
    notify: (title, text) => void told.push(`${title}: ${text}`),
    onIdle: () => void idle++,
  })
})

describe('the machine', () => {
  it('stays awake while a run works, held by one blocker', () => {
    display.show([run('a', 'running')])
    display.show([run('a', 'running', 0.5), run('b', 'queued')])
    expect(blockers).toHaveLength(1)
    display.show([run('a', 'cancelling', 0.5)])
    expect(blockers).toHaveLength(1)
    display.show([])
    expect(blockers).toEqual([])
  })

  it.each(['queued', 'paused', 'done', 'failed', 'cancelled', 'interrupted'] as const)('may sleep while a run is %s', (status) => {
    display.show([run('a', 'running')])
    display.show([run('a', status)])
    expect(blockers).toEqual([])
  })

  it('may sleep when the engine is gone', () => {
    display.show([run('a', 'running')])
    display.lost()
    expect([blockers, idle, display.current()]).toEqual([[], 1, []])
  })
})

describe('the taskbar', () => {
  const lastBar = (): unknown => bars.at(-1)

  it('shows how far runs are, without those that wait', () => {
    display.show([run('a', 'running', 0.25), run('b', 'queued')])
    expect(lastBar()).toEqual({ fraction: 0.25, mode: 'normal' })
    display.show([run('a', 'running', 0.5), run('b', 'paused', 1)])
    expect(lastBar()).toEqual({ fraction: 0.75, mode: 'normal' })
    display.show([run('a', 'paused', 0.5)])
    expect(lastBar()).toEqual({ fraction: 0.5, mode: 'paused' })
  })

  it('shows nothing when none works', () => {
    display.show([run('a', 'queued')])
    expect(lastBar()).toEqual({ fraction: -1, mode: 'none' })
    display.show([run('a', 'done', 1)])
    expect(lastBar()).toEqual({ fraction: -1, mode: 'none' })
  })
})

describe('an end', () => {
  it.each([
    ['done', 'int8 passes', 'run a: int8 passes'],
    ['done', null, 'run a: The run has ended.'],
    ['failed', null, 'run a: The run failed.'],
    ['interrupted', null, 'run a: The run was interrupted; what it measured is kept.'],
  ] as const)('%s is told once where no window is looked at', (status, conclusion, text) => {
    display.show([run('a', 'running')])
    display.show([run('a', status, 1, conclusion)])
    display.show([])
    expect(told).toEqual([text])
  })

  it('is not told in a window that is looked at', () => {
    focused = true
    display.show([run('a', 'running')])
    display.show([run('a', 'done')])
    expect(told).toEqual([])
  })

  it('that someone asked for is not told', () => {
    display.show([run('a', 'running')])
    display.show([run('a', 'cancelled')])
    display.show([run('b', 'cancelling')])
    display.show([])
    expect(told).toEqual([])
  })

  it('without a last word is told too', () => {
    display.show([run('a', 'running')])
    display.show([])
    expect(told).toEqual(['run a: The run has ended.'])
  })

  it('of a run that began before is none', () => {
    display.show([run('a', 'done')])
    expect([told, idle]).toEqual([[], 0])
  })

  it('of the last run only makes the program idle', () => {
    display.show([run('a', 'running'), run('b', 'queued')])
    display.show([run('b', 'running')])
    expect(idle).toBe(0)
    display.show([run('b', 'done')])
    display.show([])
    expect(idle).toBe(1)
  })

  it('of the engine is told of each of its runs', () => {
    display.show([run('a', 'running'), run('b', 'queued')])
    display.lost()
    expect(told).toEqual(['run a: The run was interrupted; what it measured is kept.', 'run b: The run was interrupted; what it measured is kept.'])
  })
})

describe('watching the engine', () => {
  it('shows what it tells, and that nothing works when it dies', async () => {
    const [ours, theirs] = portPair()
    const activity = async function* (_: object, signal: AbortSignal): AsyncGenerator<Activity[], void> {
      yield [run('a', 'running', 0.5)]
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    void serve(engineApi, { 'run.activity': activity } as unknown as Handlers<EngineApi>, theirs)
    const watching = watchActivity(createClient<EngineApi>(ours), display)
    await expect.poll(() => display.current().length).toBe(1)
    expect(blockers).toHaveLength(1)
    theirs.close()
    await watching
    expect([display.current(), blockers, told]).toEqual([[], [], ['run a: The run was interrupted; what it measured is kept.']])
  })
})
