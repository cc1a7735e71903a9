import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Progress } from '#core/contract/api.ts'
import type { Verification, VerifiedFile } from '#core/contract/library.ts'
import { cachedHash } from '#core/hub/cache.ts'
import { shelfEntry, type Places, type ShelfEntry, type Shelved } from './shelf.ts'
import { hashFile, type Algorithm } from './sums.ts'
import { underWay } from './under-way.ts'

/** The hash that a file had when it came; null where nobody recorded it. */
export async function recordedHash(entry: ShelfEntry, name: string): Promise<{ algorithm: Algorithm; hex: string } | null> {
  const sum = entry.sums?.get(name)
  if (sum !== undefined) return { algorithm: 'sha256', hex: sum }
  return entry.place === 'hub' ? cachedHash(join(entry.folder, ...name.split('/'))) : null
}

/**
 * Hashes every file of an entry anew: an imported one against SHA256SUMS, one of the Hugging Face cache against the name of its blob, a SHA-256 or the SHA-1 of git's
 * blob. What nobody recorded has its SHA-256 said. Throws LabError as `shelfEntry`, and of files that cannot be read.
 */
export async function* verifyShelf(places: Places, what: Shelved, signal: AbortSignal): AsyncGenerator<Progress, Verification, void> {
  let [done, total] = [0, 0]
  const work = async (inner: AbortSignal): Promise<Verification> => {
    const entry = await shelfEntry(places, what)
    const sizes = new Map<string, number | null>()
    for (const name of entry.files) sizes.set(name, (await stat(join(entry.folder, ...name.split('/'))).catch(() => null))?.size ?? null)
    for (const size of sizes.values()) total += size ?? 0
    const files: VerifiedFile[] = []
    for (const [path, size] of sizes) files.push(await verifyFile(entry, path, size, inner, (bytes) => (done += bytes)))
    const bad = files.some(({ status }) => status === 'changed' || status === 'missing')
    return { path: what.path, passed: !bad && files.some(({ status }) => status === 'ok'), files }
  }
  return yield* underWay(work, () => ({ phase: 'hashing', done, total, unit: 'bytes' }), signal)
}

async function verifyFile(entry: ShelfEntry, path: string, size: number | null, signal: AbortSignal, count: (bytes: number) => void): Promise<VerifiedFile> {
  const recorded = await recordedHash(entry, path)
  if (size === null) return { path, bytes: 0, status: 'missing', expected: recorded?.hex ?? null, found: null }
  const { hex, bytes } = await hashFile(join(entry.folder, ...path.split('/')), recorded?.algorithm ?? 'sha256', signal, count)
  const status = recorded === null ? 'unrecorded' : recorded.hex === hex ? 'ok' : 'changed'
  return { path, bytes, status, expected: recorded?.hex ?? null, found: hex }
}
