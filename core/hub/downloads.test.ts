import { randomUUID } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Download } from '#core/contract/hub.ts'
import { noise, recordedWithin } from '../../test/download-fixture.ts'
import { placeOf, SMALL } from '../../test/download-small.ts'
import type { Fault } from '../../test/hub-answer.ts'
import { startHub, type HubRequest, type TestHub } from '../../test/hub-server.ts'
import { createDownloads, type Downloads, type Wish } from './downloads.ts'
import { blobPath } from './layout.ts'
import type { HubPlace } from './place.ts'

const GRAPH = 'onnx/model_q4.onnx'
const CONTENTS = { 'config.json': '{"a":1}', 'tokenizer.json': '{}', [GRAPH]: noise(200_000, 1) }
const { signal } = new AbortController()
const wish = (repo = 'org/one', changes: Partial<Wish> = {}): Wish => ({ kind: 'model', repo, revision: 'main', choice: 'q4', ...changes })
/** Slow enough to be met while it runs. */
const SLOW: Fault = { kind: 'trickle', bytesPerChunk: 2_000, msBetween: 40 }
const slowGraphs = ({ server, file }: HubRequest): Fault | null => (server === 'cdn' && file === GRAPH ? SLOW : null)

let root = ''
let hub: TestHub
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'kvlab-downloads-'))
  const twin = { 'config.json': '{"b":1}', 'tokenizer.json': '{}', [GRAPH]: noise(200_000, 2) }
  const data = { 'data/train-00000-of-00001.parquet': noise(3_000, 4) }
  hub = await startHub({ readers: ['reader'], repos: [{ name: 'org/one', files: CONTENTS }, { name: 'org/two', files: twin }, { name: 'org/gated', gated: true, files: CONTENTS }, { name: 'org/data', kind: 'dataset', files: data }] })
})
afterAll(async () => {
  await hub.close()
  rmSync(root, { recursive: true, force: true })
})

let home = ''
let cache = ''
const opened: Downloads[] = []
beforeEach(() => {
  home = join(root, randomUUID())
  cache = join(home, 'cache')
  mkdirSync(home)
})
afterEach(async () => {
  hub.fault = () => null
  for (const one of opened.splice(0)) await one.close()
  hub.requests.length = 0
})

function engine(options: Partial<Parameters<typeof createDownloads>[0]> = {}, place: Partial<HubPlace> = {}): Downloads {
  const downloads = createDownloads({ home, place: async () => ({ ...placeOf(hub.endpoint, cache), ...place }), limits: SMALL, ...options })
  opened.push(downloads)
  return downloads
}

/** The first list that is as wished. */
async function until(downloads: Downloads, wished: (list: Download[]) => boolean): Promise<Download[]> {
  for await (const list of downloads.watch(AbortSignal.timeout(60_000))) if (wished(list)) return list
  throw new Error('it never came to that')
}
const now = (downloads: Downloads): Promise<Download[]> => until(downloads, () => true)
const ended = (list: Download[]): boolean => list.every(({ status }) => status === 'done' || status === 'failed')
const received = (list: Download[]): boolean => list.some(({ files }) => files.some(({ path, done, bytes }) => path === GRAPH && done > 0 && done < bytes))
const graphOf = (repo: string): string => blobPath(cache, 'model', repo, hub.file(repo, GRAPH).sha256 ?? '')
const filesIn = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true }).filter((entry) => !entry.isDirectory()).map(({ name }) => name)

describe('a download', () => {
  it('ends with every file in its place, and what a spec can name', async () => {
    const downloads = engine()
    const { id } = await downloads.start(wish(), signal)
    const [done] = await until(downloads, ended)
    expect(done).toMatchObject({ id, kind: 'model', repo: 'org/one', label: 'org/one q4', status: 'done', error: null, note: null, rate: null })
    expect(done?.done).toBe(done?.bytes)
    expect(done?.files.map(({ path, status }) => [path, status])).toEqual(Object.keys(CONTENTS).sort().map((path) => [path, 'done']))
    expect(Buffer.compare(readFileSync(done?.path ?? ''), CONTENTS[GRAPH])).toBe(0)
    // Asked for again it is there; another engine knows of it too.
    hub.requests.length = 0
    expect(await downloads.start(wish(), signal)).toEqual({ id })
    expect(hub.requests.filter(({ file }) => file !== null)).toEqual([])
    expect(await now(engine())).toEqual([done])
  })

  it('of a data set goes to its own folder', async () => {
    const downloads = engine()
    await downloads.start(wish('org/data', { kind: 'dataset', choice: 'data/train' }), signal)
    const [done] = await until(downloads, ended)
    expect(done?.error).toBe(null)
    expect(done?.path).toContain('datasets--org--data')
    expect(Buffer.compare(readFileSync(done?.path ?? ''), noise(3_000, 4))).toBe(0)
  })

  it('asked for twice is one, and goes on where it was paused', async () => {
    hub.fault = slowGraphs
    const downloads = engine()
    const [one, two] = await Promise.all([downloads.start(wish(), signal), downloads.start(wish(), signal)])
    expect(two).toEqual(one)
    await until(downloads, received)
    await downloads.pause(one.id)
    expect(await now(downloads)).toMatchObject([{ id: one.id, status: 'paused', error: null, rate: null }])
    hub.fault = () => null
    expect(await downloads.start(wish(), signal)).toEqual(one)
    expect(await until(downloads, ended)).toMatchObject([{ id: one.id, status: 'done' }])
  })

  it('outlives its engine as paused, with what came, and fetches only the rest', async () => {
    hub.fault = slowGraphs
    const first = engine()
    const { id } = await first.start(wish(), signal)
    await until(first, received)
    await first.close()
    const recorded = recordedWithin(graphOf('org/one'), 0, 200_000)
    expect(recorded).toBeGreaterThan(0)
    hub.requests.length = 0
    hub.fault = () => null
    const second = engine()
    const [paused] = await now(second)
    expect(paused).toMatchObject({ id, status: 'paused' })
    expect(paused?.files.find(({ path }) => path === GRAPH)?.done).toBe(recorded)
    await second.continue(id)
    expect(await until(second, ended)).toMatchObject([{ status: 'done' }])
    expect(hub.requests.filter(({ file, body }) => file === GRAPH && body).reduce((sum, { sentBytes }) => sum + sentBytes, 0)).toBe(200_000 - recorded)
  })

  it('that fails says why, and can be tried again', async () => {
    let token: string | null = null
    const downloads = engine({ place: async () => ({ ...placeOf(hub.endpoint, cache), token }) })
    const { id } = await downloads.start(wish('org/gated'), signal)
    const [failed] = await until(downloads, ended)
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'ACCESS_DENIED' } })
    expect(failed?.error?.message).toMatch(/gated|accept/)
    expect(await now(engine())).toMatchObject([{ id, status: 'failed', error: { code: 'ACCESS_DENIED' } }])
    token = 'reader'
    await downloads.continue(id)
    expect(await until(downloads, ([one]) => one?.status === 'done')).toMatchObject([{ id, error: null }])
  })

  it('tells what it waits for', async () => {
    hub.fault = ({ file }) => (file === 'config.json' ? { kind: 'status', status: 503, retryAfter: '1' } : null)
    const downloads = engine({ limits: { ...SMALL, longestRetryAfterMs: 600_000 } })
    await downloads.start(wish(), signal)
    const [waiting] = await until(downloads, ([one]) => one?.note !== null)
    expect(waiting?.note).toMatch(/config\.json.* 503.*; trying again in 1 s$/)
    hub.fault = () => null
    expect(await until(downloads, ended)).toMatchObject([{ status: 'done', note: null }])
  })

  it('needs room on the disk before anything is fetched', async () => {
    const downloads = engine({ limits: { ...SMALL, spareBytes: 1e18 } })
    await downloads.start(wish(), signal)
    const [failed] = await until(downloads, ended)
    expect(failed?.error).toMatchObject({ code: 'DISK_FULL' })
    expect(failed?.error?.message).toMatch(/has room for \d+ MB, and \d+ MB are needed/)
    expect(hub.requests.filter(({ file }) => file !== null)).toEqual([])
    expect(existsSync(cache)).toBe(false)
  })

  it('is copied to where links are refused', async () => {
    const no = async (): Promise<void> => {
      throw Object.assign(new Error('no'), { code: 'EPERM' })
    }
    const downloads = engine({ links: { symbolic: no, hard: no } })
    await downloads.start(wish(), signal)
    const [done] = await until(downloads, ended)
    expect(lstatSync(done?.path ?? '').isFile()).toBe(true)
    expect(Buffer.compare(readFileSync(done?.path ?? ''), CONTENTS[GRAPH])).toBe(0)
  })
})

describe('the queue', () => {
  it('works one at a time, in order; what waits can be paused, and what is here already does not wait', async () => {
    const downloads = engine()
    const { id: known } = await downloads.start(wish('org/data', { kind: 'dataset', choice: 'data/train' }), signal)
    await until(downloads, ended)
    await downloads.cancel(known)
    hub.fault = slowGraphs
    const { id: first } = await downloads.start(wish('org/one'), signal)
    const { id: second } = await downloads.start(wish('org/two'), signal)
    const { id: third } = await downloads.start(wish('org/data', { kind: 'dataset', choice: 'data/train' }), signal)
    expect((await until(downloads, received)).map(({ id, status }) => [id, status])).toEqual([[first, 'running'], [second, 'queued'], [third, 'done']])
    await downloads.pause(second)
    await downloads.pause(first)
    expect((await now(downloads)).map(({ status }) => status)).toEqual(['paused', 'paused', 'done'])
    hub.fault = () => null
    await downloads.continue(second)
    await until(downloads, (list) => list[1]?.status === 'done')
    expect((await now(downloads)).map(({ status }) => status)).toEqual(['paused', 'done', 'done'])
  })

  it('forgets what is cancelled, with its parts; whole files, and parts that others need, stay', async () => {
    hub.fault = slowGraphs
    const downloads = engine()
    const { id } = await downloads.start(wish('org/one'), signal)
    await until(downloads, (list) => received(list) && (list[0]?.files.filter(({ status }) => status === 'done').length ?? 0) === 2)
    await downloads.cancel(id)
    expect(await now(downloads)).toEqual([])
    expect(readdirSync(join(home, 'downloads'))).toEqual([])
    expect(readdirSync(dirname(graphOf('org/one'))).sort()).toEqual([hub.file('org/one', 'config.json').oid, hub.file('org/one', 'tokenizer.json').oid].sort())
    await expect(downloads.continue(id)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    // Another choice, or commit, that has the same file.
    const { id: again } = await downloads.start(wish('org/one'), signal)
    await until(downloads, received)
    await downloads.pause(again)
    const path = join(home, 'downloads', `${again}.json`)
    writeFileSync(join(home, 'downloads', 'other.json'), readFileSync(path, 'utf8').replaceAll(again, 'other').replace('"choice":"q4"', '"choice":"also q4"'))
    await downloads.close()
    const next = engine()
    expect(await now(next)).toHaveLength(2)
    await next.cancel(again)
    expect(recordedWithin(graphOf('org/one'), 0, 200_000)).toBeGreaterThan(0)
    await next.cancel('other')
    expect(existsSync(`${graphOf('org/one')}.kvlab-part`)).toBe(false)
  })

  it('cancelled before anything came leaves no folder behind', async () => {
    hub.fault = ({ file }) => (file === null ? null : { kind: 'stall', afterBytes: 0 })
    const downloads = engine({ limits: { ...SMALL, stallMs: 60_000 } })
    const { id } = await downloads.start(wish(), signal)
    await until(downloads, () => hub.requests.some(({ file }) => file !== null))
    await downloads.cancel(id)
    expect(filesIn(home)).toEqual([])
    expect(existsSync(cache) ? readdirSync(cache) : []).toEqual([])
  })

  it('leaves out records that are damaged or lead elsewhere', async () => {
    const downloads = engine()
    const { id } = await downloads.start(wish(), signal)
    await until(downloads, ended)
    const folder = join(home, 'downloads')
    const text = readFileSync(join(folder, `${id}.json`), 'utf8')
    const damaged = ['', '{', 'null', '[]', text.slice(0, -20), text.replace('org/one', '../one'), text.replaceAll(GRAPH, '../../../../etc/passwd'), text.replace(/"bytes":\d+/, '"bytes":-1'), text.replace('"status":"done"', '"status":"odd"'), text.replace('kvlab.download/1', 'kvlab.download/9')]
    for (const [i, bad] of damaged.entries()) writeFileSync(join(folder, `bad-${i}.json`), bad.replaceAll(id, `bad-${i}`))
    writeFileSync(join(folder, 'renamed.json'), text)
    expect((await now(engine())).map((one) => one.id)).toEqual([id])
  })

  it('keeps the twenty newest of those that ended', async () => {
    const downloads = engine()
    const { id } = await downloads.start(wish(), signal)
    await until(downloads, ended)
    const text = readFileSync(join(home, 'downloads', `${id}.json`), 'utf8')
    for (let i = 0; i < 30; i++) writeFileSync(join(home, 'downloads', `old-${i}.json`), text.replaceAll(id, `old-${i}`).replace(/"createdAt":"[^"]+"/, `"createdAt":"2026-01-${10 + i}T00:00:00.000Z"`).replace('"choice":"q4"', `"choice":"old ${i}"`))
    const next = engine()
    await next.start(wish('org/two'), signal)
    const list = await until(next, ended)
    expect(list).toHaveLength(20)
    expect(list.at(-1)?.repo).toBe('org/two')
    expect(readdirSync(join(home, 'downloads'))).toHaveLength(20)
  })

  it('asks nothing of the network in offline mode, and knows what is here', async () => {
    const offline = engine({}, { offline: true })
    await expect(offline.start(wish(), signal)).rejects.toMatchObject({ code: 'OFFLINE' })
    expect(hub.requests).toEqual([])
    const online = engine()
    const { id } = await online.start(wish(), signal)
    await until(online, ended)
    hub.requests.length = 0
    expect(await engine({}, { offline: true }).start(wish(), signal)).toEqual({ id })
    expect(hub.requests).toEqual([])
  })

  it('refuses what is not there', async () => {
    const downloads = engine()
    await expect(downloads.start(wish('org/one', { choice: 'q99' }), signal)).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('q4') as string })
    await expect(downloads.start(wish('org/nowhere'), signal)).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
    for (const act of ['pause', 'continue', 'cancel'] as const) await expect(downloads[act]('x')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    expect(await now(downloads)).toEqual([])
  })
})
