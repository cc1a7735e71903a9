import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cachedHash, cachedRevisions, cachedSource } from '#core/hub/cache.ts'
import { filesOnDisk, receiveFiles } from '#core/hub/download-files.ts'
import { snapshotPath } from '#core/hub/layout.ts'
import { createSlots } from '#core/hub/slots.ts'
import { noise, recordOf } from './download-fixture.ts'
import { placeOf, SMALL } from './download-small.ts'
import { commitOf } from './hub-files.ts'
import { startHub, type TestHub } from './hub-server.ts'

/** A Python that has huggingface_hub: `python3`, or the one that KVLAB_PYTHON names. */
const PYTHON = process.env['KVLAB_PYTHON'] ?? 'python3'
const installed = spawnSync(PYTHON, ['-c', 'import huggingface_hub']).status === 0
const script = fileURLToPath(new URL('./hub-cache.py', import.meta.url))

const REPO = 'org/model'
const CONTENTS = { 'config.json': noise(300, 1), 'onnx/model.onnx': noise(150_000, 2), 'onnx/model twin é.onnx': noise(150_000, 2), 'empty.txt': new Uint8Array() }
const PATHS = Object.keys(CONTENTS)
const BYTES = 300 + 150_000

type Seen = { folder: string; files: (string | null)[]; warnings: string[]; repos: { repo: string; kind: string; bytes: number; revisions: { commit: string; refs: string[]; files: string[] }[] }[] }

let home = ''
let hub: TestHub
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-python-'))
  hub = await startHub({ repos: [{ name: REPO, files: CONTENTS }] })
})
afterAll(async () => {
  await hub.close()
  rmSync(home, { recursive: true, force: true })
})

async function python(command: 'see' | 'fetch', cache: string): Promise<Seen> {
  const env = { ...process.env, HF_ENDPOINT: hub.endpoint.href.replace(/\/$/, ''), HF_HUB_OFFLINE: command === 'see' ? '1' : '0', HF_HOME: home, HF_HUB_DISABLE_XET: '1', HF_HUB_DISABLE_PROGRESS_BARS: '1', NO_PROXY: '127.0.0.1,localhost' }
  // Not waited for in place: the hub that it asks is in this process.
  const { stdout } = await promisify(execFile)(PYTHON, [script, command, cache, REPO, ...PATHS], { env })
  return JSON.parse(stdout) as Seen
}

async function fetchOurs(cache: string): Promise<void> {
  const { signal } = new AbortController()
  await receiveFiles(recordOf(hub, REPO, PATHS, cache), { place: placeOf(hub.endpoint, cache), limits: SMALL, connections: createSlots(6), signal, file: () => {}, note: () => {} })
}

function expectSeen(seen: Seen, cache: string): void {
  const snapshot = join(cache, 'models--org--model', 'snapshots', commitOf(REPO))
  const paths = PATHS.map((path) => snapshotPath(snapshot, path))
  expect(seen).toEqual({
    folder: snapshot,
    files: paths,
    warnings: [],
    repos: [{ repo: REPO, kind: 'model', bytes: BYTES, revisions: [{ commit: commitOf(REPO), refs: ['main'], files: [...paths].sort() }] }],
  })
}

describe.skipIf(!installed)(installed ? "Python's huggingface_hub" : `Python's huggingface_hub (left out: ${PYTHON} does not have it; KVLAB_PYTHON may name one that does)`, () => {
  it('finds in the cache what we fetched, whole and without a warning', async () => {
    const cache = join(home, 'ours')
    await fetchOurs(cache)
    expectSeen(await python('see', cache), cache)
  })

  it('fetches what we find, at its commit, with its hashes, and we fetch nothing of it again', async () => {
    const cache = join(home, 'python')
    expectSeen(await python('fetch', cache), cache)
    const folder = join(cache, 'models--org--model', 'snapshots', commitOf(REPO))
    expect(await cachedRevisions(cache)).toEqual([{ kind: 'model', repo: REPO, commit: commitOf(REPO), refs: ['main'], folder }])
    expect(cachedSource(cache, join(folder, 'onnx', 'model.onnx'))).toEqual({ kind: 'model', repo: REPO, commit: commitOf(REPO), folder })
    const { sha256 } = hub.file(REPO, 'onnx/model.onnx')
    expect(await cachedHash(join(folder, 'onnx', 'model.onnx'))).toEqual({ algorithm: 'sha256', hex: sha256 })
    expect(await cachedHash(join(folder, 'config.json'))).toEqual({ algorithm: 'git-sha1', hex: hub.file(REPO, 'config.json').oid })
    expect((await filesOnDisk(recordOf(hub, REPO, PATHS, cache), SMALL)).map(({ status }) => status)).toEqual(PATHS.map(() => 'done'))
    hub.requests.length = 0
    await fetchOurs(cache)
    expect(hub.requests).toEqual([])
    expectSeen(await python('see', cache), cache)
  })

  it('and we add to one cache in turn', async () => {
    const cache = join(home, 'both')
    const { signal } = new AbortController()
    const half = recordOf(hub, REPO, ['config.json', 'onnx/model.onnx'], cache)
    await receiveFiles(half, { place: placeOf(hub.endpoint, cache), limits: SMALL, connections: createSlots(6), signal, file: () => {}, note: () => {} })
    hub.requests.length = 0
    expectSeen(await python('fetch', cache), cache)
    // The twin has the content that is here already, and the other new file none.
    expect(hub.requests.filter(({ body }) => body).reduce((sum, { sentBytes }) => sum + sentBytes, 0)).toBe(0)
  })
})
