import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { freeBytes, makeFolder } from '#core/bytes/file.ts'
import { takeLock } from '#core/bytes/lock.ts'
import { LabError } from '#core/contract/errors.ts'
import { attempt, changedError, nameOf, RangesIgnored, StartOver, type Attempt, type Wanted } from './attempt.ts'
import { createFront, type HashFront } from './hash-front.ts'
import { blobPath, etagOf, hasSize, LOCK } from './layout.ts'
import type { Limits } from './limits.ts'
import { dropPart, openPart, type Part, type Piece } from './part.ts'
import type { HubPlace } from './place.ts'
import { persist } from './retry.ts'
import type { Slots } from './slots.ts'

/** How a file is fetched. `progress` is told its bytes that are on disk, `note` what it waits for. */
export type Transfer = {
  readonly place: HubPlace
  readonly limits: Limits
  readonly connections: Slots
  readonly signal: AbortSignal
  readonly progress: (done: number, status: 'receiving' | 'checking') => void
  readonly note: (text: string | null) => void
}

/**
 * Brings a file's content into the cache, under the name of its hash, and gives its path there. Nothing has that name that was not verified; what came is kept on any failure
 * but a wrong hash, and is not fetched again. Fetches anew once where the hash is wrong or the server's file is another.
 * Throws LabError ACCESS_DENIED, FILE_NOT_FOUND, OFFLINE, NETWORK_FAILED, CHECKSUM_MISMATCH, DISK_FULL, NOT_WRITABLE, and the signal's reason.
 */
export async function fetchBlob(wanted: Wanted, transfer: Transfer): Promise<string> {
  const blob = blobPath(transfer.place.cache, wanted.kind, wanted.repo, etagOf(wanted))
  // Beside a lock there may be what a process left that was killed just after it had put the blob in place.
  if ((await hasSize(blob, wanted.bytes)) && !existsSync(`${blob}${LOCK}`)) return blob
  await makeFolder(dirname(blob))
  const unlock = await lockBlob(blob, wanted, transfer)
  try {
    for (let again = false; !(await hasSize(blob, wanted.bytes)); again = true) {
      const failure = await fetchOnce(blob, wanted, transfer)
      if (failure === null) return blob
      await dropPart(blob)
      if (again) throw failure
      transfer.note(`${failure.message}; fetching it anew`)
    }
    await dropPart(blob)
    return blob
  } finally {
    await unlock()
  }
}

/** Throws LabError DISK_FULL where a folder's disk has no room for so many bytes more and some to spare. */
export async function checkSpace(folder: string, bytes: number, limits: Pick<Limits, 'spareBytes'>): Promise<void> {
  const free = bytes === 0 ? null : await freeBytes(folder)
  const needed = bytes + limits.spareBytes
  if (free === null || free >= needed) return
  throw new LabError('DISK_FULL', `${folder} has room for ${inMegabytes(free)}, and ${inMegabytes(needed)} are needed: free some space, or choose another cache folder`, { folder, free, needed })
}

/** Null once the blob is in place, else why all that is here must go. */
async function fetchOnce(blob: string, wanted: Wanted, transfer: Transfer): Promise<LabError | null> {
  const part = await openPart(blob, wanted.bytes, transfer.limits)
  const hashing = createFront(part, wanted)
  const stop = (): void => void hashing.stop()
  const front: HashFront = {
    ...hashing,
    appended: (begin, chunks) => {
      hashing.appended(begin, chunks)
      transfer.progress(part.done, 'receiving')
    },
  }
  transfer.signal.addEventListener('abort', stop, { once: true })
  try {
    transfer.progress(part.done, 'receiving')
    await fetchPieces(part, { ...transfer, part, front, wanted, alone: false })
    transfer.progress(part.done, 'checking')
    const found = await front.digest()
    transfer.signal.throwIfAborted()
    if (found !== etagOf(wanted)) return wrongHash(wanted, found)
    await part.finish()
    return null
  } catch (error) {
    if (error instanceof StartOver) return changedError(wanted)
    throw error
  } finally {
    transfer.signal.removeEventListener('abort', stop)
    await front.stop()
    await part.close()
  }
}

type Fetching = Attempt & Transfer

/** Fills all pieces: several at once, or one after another where the server does not give parts. */
async function fetchPieces(part: Part, fetching: Fetching): Promise<void> {
  const todo = part.pieces.filter(lacks)
  if (todo.length <= 1) return fetchInTurn(todo, { ...fetching, alone: true })
  const controller = new AbortController()
  /** Whoever waits to join need not any more. */
  const settled = new AbortController()
  const stop = (): void => {
    controller.abort(fetching.signal.reason)
    settled.abort()
  }
  if (fetching.signal.aborted) stop()
  fetching.signal.addEventListener('abort', stop, { once: true })
  const failures: Error[] = []
  const worker = async (others: number): Promise<void> => {
    try {
      await joinWhenSlow(part, others, fetching.limits, settled.signal)
      await fetchInTurn(todo, { ...fetching, signal: controller.signal })
    } catch (error) {
      failures.push(error instanceof Error ? error : new Error(String(error)))
      controller.abort(error)
    }
    settled.abort()
  }
  await Promise.all(Array.from({ length: Math.min(fetching.limits.fileConnections, todo.length) }, (_, i) => worker(i)))
  fetching.signal.removeEventListener('abort', stop)
  fetching.signal.throwIfAborted()
  const [first] = failures
  if (first instanceof RangesIgnored) return fetchInTurn(part.pieces.filter(lacks), { ...fetching, alone: true })
  if (first !== undefined) throw first
}

/** Resolves when a connection beside so many others is of use: after a while for each of them, once they bring less than one alone brings on a fast network; or when `settled` aborts. */
async function joinWhenSlow(part: Part, others: number, limits: Limits, settled: AbortSignal): Promise<void> {
  for (let waits = 0, before = part.done; others > 0 && !settled.aborted && (waits < others || part.done - before >= limits.fastBytes); waits++) {
    before = part.done
    await setTimeout(limits.joinMs, null, { signal: settled }).catch(() => undefined)
  }
}

/** Takes pieces off a list that others may take from too, until it is empty. */
async function fetchInTurn(todo: Piece[], fetching: Fetching): Promise<void> {
  const { part, connections, limits, signal, note } = fetching
  for (let piece = todo.shift(); piece !== undefined; piece = todo.shift()) {
    const current = piece
    while (lacks(current)) {
      await persist(() => connections.use(signal, () => attempt(fetching, current)), { limits, signal, note, progress: () => part.done })
    }
  }
}

function lacks(piece: Piece): boolean {
  return piece.begin + piece.done < piece.end
}

function wrongHash(wanted: Wanted, found: string): LabError {
  const expected = etagOf(wanted)
  return new LabError('CHECKSUM_MISMATCH', `${nameOf(wanted)} has the hash ${found} where ${expected} was due: what came is not what the hub listed; try again, or another network`, { path: wanted.path, expected, found })
}

/** Waits while another program, or another download of this one, has the blob's lock. */
async function lockBlob(blob: string, wanted: Wanted, { limits, signal, note }: Transfer): Promise<() => Promise<void>> {
  for (let waited = false; ; waited = true) {
    signal.throwIfAborted()
    try {
      const unlock = await takeLock(`${blob}${LOCK}`, nameOf(wanted))
      if (waited) note(null)
      return unlock
    } catch (error) {
      if (!(error instanceof LabError) || error.code !== 'BUSY') throw error
    }
    if (!waited) note(`another program is fetching ${wanted.path}: waiting for it`)
    await setTimeout(limits.lockMs, null, { signal }).catch(() => signal.throwIfAborted())
  }
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`
}
