import { fork, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecords } from '#core/hub/download-record.ts'
import { blobPath, etagOf } from '#core/hub/layout.ts'
import type { ChildWish } from './download-child.ts'
import { countersOf, expectNoBadBlob, expectWhole, noise, recordedWithin } from './download-fixture.ts'
import { startHub, type TestHub } from './hub-server.ts'

const GRAPH = 'onnx/model_q4.onnx'
const MIB = 2 ** 20

let folder = ''
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kvlab-download-kill-'))
  await build({
    configFile: false,
    logLevel: 'error',
    // In a temporary folder nothing is installed.
    ssr: { noExternal: true },
    build: { ssr: true, target: 'node20', outDir: folder, emptyOutDir: false, rollupOptions: { input: fileURLToPath(new URL('./download-child.ts', import.meta.url)), output: { format: 'es', entryFileNames: 'child.mjs' } } },
  })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Ended = { status: string; error: unknown; path: string }
/** A process that downloads; `ended` is null where it was killed. */
type Downloading = { child: ChildProcess; started: Promise<void>; ended: Promise<Ended | null> }

function download(wish: ChildWish): Downloading {
  const child = fork(join(folder, 'child.mjs'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  let started = (): void => {}
  const begun = new Promise<void>((resolve) => (started = resolve))
  const ended = new Promise<Ended | null>((resolve) => {
    let last: Ended | null = null
    child.on('message', (message: { started: true } | Ended) => ('started' in message ? started() : (last = message)))
    child.on('exit', () => {
      started()
      resolve(last)
    })
  })
  child.send(wish)
  return { child, started: begun, ended }
}

/** The record of a blob that is not whole. */
function recorded(blob: string): number {
  return countersOf(blob)?.done.reduce((sum, done) => sum + done, 0) ?? 0
}

/** What is recorded of a blob is there. */
function expectRecorded(blob: string, content: Uint8Array): void {
  const counters = countersOf(blob)
  if (!counters || !existsSync(`${blob}.kvlab-part`)) return
  const part = readFileSync(`${blob}.kvlab-part`)
  for (const [i, done] of counters.done.entries()) {
    const [begin, end] = [i * counters.step, i * counters.step + done]
    expect(Buffer.compare(part.subarray(begin, end), content.subarray(begin, end)), `piece ${i}`).toBe(0)
  }
}

function contentsOf(seed: number, bytes: number): Record<string, Uint8Array> {
  return { [GRAPH]: noise(bytes, seed), 'config.json': noise(300, seed + 1_000), 'tokenizer.json': noise(40_000, seed + 2_000) }
}

async function hubOf(repos: Record<string, Record<string, Uint8Array>>): Promise<TestHub> {
  return startHub({ repos: Object.entries(repos).map(([name, files]) => ({ name, files })) })
}

describe('kill -9', () => {
  it('costs 50 downloads nothing that was recorded: each, killed once or more at random moments, is completed by the next processes with the right hash', async () => {
    const names = Array.from({ length: 50 }, (_, i) => `org/model-${i}`)
    const contents = Object.fromEntries(names.map((name, i) => [name, contentsOf(i, 3 * MIB + 17 * i)]))
    const hub = await hubOf(contents)
    const [home, cache] = [join(folder, 'home'), join(folder, 'cache')]
    const blobs = new Map(names.map((name) => [name, blobPath(cache, 'model', name, etagOf({ sha256: hub.file(name, GRAPH).sha256, gitSha1: hub.file(name, GRAPH).oid }))]))
    const again: string[] = []
    hub.fault = ({ server, file, repo, range }) => {
      if (file !== GRAPH || repo === null) return null
      const [from = 0, to = Infinity] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '')?.slice(1).map(Number) ?? []
      const here = recordedWithin(blobs.get(repo) ?? '', from, to + 1)
      if (here > 0) again.push(`${repo} ${range}: ${here} bytes are here`)
      // Some 4 MB a second and connection: a download takes long enough to be killed in.
      return server === 'cdn' ? { kind: 'trickle', bytesPerChunk: 16_384, msBetween: 4 } : null
    }
    let kills = 0
    let amid = 0
    try {
      for (const name of names) {
        const wish = { home, cache, endpoint: hub.endpoint.href, repo: name, choice: 'q4' }
        for (let lives = Math.random() < 0.3 ? 2 : 1; ; lives--) {
          const { child, started, ended } = download(wish)
          await started
          if (lives > 0) {
            await new Promise((resolve) => setTimeout(resolve, 400 * Math.random()))
            if (child.exitCode === null && child.kill('SIGKILL')) kills++
          }
          const end = await ended
          expectNoBadBlob(cache, name)
          if (end === null) {
            expect(child.signalCode).toBe('SIGKILL')
            expectRecorded(blobs.get(name) ?? '', contents[name]?.[GRAPH] ?? new Uint8Array())
            const done = recorded(blobs.get(name) ?? '')
            if (done > 0 && done < (contents[name]?.[GRAPH]?.length ?? 0)) amid++
            continue
          }
          expect(end).toMatchObject({ status: 'done', error: null })
          break
        }
      }
      expect(again).toEqual([])
      const records = await readRecords(join(home, 'downloads'))
      for (const name of names) {
        const record = records.find(({ repo }) => repo === name)
        // Of those that are done the oldest leave the list.
        if (record) expectWhole(record, contents[name] ?? {})
        expect(Buffer.compare(readFileSync(blobs.get(name) ?? ''), contents[name]?.[GRAPH] ?? new Uint8Array())).toBe(0)
      }
      expect(records).toHaveLength(20)
      // Otherwise nothing was tried.
      expect(kills).toBeGreaterThanOrEqual(50)
      expect(amid).toBeGreaterThan(10)
    } finally {
      await hub.close()
    }
  }, 900_000)
})

describe('two processes', () => {
  it('that fetch the same at once fetch it once, and both end well', async () => {
    const contents = contentsOf(77, 6 * MIB)
    const hub = await hubOf({ 'org/shared': contents })
    hub.fault = ({ server, file }) => (server === 'cdn' && file === GRAPH ? { kind: 'trickle', bytesPerChunk: 65_536, msBetween: 4 } : null)
    const cache = join(folder, 'shared-cache')
    try {
      const wishes = ['one', 'two', 'three'].map((home) => ({ home: join(folder, home), cache, endpoint: hub.endpoint.href, repo: 'org/shared', choice: 'q4' }))
      const ends = await Promise.all(wishes.map((wish) => download(wish).ended))
      expect(ends.map((end) => end?.status)).toEqual(['done', 'done', 'done'])
      const [record] = await readRecords(join(folder, 'one', 'downloads'))
      if (!record) throw new Error('no record')
      expectWhole(record, contents)
      const sent = hub.requests.filter(({ file, body }) => file === GRAPH && body).reduce((sum, { sentBytes }) => sum + sentBytes, 0)
      expect(sent).toBe(contents[GRAPH]?.length)
    } finally {
      await hub.close()
    }
  })

  it('of which one is killed leave its part to the other', async () => {
    const contents = contentsOf(78, 6 * MIB)
    const hub = await hubOf({ 'org/left': contents })
    hub.fault = ({ server, file }) => (server === 'cdn' && file === GRAPH ? { kind: 'trickle', bytesPerChunk: 16_384, msBetween: 20 } : null)
    const cache = join(folder, 'left-cache')
    const { sha256, oid } = hub.file('org/left', GRAPH)
    const blob = blobPath(cache, 'model', 'org/left', etagOf({ sha256, gitSha1: oid }))
    try {
      const wish = { cache, endpoint: hub.endpoint.href, repo: 'org/left', choice: 'q4' }
      const first = download({ ...wish, home: join(folder, 'first') })
      while (recorded(blob) < MIB) await new Promise((resolve) => setTimeout(resolve, 3))
      const second = download({ ...wish, home: join(folder, 'second') })
      await second.started
      first.child.kill('SIGKILL')
      expect(await first.ended).toBe(null)
      expect(await second.ended).toMatchObject({ status: 'done' })
      const [record] = await readRecords(join(folder, 'second', 'downloads'))
      if (!record) throw new Error('no record')
      expectWhole(record, contents)
    } finally {
      await hub.close()
    }
  })
})
