import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect } from 'vitest'
import type { DownloadRecord } from '#core/hub/download-record.ts'
import { blobPath, etagOf, snapshotFolder, snapshotPath } from '#core/hub/layout.ts'
import { commitOf, gitBlobSha1 } from './hub-files.ts'
import type { TestHub } from './hub-server.ts'

/** Bytes that are other for each seed. */
export function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0, state = seed * 2654435761 + 1; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** A download of these files, as it is recorded when it is asked for. */
export function recordOf(hub: TestHub, repo: string, paths: readonly string[], cache: string): DownloadRecord {
  const files = paths.map((path) => {
    const { size, sha256, oid } = hub.file(repo, path)
    return { path, bytes: size, sha256, gitSha1: oid }
  })
  return { id: 'one', createdAt: '2026-11-24T12:00:00.000Z', kind: 'model', repo, revision: 'main', commit: commitOf(repo), choice: 'all', main: paths[0] ?? '', cache, files, status: 'running', error: null }
}

/** How far each piece of a blob is, read from its record as its layout says: counters of eight bytes from byte 280. Null where there is no record. */
export function countersOf(blob: string): { step: number; done: number[] } | null {
  const path = `${blob}.kvlab-record`
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0)
  if (bytes.length < 280) return null
  return { step: Number(bytes.readBigUInt64LE(16)), done: Array.from({ length: (bytes.length - 280) / 8 }, (_, i) => Number(bytes.readBigUInt64LE(280 + 8 * i))) }
}

/** Recorded bytes within [from, to): what a request for that range would fetch again. */
export function recordedWithin(blob: string, from: number, to: number): number {
  const counters = countersOf(blob)
  if (!counters) return 0
  return counters.done.reduce((sum, done, i) => sum + Math.max(0, Math.min(to, i * counters.step + done) - Math.max(from, i * counters.step)), 0)
}

/** Every file that has the name of a hash has that hash. */
export function expectNoBadBlob(cache: string, repo: string): void {
  const folder = dirname(blobPath(cache, 'model', repo, '0'.repeat(40)))
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder).filter((one) => /^[0-9a-f]+$/.test(one))) {
    const bytes = readFileSync(join(folder, name))
    expect(name.length === 64 ? createHash('sha256').update(bytes).digest('hex') : gitBlobSha1(bytes)).toBe(name)
  }
}

/** All files under their own names, as relative links to blobs; the ref; and nothing left over. */
export function expectWhole(record: DownloadRecord, contents: Readonly<Record<string, Uint8Array>>): void {
  const { cache, kind, repo, commit } = record
  const snapshot = snapshotFolder(cache, kind, repo, commit)
  for (const file of record.files) {
    const path = snapshotPath(snapshot, file.path)
    const blob = blobPath(cache, kind, repo, etagOf(file))
    expect(Buffer.compare(readFileSync(path), contents[file.path] ?? new Uint8Array())).toBe(0)
    expect(lstatSync(path).isSymbolicLink()).toBe(true)
    expect(readlinkSync(path)).toBe(relative(dirname(path), blob))
    expect(statSync(blob).size).toBe(file.bytes)
  }
  expect(readFileSync(join(snapshot, '..', '..', 'refs', 'main'), 'utf8')).toBe(commit)
  expect(readdirSync(join(snapshot, '..', '..', 'blobs')).filter((name) => !name.endsWith('.kvlab-link')).sort()).toEqual([...new Set(record.files.map(etagOf))].sort())
}
