import { execFileSync, fork, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resolveUrl, type Wanted } from '#core/hub/attempt.ts'
import { LIMITS } from '#core/hub/limits.ts'
import type { HubPlace } from '#core/hub/place.ts'
import { createSlots } from '#core/hub/slots.ts'
import { fetchBlob } from '#core/hub/transfer.ts'
import { commitOf } from '../test/hub-files.ts'
import { startHub } from '../test/hub-server.ts'
import { median, printTable } from './measure.ts'

const BYTES = 2 * 2 ** 30
const ROUNDS = 5
const REPO = 'bench/large'
const FILE = 'model.onnx'

/** Processes of this benchmark beside the one that prints: the hub, and the one that downloads, so that its memory is its own. */
const ROLES = new Map([['download-hub', serveHub], ['download-ours', fetchOurs]])

/** Does what this process was started for by the benchmark, if it was. */
export function playDownloadRole(name: string | undefined): void {
  ROLES.get(name ?? '')?.()
}

type Task = { endpoint: string; cache: string; sha256: string }
type Measured = { seconds: number; cpuSeconds: number; grewBytes: number }

/**
 * A file of 2 GiB from a hub in another process on loopback, by `curl` and by ours in turn, each written to the same disk. Ours is hashed and on the disk when it ends, so curl's is
 * also timed with both done after it. No time of one round means anything: their ratio does.
 */
export async function benchDownload(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kvlab-bench-'))
  const hub = role('download-hub')
  try {
    const source = join(folder, 'source')
    const sha256 = await writeRandom(source)
    const task: Task = { endpoint: await ask<string>(hub, { path: source, sha256 }), cache: join(folder, 'cache'), sha256 }
    const rows = [['round', 'curl', 'curl, hash, sync', 'ours', 'ours / curl', 'ours / all of it', 'processor time of ours', 'memory grew by']]
    const ratios: { plain: number; whole: number }[] = []
    for (let round = 1; round <= ROUNDS; round++) {
      const began = performance.now()
      execFileSync('curl', ['--silent', '--location', '--fail', '--output', join(folder, 'curl'), resolveUrl(placeOf(task), wantedOf(task)).href])
      const plain = (performance.now() - began) / 1000
      await hashAndSync(join(folder, 'curl'))
      const whole = (performance.now() - began) / 1000
      await rm(join(folder, 'curl'))
      const downloading = role('download-ours')
      const { seconds, cpuSeconds, grewBytes } = await ask<Measured>(downloading, task)
      downloading.kill()
      await rm(task.cache, { recursive: true })
      const speed = (taken: number): string => `${(BYTES / 1e6 / taken).toFixed(0)} MB/s`
      const ratio = { plain: plain / seconds, whole: whole / seconds }
      ratios.push(ratio)
      rows.push([`${round}`, speed(plain), speed(whole), speed(seconds), ratio.plain.toFixed(2), ratio.whole.toFixed(2), `${cpuSeconds.toFixed(1)} s`, `${(grewBytes / 1e6).toFixed(0)} MB`])
    }
    const middle = (kind: 'plain' | 'whole'): string => median(ratios.map((ratio) => ratio[kind])).toFixed(2)
    printTable(`download of 2 GiB on loopback: ${middle('plain')} of curl's speed, ${middle('whole')} of curl's with hash and sync, in the middle of ${ROUNDS} rounds`, rows)
  } finally {
    hub.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

/** The hub: its file comes as the first message, its address goes back. */
function serveHub(): void {
  process.once('message', (file: { path: string; sha256: string }) => {
    void startHub({ repos: [{ name: REPO, files: { [FILE]: file } }] }).then(({ endpoint }) => process.send?.(endpoint.href))
  })
  process.once('disconnect', () => process.exit())
}

function fetchOurs(): void {
  process.once('message', (task: Task) => {
    void download(task).then((measured) => process.send?.(measured))
  })
  process.once('disconnect', () => process.exit())
}

async function download(task: Task): Promise<Measured> {
  const before = process.memoryUsage.rss()
  let peak = before
  const sampler = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 50)
  const cpu = process.cpuUsage()
  const began = performance.now()
  const { signal } = new AbortController()
  await fetchBlob(wantedOf(task), { place: placeOf(task), limits: LIMITS, connections: createSlots(LIMITS.connections), signal, progress: () => {}, note: (text) => console.error(text) })
  clearInterval(sampler)
  const { user, system } = process.cpuUsage(cpu)
  return { seconds: (performance.now() - began) / 1000, cpuSeconds: (user + system) / 1e6, grewBytes: peak - before }
}

function placeOf({ endpoint, cache }: Task): HubPlace {
  return { endpoint: new URL(endpoint), token: null, offline: false, proxy: null, noProxy: null, cache }
}

function wantedOf({ sha256 }: Task): Wanted {
  return { kind: 'model', repo: REPO, commit: commitOf(REPO), path: FILE, bytes: BYTES, sha256, gitSha1: '0'.repeat(40) }
}

function role(name: 'download-hub' | 'download-ours'): ChildProcess {
  return fork(process.argv[1] ?? '', [name])
}

async function ask<T>(child: ChildProcess, message: object): Promise<T> {
  child.send(message)
  return new Promise((resolve, reject) => {
    child.once('message', (answer) => resolve(answer as T))
    child.once('exit', (code) => reject(new Error(`the process of the download ended with ${code}`)))
  })
}

async function hashAndSync(path: string): Promise<void> {
  const file = await open(path)
  const hash = createHash('sha256')
  for await (const chunk of file.createReadStream({ autoClose: false, highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer)
  hash.digest()
  await file.sync()
  await file.close()
}

async function writeRandom(path: string): Promise<string> {
  const file = await open(path, 'wx')
  const hash = createHash('sha256')
  for (let done = 0; done < BYTES; done += 2 ** 24) {
    const chunk = randomBytes(2 ** 24)
    hash.update(chunk)
    await file.write(chunk)
  }
  await file.close()
  return hash.digest('hex')
}
