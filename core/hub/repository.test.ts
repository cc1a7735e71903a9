import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { commitOf } from '../../test/hub-files.ts'
import { startHub, type TestHub } from '../../test/hub-server.ts'
import { blobPath, etagOf, snapshotFolder } from './layout.ts'
import type { HubPlace } from './place.ts'
import { inspectRepo, searchHub } from './repository.ts'

const { signal } = new AbortController()
const GRAPH = Buffer.alloc(5_000, 3)
const SMALL = { 'config.json': '{}', 'tokenizer.json': '{"t":1}', 'tokenizer_config.json': '{"c":1}' }
const COMMIT = commitOf('org/model')

let hub: TestHub
let cache = ''
beforeAll(async () => {
  cache = mkdtempSync(join(tmpdir(), 'kvlab-repository-'))
  hub = await startHub({
    pageSize: 3,
    readers: ['hf_reader'],
    repos: [
      { name: 'org/model', was: ['model'], licence: 'apache-2.0', files: { ...SMALL, 'onnx/model.onnx': GRAPH, 'onnx/model_q4.onnx': GRAPH.subarray(0, 2_000), 'README.md': '# x' }, revisions: { main: COMMIT, 'refs/pr/1': COMMIT } },
      { name: 'org/text', kind: 'dataset', files: { 'raw/test-00000-of-00001.parquet': GRAPH, 'raw/train-00000-of-00001.parquet': GRAPH } },
      { name: 'org/gated', gated: true, licence: 'llama3.2', files: { ...SMALL, 'model.onnx': GRAPH } },
      { name: 'org/plain', files: { 'model.safetensors': GRAPH } },
      { name: 'org/many', files: Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`${i}.txt`, `${i}`])) },
    ],
  })
  return () => hub.close()
})
afterAll(() => rmSync(cache, { recursive: true, force: true }))
afterEach(() => {
  hub.requests.length = 0
  hub.fault = () => null
})

const placeOf = (changes: Partial<HubPlace> = {}): HubPlace => ({ endpoint: hub.endpoint, token: 'hf_secret', offline: false, proxy: null, noProxy: null, cache, ...changes })
const failureOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'no failure', (error: unknown) => error)

/** A hub that answers with these documents, by the last of their path; `link`: its header. */
async function foreignHub(answers: { revision?: unknown; tree?: unknown; models?: unknown; link?: (path: string) => string | null }): Promise<{ place: HubPlace; seen: string[]; close(): void }> {
  const seen: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    seen.push(path)
    const link = path.includes('/tree/') ? answers.link?.(path) : null
    const answer = path.includes('/tree/') ? answers.tree : path.includes('/revision/') ? answers.revision : answers.models
    response.writeHead(200, link ? { link } : {}).end(JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { place: placeOf({ endpoint: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mirror`) }), seen, close: () => (server.close(), server.closeAllConnections()) }
}

describe('inspectRepo', () => {
  it('reads a model with licence, commit, files of all pages and choices', async () => {
    const repo = await inspectRepo(placeOf(), 'model', 'org/model', 'main', signal)
    expect(repo).toMatchObject({ kind: 'model', repo: 'org/model', revision: 'main', commit: COMMIT, licence: 'apache-2.0', gated: false })
    expect('partial' in repo).toBe(false)
    expect(repo.files.map(({ path }) => path)).toEqual(['README.md', 'config.json', 'onnx/model.onnx', 'onnx/model_q4.onnx', 'tokenizer.json', 'tokenizer_config.json'])
    const { sha256, oid } = hub.file('org/model', 'onnx/model.onnx')
    expect(repo.files[2]).toEqual({ path: 'onnx/model.onnx', bytes: 5_000, sha256, gitSha1: oid, present: false })
    expect(repo.choices.map(({ name, main, unusable }) => [name, main, unusable])).toEqual([['q4', 'onnx/model_q4.onnx', null], ['fp32', 'onnx/model.onnx', null]])
    // One folder and six files, three a page; always with the token, at the commit.
    expect(hub.requests.filter(({ path }) => path.includes(`/tree/${COMMIT}?`))).toHaveLength(3)
    expect(hub.requests.every(({ server, headers }) => server === 'hub' && headers.authorization === 'Bearer hf_secret')).toBe(true)
  })

  it('reads a data set, a renamed repository, a revision with slashes and a commit', async () => {
    const data = await inspectRepo(placeOf(), 'dataset', 'org/text', 'main', signal)
    expect(data).toMatchObject({ licence: null, commit: commitOf('org/text') })
    expect(data.choices.map(({ name }) => name)).toEqual(['raw/test', 'raw/train'])
    for (const [repo, revision] of [['model', 'main'], ['org/model', 'refs/pr/1'], ['org/model', COMMIT]] as const) {
      expect(await inspectRepo(placeOf(), 'model', repo, revision, signal)).toMatchObject({ repo, revision, commit: COMMIT })
    }
    expect(hub.requests.some(({ path }) => path.includes('/revision/refs%2Fpr%2F1'))).toBe(true)
  })

  it('shows what is gated without a token', async () => {
    expect(await inspectRepo(placeOf({ token: null }), 'model', 'org/gated', 'main', signal)).toMatchObject({ gated: true, licence: 'llama3.2' })
  })

  it('knows what is in the cache already: blobs of the right size, and files of the snapshot', async () => {
    const listed = (await inspectRepo(placeOf(), 'model', 'org/model', 'main', signal)).files
    const put = (path: string, bytes: number): void => {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, Buffer.alloc(bytes))
    }
    for (const file of listed) {
      const blob = blobPath(cache, 'model', 'org/model', etagOf(file))
      if (file.path === 'onnx/model.onnx') put(blob, file.bytes)
      if (file.path === 'onnx/model_q4.onnx') put(blob, file.bytes - 1)
      if (file.path === 'config.json') put(join(snapshotFolder(cache, 'model', 'org/model', COMMIT), file.path), file.bytes)
    }
    const { files, choices } = await inspectRepo(placeOf(), 'model', 'org/model', 'main', signal)
    expect(files.filter(({ present }) => present).map(({ path }) => path)).toEqual(['config.json', 'onnx/model.onnx'])
    const [q4, fp32] = choices
    expect((q4?.bytes ?? 0) - (q4?.missing ?? 0)).toBe(2)
    expect((fp32?.bytes ?? 0) - (fp32?.missing ?? 0)).toBe(5_002)
  })

  it.each<[string, string, string, string]>([
    ['no such repository', 'org/none', 'main', 'FILE_NOT_FOUND'],
    ['no such revision', 'org/model', 'v9', 'FILE_NOT_FOUND'],
  ])('says that there is %s', async (_, repo, revision, code) => {
    expect(await failureOf(inspectRepo(placeOf(), 'model', repo, revision, signal))).toMatchObject({ code, message: expect.stringContaining(`${repo} at ${revision}`) as string })
    // Without a token a hub does not say which of both it is.
    if (repo === 'org/none') expect(await failureOf(inspectRepo(placeOf({ token: null }), 'model', repo, revision, signal))).toMatchObject({ code: 'ACCESS_DENIED' })
  })

  it('passes on what goes wrong on the way, and asks nothing in offline mode', async () => {
    hub.fault = () => ({ kind: 'status', status: 429, retryAfter: '9' })
    expect(await failureOf(inspectRepo(placeOf(), 'model', 'org/model', 'main', signal))).toMatchObject({ code: 'NETWORK_FAILED', details: { status: 429, retryAfterSeconds: 9, retry: true } })
    hub.fault = ({ path }) => (path.includes('/tree/') ? { kind: 'drop', afterBytes: 20 } : null)
    expect(await failureOf(inspectRepo(placeOf(), 'model', 'org/model', 'main', signal))).toMatchObject({ code: 'NETWORK_FAILED', details: { status: null, retry: true } })
    hub.requests.length = 0
    expect(await failureOf(inspectRepo(placeOf({ offline: true }), 'model', 'org/model', 'main', signal))).toMatchObject({ code: 'OFFLINE' })
    expect(hub.requests).toEqual([])
  })
})

describe('a hub that cannot be trusted', () => {
  const sha = 'c'.repeat(40)
  const file = (path: string): object => ({ type: 'file', path, oid: 'a'.repeat(40), size: 3 })

  it('gets the token on its own address only: of a link to the next page the cursor is taken, not the host', async () => {
    const elsewhere = await foreignHub({ tree: [] })
    const own = await foreignHub({ revision: { sha }, tree: [file('a.txt')], link: (path) => (path.includes('cursor=') ? null : `<${elsewhere.place.endpoint.href}/api/models/org/x/tree/main?cursor=a%2Fb%3D&evil=1>; rel="next"`) })
    const repo = await inspectRepo(own.place, 'model', 'org/x', 'main', signal)
    expect(repo.files).toHaveLength(1)
    expect(elsewhere.seen).toEqual([])
    expect(own.seen.slice(1)).toEqual([`/mirror/api/models/org/x/tree/${sha}?recursive=true`, `/mirror/api/models/org/x/tree/${sha}?recursive=true&cursor=a%2Fb%3D`])
    elsewhere.close()
    own.close()
  })

  it.each<[string, Parameters<typeof foreignHub>[0]]>([
    ['a page of something else', { revision: 'hello' }],
    ['a commit that is none', { revision: { sha: '../../x' } }],
    ['no listing', { revision: { sha }, tree: { error: 'x' } }],
    ['a name that leads elsewhere', { revision: { sha }, tree: [file('a'), file('../../b')] }],
    ['pages in a circle', { revision: { sha }, tree: [], link: () => '</x?cursor=1>; rel="next"' }],
    ['pages without a cursor', { revision: { sha }, tree: [], link: () => '</x>; rel="next"' }],
    ['pages at no address', { revision: { sha }, tree: [], link: () => '<http://[?cursor=1>; rel="next"' }],
  ])('is refused with %s', async (_, answers) => {
    const foreign = await foreignHub(answers)
    const failure = await failureOf(inspectRepo(foreign.place, 'model', 'org/x', 'main', signal))
    expect(failure).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringMatching(/^127.*answers what is not/) as string, details: { retry: false } })
    expect(foreign.seen.length).toBeLessThan(5)
    foreign.close()
  })

  it('is broken off after 10,000 files, which the answer says', async () => {
    const foreign = await foreignHub({ revision: { sha }, tree: Array.from({ length: 4_000 }, (_, i) => file(`d/${i}.bin`)), link: (path) => `</x?cursor=${path.length}>; rel="next"` })
    const repo = await inspectRepo(foreign.place, 'dataset', 'org/x', 'main', signal)
    expect(repo).toMatchObject({ partial: true })
    expect(foreign.seen).toHaveLength(4)
    foreign.close()
  })

  it('makes a repository of well-formed facts or is refused in one line, whatever it says', async () => {
    const answers: Parameters<typeof foreignHub>[0] = {}
    const foreign = await foreignHub(answers)
    const licence = fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 3 }), fc.jsonValue())
    const revision = fc.oneof(fc.record({ sha: fc.constant(sha), gated: fc.oneof(fc.constantFrom(false, true, 'auto', null), fc.jsonValue()), tags: fc.oneof(fc.array(fc.string()), fc.jsonValue()), cardData: fc.oneof(fc.record({ license: licence }), fc.jsonValue()) }), fc.jsonValue())
    const tree = fc.oneof(fc.array(fc.string().map(file), { maxLength: 4 }), fc.jsonValue())
    await fc.assert(
      fc.asyncProperty(revision, tree, async (facts, listing) => {
        Object.assign(answers, { revision: facts, tree: listing })
        const result = await inspectRepo(foreign.place, 'model', 'org/x', 'main', signal).catch((error: unknown) => error)
        if (result instanceof Error) {
          expect(result).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringMatching(/^[^\n]+$/) as string })
          expect(inspect(result, { depth: 9 })).not.toMatch(/hf_secret/)
          return
        }
        expect(result).toMatchObject({ commit: sha, gated: expect.any(Boolean) as boolean })
        const { licence: said } = result as { licence: string | null }
        expect(said === null || (said.length <= 200 && !/\p{C}/u.test(said))).toBe(true)
      }),
      { numRuns: 100 },
    )
    foreign.close()
  })
})

describe('searchHub', () => {
  it('finds models with graphs, and data sets, most downloaded first as the hub gives them', async () => {
    expect(await searchHub(placeOf(), 'model', 'org', signal)).toEqual([
      { repo: 'org/model', downloads: 900, likes: 9, updatedAt: '2026-11-02T08:00:00.000Z', gated: false },
      { repo: 'org/gated', downloads: 900, likes: 9, updatedAt: '2026-11-02T08:00:00.000Z', gated: true },
    ])
    expect((await searchHub(placeOf(), 'dataset', 'TEXT', signal)).map(({ repo }) => repo)).toEqual(['org/text'])
    expect(hub.requests.map(({ path }) => new URL(path, hub.endpoint).searchParams.get('sort'))).toEqual(['downloads', 'downloads'])
    expect(await searchHub(placeOf(), 'model', 'a&b=c #ü', signal)).toEqual([])
  })

  it('leaves out what is no repository, and refuses what is no search', async () => {
    const good = { id: 'org/good', downloads: 'many', likes: -1, lastModified: 'yesterday' }
    const foreign = await foreignHub({ models: [good, { id: '../../etc' }, { id: 'a/b/c' }, { id: 'a--b/c' }, { id: 5 }, null, { id: 'gpt2', downloads: 7 }] })
    expect(await searchHub(foreign.place, 'model', '', signal)).toEqual([
      { repo: 'org/good', downloads: null, likes: -1, updatedAt: null, gated: false },
      { repo: 'gpt2', downloads: 7, likes: null, updatedAt: null, gated: false },
    ])
    foreign.close()
    const strange = await foreignHub({ models: { error: 'no' } })
    expect(await failureOf(searchHub(strange.place, 'model', '', signal))).toMatchObject({ code: 'NETWORK_FAILED' })
    strange.close()
  })
})
