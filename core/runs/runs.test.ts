import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadText } from '#core/texts/texts.ts'
import type { Activity } from '#core/contract/library.ts'
import { apply, type RunEvent, type RunResult, type RunSnapshot } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { conclusion, smallestPassing } from '#core/reports/conclusion.ts'
import { activity } from './activity.ts'
import { createHistory } from './history.ts'
import { createRuns, type Runs } from './runs.ts'
import { defaultSpec } from './spec.ts'
import { readResult, RunFolder } from './store.ts'
import { tokenTable } from './token-table.ts'

const never = new AbortController().signal
const spec = (given: Partial<RunSpec> = {}): RunSpec => defaultSpec({ windows: 5, methods: ['int8:g64', 'int4:g32'], batch: 2, threads: 1, ...given })

let home = ''
let runs: Runs
let reference: { id: string; folder: string; result: RunResult }
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-run-life-'))
  runs = createRuns({ home })
  const { id, folder } = await start()
  await watch(id)
  reference = { id, folder, result: await readResult(folder) }
})
afterAll(async () => {
  await runs.close()
  rmSync(home, { recursive: true, force: true })
})

async function start(given: Partial<RunSpec> = {}): Promise<{ id: string; folder: string }> {
  const steps = runs.start(spec(given), {}, never)
  for (;;) {
    const step = await steps.next()
    if (step.done) return step.value
  }
}

async function watch(id: string, onEvent: (event: RunEvent) => void = () => {}): Promise<RunEvent[]> {
  const events: RunEvent[] = []
  for await (const event of runs.watch(id, never)) {
    events.push(event)
    onEvent(event)
  }
  return events
}

/** The first thing a watcher is told. */
async function snapshotOf(id: string): Promise<RunSnapshot> {
  for await (const event of runs.watch(id, never)) if (event.type === 'snapshot') return event.snapshot
  throw new Error('no snapshot')
}

/** A run that is held after its second pass. */
async function pausedRun(given: Partial<RunSpec> = {}): Promise<{ id: string; folder: string; events: Promise<RunEvent[]> }> {
  const { id, folder } = await start(given)
  let passes = 0
  let held = (): void => {}
  const paused = new Promise<void>((resolve) => (held = resolve))
  const events = watch(id, (event) => {
    if (isPass(event) && ++passes === 2) runs.pause(id)
    if (event.type === 'state' && event.status === 'paused') held()
  })
  await paused
  return { id, folder, events }
}

const isPass = (event: RunEvent): boolean => event.type === 'progress' && event.phase === 'measuring'
const states = (events: readonly RunEvent[]): string[] => events.flatMap((event) => (event.type === 'state' || event.type === 'finished' ? [event.status] : []))
/** Let whatever can go on go on. */
const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 200))

/** What of a result must not depend on when and how it was computed. */
function table({ baseline, controls, protocol, trials }: RunResult): unknown {
  return { baseline, controls, protocol, trials: trials.map(({ speed: _, ...trial }) => trial) }
}

function fold(events: readonly RunEvent[]): RunSnapshot {
  const [first, ...rest] = events
  if (first?.type !== 'snapshot') throw new Error('no snapshot')
  return rest.reduce(apply, first.snapshot)
}

describe('a run of this engine', () => {
  it('is held by a pause before the next pass, and goes on to the same table', async () => {
    const { id, folder, events } = await pausedRun()
    const before = await snapshotOf(id)
    expect(before.status).toBe('paused')
    await aWhile()
    expect((await snapshotOf(id)).progress).toEqual(before.progress)
    expect(before.progress).toMatchObject({ phase: 'measuring', done: 2 })
    runs.pause(id)
    runs.continue(id)
    const all = await events
    expect(states(all)).toEqual(['paused', 'running', 'done'])
    expect(table(await readResult(folder))).toEqual(table(reference.result))
  })

  it('is cancelled while it is paused, and says that it is being stopped', async () => {
    const { id, folder, events } = await pausedRun()
    await runs.cancel(id)
    expect(states(await events)).toEqual(['paused', 'cancelling', 'cancelled'])
    expect((await readResult(folder)).status).toBe('cancelled')
    expect(existsSync(join(folder, 'lock'))).toBe(false)
    expect(() => runs.continue(id)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  })

  it('tells every watcher the same, whenever it came, and the same from its folder when it is over', async () => {
    const { id, events } = await pausedRun()
    const late = watch(id)
    await aWhile()
    runs.continue(id)
    const [first, second] = [fold(await events), fold(await late)]
    expect(second).toEqual(first)
    const stored = fold(await watch(id))
    expect([stored.trials, first.trials]).toEqual([[], []])
    expect(stored).toMatchObject({ status: 'done', id, spec: first.spec, warnings: first.warnings, folder: first.folder, createdAt: first.createdAt, plan: first.plan })
    expect(stored.result).toEqual(JSON.parse(JSON.stringify(first.result)))
  })

  it('measured how fast prefixes are computed', () => {
    expect(reference.result.prefill?.tokensPerSecond).toBeGreaterThan(0)
  })
})

describe('a run that must wait', () => {
  it('is queued with its plan, works when its turn comes, and ends in the same table', async () => {
    const first = await pausedRun()
    const second = await start()
    const third = await start()
    const snapshot = await snapshotOf(second.id)
    expect(snapshot).toMatchObject({ status: 'queued', plan: { methods: ['int8:g64', 'int4:g32'] }, progress: null })
    expect(() => runs.pause(second.id)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
    const [secondEvents, thirdEvents] = [watch(second.id), watch(third.id)]
    await aWhile()
    expect((await snapshotOf(second.id)).status).toBe('queued')
    expect(existsSync(join(second.folder, 'scores.ndjson'))).toBe(false)

    await runs.cancel(third.id)
    expect(states(await thirdEvents)).toEqual(['cancelling', 'cancelled'])
    expect(existsSync(join(third.folder, 'result.json'))).toBe(false)
    expect(await snapshotOf(third.id)).toMatchObject({ status: 'cancelled', result: null, reason: { code: 'CANCELLED' } })

    runs.continue(first.id)
    await first.events
    const events = await secondEvents
    expect(states(events)).toEqual(['running', 'done'])
    expect(events.findIndex(({ type }) => type === 'state')).toBeLessThan(events.findIndex(isPass))
    expect(table(await readResult(second.folder))).toEqual(table(reference.result))

    expect(await runs.resume(third.folder)).toEqual(third)
    await watch(third.id)
    expect(table(await readResult(third.folder))).toEqual(table(reference.result))
  })
})

describe('the runs that work', () => {
  it('are told at once and at each change; an end once more with what it came to', async () => {
    const controller = new AbortController()
    const seen: Activity[][] = []
    const first = await pausedRun()
    const second = await start()
    let goOn: string | null = first.id
    for await (const now of activity(runs, conclusion, controller.signal)) {
      seen.push(now)
      if (goOn !== null) runs.continue(goOn)
      goOn = null
      if (now.length === 0) controller.abort()
    }
    expect(seen[0]?.map(({ id, status, conclusion }) => [id, status, conclusion])).toEqual([[first.id, 'paused', null], [second.id, 'queued', null]])
    expect(seen[0]?.[0]).toMatchObject({ label: 'kvlab-demo on demo, 2 methods' })
    for (const { id } of [first, second]) {
      const states = seen.flatMap((now) => now.filter((run) => run.id === id))
      const done = states.filter(({ status }) => status === 'done')
      expect(done).toEqual([expect.objectContaining({ fraction: 1, secondsLeft: null, conclusion: conclusion(await readResult(id === first.id ? first.folder : second.folder)) })])
      expect(states.at(-1)).toBe(done[0])
      const fractions = states.map(({ fraction }) => fraction)
      expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
    }
    expect(runs.working.size).toBe(0)
  })
})

describe('a run that was killed', () => {
  it('is interrupted, and can be resumed by its name in the library', async () => {
    const { id, folder, events } = await pausedRun()
    // What a killed process leaves: its lock, its journal, no result. The copy has a name of its own.
    const killed = join(home, 'runs', 'killed')
    cpSync(folder, killed, { recursive: true })
    writeFileSync(join(killed, 'lock'), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() }))
    await runs.cancel(id)
    await events
    const history = createHistory(runs, { conclusion, smallestPassing })
    expect((await history.list()).find((entry) => entry.id === 'killed')).toMatchObject({ status: 'interrupted', unreadable: null })

    const again = await runs.resume(runs.known.folderOf('killed'))
    expect(again).toEqual({ id: 'killed', folder: killed })
    await expect(runs.resume(killed)).rejects.toMatchObject({ code: 'BUSY' })
    expect((await history.list()).find((entry) => entry.id === 'killed')?.status).toBe('running')
    const all = await watch('killed')
    expect(all.at(-1)).toMatchObject({ type: 'finished', status: 'done' })
    expect(table(await readResult(killed))).toEqual(table(reference.result))
    expect((await history.list()).find((entry) => entry.id === 'killed')).toMatchObject({ status: 'done', methods: 2 })
  })
})

describe('the tokens of a run', () => {
  it('are the same from the journal of a stopped run and from the scores of a whole one, with their text', async () => {
    const { id, folder, events } = await pausedRun({ batch: 2 })
    const lines = readFileSync(join(folder, 'scores.ndjson'), 'utf8').split('\n').length - 1
    expect(lines).toBe(2)
    runs.continue(id)
    await events
    const whole = await tokenTable(home, await RunFolder.open(folder), 'int4:g32', 100_000, never)
    expect(whole.tokens).toBe(5 * 31)
    expect(whole.columns.text.every((text) => text !== '' && !text.startsWith('#'))).toBe(true)
    const { documents } = await loadText({ data: 'demo', column: null, join: 'file' })
    for (const [i, text] of whole.columns.text.entries()) expect(documents[0]).toContain(`${whole.columns.context[i]}${text}`)
    expect(Math.min(...whole.columns.context.map((text) => text.length))).toBeGreaterThan(12)

    const stopped = await start()
    let passes = 0
    await watch(stopped.id, (event) => {
      if (isPass(event) && ++passes === 9) void runs.cancel(stopped.id)
    })
    const opened = await RunFolder.open(stopped.folder)
    const part = await tokenTable(home, opened, 'int4:g32', 100_000, never)
    expect(part.tokens).toBeGreaterThan(0)
    expect(part.tokens).toBeLessThan(whole.tokens)
    const rows = ({ columns }: typeof whole): unknown[] =>
      columns.kl.map((kl, i) => [columns.window[i], columns.position[i], columns.tokenId[i], columns.nllRef[i], columns.nllQ[i], kl, columns.agree[i], columns.text[i], columns.context[i]])
    const measured = new Set(part.columns.window)
    expect(rows(part)).toEqual(rows(whole).filter((_, i) => measured.has(whole.columns.window[i] ?? -1)))
  })
})
