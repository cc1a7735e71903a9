import { describe, expect, it } from 'vitest'
import { apply, emptySnapshot, type RunEvent, type RunSnapshot } from '#core/contract/run.ts'
import { doneTrial } from '../../test/sample-result.ts'
import { demoSpec } from './spec.ts'
import { watching, type Watched } from './watching.ts'

const AT = '2026-01-01T00:00:00.000Z'
const progress = (done: number): RunEvent => ({ type: 'progress', phase: 'measuring', done, total: 100, secondsLeft: null, tokensPerSecond: null })
const live = (tokens: number): RunEvent => ({ type: 'live', baseline: { perplexity: 10, tokens }, trials: [] })
const warning = (text: string): RunEvent => ({ type: 'warning', at: AT, text })
const finished: RunEvent = { type: 'finished', at: AT, status: 'done', reason: null, folder: 'somewhere', result: null }
const never = new AbortController().signal

/** A run that says what the test tells it to. */
function source(): Watched & { say(event: RunEvent): void; watchers: number } {
  const watchers = new Set<(event: RunEvent) => void>()
  let snapshot: RunSnapshot = emptySnapshot({ id: 'a', folder: 'somewhere', createdAt: AT, spec: demoSpec() })
  return {
    get snapshot() {
      return snapshot
    },
    over: false,
    get watchers() {
      return watchers.size
    },
    watch: (watcher) => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    say: (event) => {
      snapshot = apply(snapshot, event)
      watchers.forEach((watcher) => watcher(event))
    },
  }
}

async function next(steps: AsyncGenerator<RunEvent, void>): Promise<RunEvent | null> {
  const step = await steps.next()
  return step.done ? null : step.value
}

async function rest(steps: AsyncGenerator<RunEvent, void>): Promise<RunEvent[]> {
  const events: RunEvent[] = []
  for await (const event of steps) events.push(event)
  return events
}

describe('watching', () => {
  it('gives a slow reader the newest progress and live state, and all that happened', async () => {
    const run = source()
    const steps = watching(run, never)
    expect(await next(steps)).toMatchObject({ type: 'snapshot' })
    const kept: RunEvent[] = [
      { type: 'state', status: 'paused' },
      { type: 'state', status: 'running' },
      { type: 'rung', at: AT, windows: 8, dropped: ['a'] },
      warning('w'),
      { type: 'trial', at: AT, trial: doneTrial('q8_0') },
      { type: 'trial', at: AT, trial: doneTrial('q4_0') },
      { type: 'state', status: 'cancelling' },
    ]
    for (let i = 0; i < 70; i++) {
      run.say(progress(i))
      run.say(live(i))
      const event = i % 10 === 0 ? kept[i / 10] : undefined
      if (event) run.say(event)
    }
    run.say(finished)
    const events = await rest(steps)
    expect(events.filter(({ type }) => type !== 'progress' && type !== 'live')).toEqual([...kept, finished])
    expect(events.filter(({ type }) => type === 'progress')).toEqual([progress(69)])
    expect(events.filter(({ type }) => type === 'live')).toEqual([live(69)])
  })

  it('gives a quick reader every event in order', async () => {
    const run = source()
    const steps = watching(run, never)
    await next(steps)
    for (const event of [progress(1), live(1), progress(2), warning('w'), finished]) {
      run.say(event)
      expect(await next(steps)).toEqual(event)
    }
    expect(await next(steps)).toBeNull()
    expect(run.watchers).toBe(0)
  })

  it('leaves the run when the watcher leaves or is called off', async () => {
    const run = source()
    for await (const event of watching(run, never)) {
      expect(run.watchers).toBe(1)
      if (event.type === 'snapshot') break
    }
    expect(run.watchers).toBe(0)
    const controller = new AbortController()
    const steps = watching(run, controller.signal)
    await next(steps)
    const waiting = next(steps)
    controller.abort(new Error('left'))
    await expect(waiting).rejects.toThrow('left')
    expect(run.watchers).toBe(0)
  })

  it('gives the snapshot alone of a run that is over', async () => {
    expect(await rest(watching({ ...source(), snapshot: source().snapshot, over: true }, never))).toHaveLength(1)
  })
})
