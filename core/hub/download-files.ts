import { takeLock } from '#core/bytes/lock.ts'
import { LabError } from '#core/contract/errors.ts'
import type { DownloadFile } from '#core/contract/hub.ts'
import { removeEmpty } from './cache.ts'
import type { DownloadRecord } from './download-record.ts'
import { blobPath, etagOf, hasSize, isPresent, LOCK, repoFolder, snapshotFolder, snapshotPath } from './layout.ts'
import type { Limits } from './limits.ts'
import { dropPart, recordedBytes } from './part.ts'
import type { HubPlace } from './place.ts'
import { placeBlob, writeRef, type Links } from './placing.ts'
import { createSlots, type Slots } from './slots.ts'
import { checkSpace, fetchBlob } from './transfer.ts'

type File = DownloadRecord['files'][number]

/** What a download needs and tells while it runs: of which file so many bytes are on disk, and what it waits for. */
export type Receiving = {
  readonly place: HubPlace
  readonly limits: Limits
  readonly connections: Slots
  readonly links?: Links
  readonly signal: AbortSignal
  readonly file: (path: string, done: number, status: DownloadFile['status']) => void
  readonly note: (path: string, text: string | null) => void
}

/** How far the files of a download are on disk. */
export async function filesOnDisk(record: DownloadRecord, limits: Limits): Promise<DownloadFile[]> {
  return Promise.all(
    record.files.map(async (file) => {
      const present = await isPresent(record.cache, record.kind, record.repo, record.commit, file)
      const done = present ? file.bytes : await recordedBytes(blobOf(record, file), file.bytes, limits)
      return { path: file.path, bytes: file.bytes, done, status: present ? ('done' as const) : ('waiting' as const) }
    }),
  )
}

/**
 * Fetches what is missing of a download, a few files at once, gives every file its name in the snapshot and, last, notes what the revision means. The first failure ends all.
 * Throws LabErrors of `fetchBlob` and `placeBlob`, DISK_FULL before anything is fetched, and the signal's reason.
 */
export async function receiveFiles(record: DownloadRecord, receiving: Receiving): Promise<void> {
  const onDisk = await filesOnDisk(record, receiving.limits)
  for (const file of onDisk) receiving.file(file.path, file.done, file.status)
  const folder = repoFolder(record.cache, record.kind, record.repo)
  const missing = onDisk.reduce((sum, file) => sum + file.bytes - file.done, 0)
  await checkSpace(folder, missing, receiving.limits)
  const controller = new AbortController()
  const stop = (): void => controller.abort(receiving.signal.reason)
  if (receiving.signal.aborted) stop()
  receiving.signal.addEventListener('abort', stop, { once: true })
  const files = createSlots(receiving.limits.files)
  const failures: Error[] = []
  const one = async (same: readonly File[]): Promise<void> => {
    try {
      await files.use(controller.signal, () => receiveContent(record, same, { ...receiving, signal: controller.signal }))
    } catch (error) {
      failures.push(error instanceof Error ? error : new Error(String(error)))
      controller.abort(error)
    }
  }
  try {
    await Promise.all(byContent(record.files).map(one))
  } finally {
    receiving.signal.removeEventListener('abort', stop)
  }
  receiving.signal.throwIfAborted()
  if (failures[0] !== undefined) throw failures[0]
  await checkPlaced(record)
  await writeRef(record.cache, record.kind, record.repo, record.revision, record.commit)
}

/** Removes parts that were fetched for a download and that none of the others needs; whole files stay. Parts that another program is filling stay with it. */
export async function dropParts(record: DownloadRecord, others: readonly DownloadRecord[]): Promise<void> {
  const needed = new Set(others.filter(({ status }) => status !== 'done').flatMap((other) => other.files.map((file) => blobOf(other, file))))
  for (const blob of new Set(record.files.map((file) => blobOf(record, file)))) {
    if (needed.has(blob)) continue
    try {
      const unlock = await takeLock(`${blob}${LOCK}`, record.repo)
      await dropPart(blob)
      await unlock()
    } catch (error) {
      if (!(error instanceof LabError) || (error.code !== 'BUSY' && error.code !== 'FILE_NOT_FOUND')) throw error
    }
  }
  // An empty folder of a repository would be damage to Python.
  await removeEmpty(repoFolder(record.cache, record.kind, record.repo))
}

/** Files of one content are one blob under several names. */
async function receiveContent(record: DownloadRecord, same: readonly File[], receiving: Receiving): Promise<void> {
  const { kind, repo, commit, cache } = record
  const snapshot = snapshotFolder(cache, kind, repo, commit)
  for (const file of same) {
    const path = snapshotPath(snapshot, file.path)
    const blob = blobOf(record, file)
    // Python moves the blob there where it may not link.
    const whole = !(await hasSize(blob, file.bytes)) && (await hasSize(path, file.bytes))
    if (!whole) {
      const { place, limits, connections, signal } = receiving
      const progress = (done: number, status: 'receiving' | 'checking'): void => receiving.file(file.path, done, status)
      await fetchBlob({ kind, repo, commit, ...file }, { place: { ...place, cache }, limits, connections, signal, progress, note: (text) => receiving.note(file.path, text) })
      await placeBlob(blob, path, receiving.links)
    }
    receiving.note(file.path, null)
    receiving.file(file.path, file.bytes, 'done')
  }
}

/** What was removed behind our back must not be called done. */
async function checkPlaced(record: DownloadRecord): Promise<void> {
  const snapshot = snapshotFolder(record.cache, record.kind, record.repo, record.commit)
  for (const file of record.files) {
    const path = snapshotPath(snapshot, file.path)
    if (!(await hasSize(path, file.bytes))) throw new LabError('FILE_NOT_FOUND', `${path} was removed while ${record.repo} was being downloaded: download it again`, { path })
  }
}

function byContent(files: readonly File[]): File[][] {
  const groups = new Map<string, File[]>()
  for (const file of files) groups.set(etagOf(file), [...(groups.get(etagOf(file)) ?? []), file])
  return [...groups.values()]
}

function blobOf({ cache, kind, repo }: DownloadRecord, file: File): string {
  return blobPath(cache, kind, repo, etagOf(file))
}
