import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RunEntry } from '#core/contract/library.ts'
import { emptySnapshot, type RunEvent, type RunResult, type RunSnapshot, type RunStatus } from '#core/contract/run.ts'
import { conclusion, smallestPassing } from '#core/reports/conclusion.ts'
import { doneTrial, partialTrial, samplePlan, sampleResult } from '../../test/sample-result.ts'
import { createHistory } from './history.ts'
import { createRuns, type Runs } from './runs.ts'
import { demoSpec } from './spec.ts'
import { RunFolder } from './store.ts'

/** No process has this id. */
const DEAD = 2 ** 22 + 1
const never = new AbortController().signal
const plan = samplePlan(['int8:g64'], { warnings: ['few windows'] })

let home = ''
let runs: Runs
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-history-'))
  runs = createRuns({ home })
})
afterEach(() => rmSync(home, { recursive: true }))

const list = (): Promise<RunEntry[]> => createHistory(runs, { conclusion, smallestPassing }).list()

/** A run that began in this minute of a day, without anything measured. */
async function made(name: string, minute = 0, path = join(home, 'runs', name)): Promise<RunFolder> {
  return RunFolder.create(path, demoSpec(), { schema: 'kvlab.head/1', id: name, createdAt: `2026-01-01T00:${String(minute).padStart(2, '0')}:00.000Z`, plan })
}

async function ended(name: string, status: RunResult['status'], minute = 0): Promise<RunFolder> {
  const folder = await made(name, minute)
  await folder.writeResult(sampleResult([status === 'done' ? doneTrial('int8:g64') : partialTrial('int8:g64', 310)], { id: name, status }))
  return folder
}

function lock({ path }: RunFolder, pid: number, host = hostname()): void {
  writeFileSync(join(path, 'lock'), JSON.stringify({ pid, host }))
}

async function snapshotOf(id: string): Promise<RunSnapshot> {
  const events = []
  for await (const event of runs.watch(id, never)) events.push(event)
  expect(events.map(({ type }) => type)).toEqual(['snapshot'])
  return events[0]?.type === 'snapshot' ? events[0].snapshot : emptySnapshot({ id, folder: '', createdAt: '', spec: demoSpec() })
}

describe('how a run on disk stands', () => {
  const cases: [string, RunStatus, (name: string) => Promise<unknown>][] = [
    ['done', 'done', (name) => ended(name, 'done')],
    ['done, its lock left by a kill', 'done', async (name) => lock(await ended(name, 'done'), DEAD)],
    ['cancelled', 'cancelled', (name) => ended(name, 'cancelled')],
    ['failed', 'failed', (name) => ended(name, 'failed')],
    ['without a result or a lock', 'interrupted', made],
    ['killed', 'interrupted', async (name) => lock(await made(name), DEAD)],
    ['killed after it was resumed', 'interrupted', async (name) => lock(await ended(name, 'cancelled'), DEAD)],
    ['worked on by another process', 'running', async (name) => lock(await made(name), process.ppid)],
    ['resumed by another process', 'running', async (name) => lock(await ended(name, 'cancelled'), process.ppid)],
    ['worked on by another machine', 'running', async (name) => lock(await made(name), DEAD, 'elsewhere')],
    [
      'cancelled before its turn',
      'cancelled',
      async (name) => (await made(name)).record({ type: 'finished', at: '', status: 'cancelled', reason: { code: 'CANCELLED', message: 'the run was cancelled' }, folder: name, result: null }),
    ],
  ]
  it.each(cases)('%s', async (_, status, make) => {
    await make('a')
    const [entry] = await list()
    expect(entry).toMatchObject({ id: 'a', status, unreadable: null })
    const snapshot = await snapshotOf('a')
    expect(snapshot).toMatchObject({ id: 'a', folder: join(home, 'runs', 'a'), status, plan: { methods: ['int8:g64'] }, spec: demoSpec() })
    // The result of an earlier end is not that of a run that went on.
    const result = status === 'done' || status === 'failed' || (status === 'cancelled' && entry?.seconds !== null)
    expect(snapshot.result !== null).toBe(result)
    expect(entry?.conclusion !== null).toBe(result)
    expect(snapshot.warnings.some((text) => text.includes('works on this run'))).toBe(status === 'running')
  })

  it('tells all that the result and the events have', async () => {
    const folder = await ended('a', 'done')
    const at = '2026-01-01T00:00:00.000Z'
    const events: RunEvent[] = [{ type: 'planned', at, plan }, { type: 'warning', at, text: 'few windows' }, { type: 'rung', at, windows: 8, dropped: ['x'] }]
    events.forEach((event) => folder.record(event))
    const result = await folder.result()
    expect(await snapshotOf('a')).toMatchObject({ result, trials: [], warnings: ['few windows'], rungs: [{ windows: 8, dropped: ['x'] }], baseline: { perplexity: 11.5162, tokens: 10_230 }, reason: null })
  })

  it('does not let a resumed run of another process be continued, and writes nothing into its folder', async () => {
    const folder = await ended('a', 'cancelled')
    lock(folder, process.ppid)
    await expect(runs.resume(folder.path)).rejects.toMatchObject({ code: 'BUSY' })
    expect(await folder.events()).toEqual([])
    await runs.cancel('a')
    expect(() => runs.pause('a')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  })

  it('refuses what is no run', async () => {
    await expect(snapshotOf('nothing')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(snapshotOf('../runs')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(runs.cancel('nothing')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    expect(() => runs.continue('..')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  })
})

describe('the list', () => {
  it('is newest first, with what a page shows', async () => {
    await ended('old', 'done', 1)
    await ended('new', 'cancelled', 3)
    await made('middle', 2)
    const entries = await list()
    expect(entries.map(({ id }) => id)).toEqual(['new', 'middle', 'old'])
    expect(entries[2]).toMatchObject({ model: 'kvlab-demo', weights: null, data: 'demo', methods: 1, seconds: 10, smallestPassing: { method: 'int8:g64', bitsPerValue: 8.5 }, tags: [], notes: '' })
    expect(entries[2]?.conclusion).toContain('int8:g64 is the smallest that passes')
    expect(entries[1]).toMatchObject({ seconds: null, conclusion: null, smallestPassing: null })
  })

  it('knows a folder elsewhere once it was opened', async () => {
    const { path } = await made('far', 0, join(home, 'far'))
    expect(await list()).toEqual([])
    expect(await runs.open(path)).toEqual({ id: 'far', folder: path })
    expect(await list()).toMatchObject([{ id: 'far', folder: path, status: 'interrupted' }])
    expect((await snapshotOf('far')).folder).toBe(path)
    await expect(runs.open(home)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })

  it('shows a damaged folder as one that cannot be read, and the others all the same', async () => {
    await ended('good', 'done')
    mkdirSync(join(home, 'runs', 'empty'))
    const spoil = async (name: string, file: string, text: string): Promise<void> => writeFileSync(join((await ended(name, 'done')).path, file), text)
    await spoil('spec', 'spec.json', '{"schema":"kvlab.spec/9"}')
    await spoil('head', 'run.json', '{"schema":"kvlab.head/1","id":3}')
    await spoil('torn', 'result.json', '{"schema":')
    await spoil('other', 'result.json', JSON.stringify({ ...sampleResult([]), trials: [{ method: 'a', status: 'done', quality: {}, verdict: {} }] }))
    const entries = await list()
    expect(entries).toHaveLength(6)
    for (const { id, unreadable, conclusion } of entries) {
      if (id === 'good') expect([unreadable, typeof conclusion]).toEqual([null, 'string'])
      else expect(unreadable, id).toContain(id)
    }
  })

  it('sees every change, though it remembers what it read', async () => {
    const history = createHistory(runs, { conclusion, smallestPassing })
    const folder = await ended('a', 'cancelled')
    const first = await history.list()
    expect((await history.list())[0]).toBe(first[0])
    await folder.writeNotes({ tags: ['keep'], notes: 'n' })
    expect(await history.list()).toMatchObject([{ tags: ['keep'], notes: 'n', status: 'cancelled' }])
    lock(folder, process.ppid)
    expect(await history.list()).toMatchObject([{ status: 'running', conclusion: null }])
    lock(folder, DEAD)
    expect(await history.list()).toMatchObject([{ status: 'interrupted' }])
    rmSync(join(folder.path, 'lock'))
    await folder.writeResult(sampleResult([doneTrial('int8:g64')]))
    expect(await history.list()).toMatchObject([{ status: 'done', tags: ['keep'] }])
    rmSync(folder.path, { recursive: true })
    expect(await history.list()).toEqual([])
  })

  it('reads many folders', async () => {
    for (let i = 0; i < 60; i++) await ended(`run-${i}`, 'done', i)
    const entries = await list()
    expect(entries).toHaveLength(60)
    expect(entries[0]?.id).toBe('run-59')
  })
})
