import { execFileSync, fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LIMITS } from '#core/hub/limits.ts'
import type { HubPlace } from '#core/hub/place.ts'
import { resolveUrl, type Wanted } from '#core/hub/attempt.ts'
import { createSlots } from '#core/hub/slots.ts'
import { fetchBlob } from '#core/hub/transfer.ts'
import { commitOf } from '../test/hub-files.ts'
import { startHub } from '../test/hub-server.ts'
import { printTable } from './measure.ts'

const BYTES = 2 * 2 ** 30
const ROUNDS = 3
const REPO = 'bench/large'
const FILE = 'model.onnx'

/** A file of 2 GiB from a hub in another process on loopback, by `curl` and by ours in turn, each written to the same disk; ours hashed and synced too. */
export async function benchDownload(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kvlab-bench-'))
  const server = fork(process.argv[1] ?? '', ['hub'])
  try {
    const source = join(folder, 'source')
    const sha256 = await writeRandom(source)
    server.send({ path: source, sha256 })
    const endpoint = await new Promise<string>((resolve) => server.once('message', (message) => resolve(String(message))))
    const place: HubPlace = { endpoint: new URL(endpoint), token: null, offline: false, proxy: null, noProxy: null, cache: join(folder, 'cache') }
    const wanted: Wanted = { kind: 'model', repo: REPO, commit: commitOf(REPO), path: FILE, bytes: BYTES, sha256, gitSha1: '0'.repeat(40) }
    const rows = [['round', 'curl', 'ours', 'ours / curl', 'memory grew by']]
    for (let round = 1; round <= ROUNDS; round++) {
      const curl = await seconds(async () => void execFileSync('curl', ['--silent', '--location', '--fail', '--output', join(folder, 'curl'), resolveUrl(place, wanted).href]))
      await rm(join(folder, 'curl'))
      const before = process.memoryUsage.rss()
      let peak = before
      const sampler = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 10)
      const ours = await seconds(() => fetchBlob(wanted, { place, limits: LIMITS, connections: createSlots(LIMITS.connections), signal: new AbortController().signal, progress: () => {}, note: console.log }))
      clearInterval(sampler)
      await rm(place.cache, { recursive: true })
      const speed = (taken: number): string => `${(BYTES / 1e6 / taken).toFixed(0)} MB/s`
      rows.push([`${round}`, speed(curl), speed(ours), (curl / ours).toFixed(2), `${((peak - before) / 1e6).toFixed(0)} MB`])
    }
    printTable('download of 2 GiB on loopback', rows)
  } finally {
    server.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

/** The hub's process: its file comes as the first message, its address goes back. */
export function serveHub(): void {
  process.once('message', (file: { path: string; sha256: string }) => {
    void startHub({ repos: [{ name: REPO, files: { [FILE]: file } }] }).then(({ endpoint }) => process.send?.(endpoint.href))
  })
  process.once('disconnect', () => process.exit())
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

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}
