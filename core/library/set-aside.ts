import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isHeld, lockHolder } from '#core/bytes/lock.ts'

/** What an import writes into until it is whole. Lists and searches leave hidden folders out. */
export const STAGING = '.import-'
/** What a removal renames a folder to before it deletes it. */
export const REMOVED = '.removed-'
/** Beside an import's folder, made before it and gone after it: the lock of the process that writes there. */
export const HELD_BY = '.lock'
/** Ten times what `takeLock` gives a lock to be written, in milliseconds. */
const LOCK_MS = 2000

/** Deletes what imports and removals that were killed left in a folder of the library. */
export async function sweepAside(shelf: string): Promise<void> {
  for (const name of await readdir(shelf).catch(() => [])) {
    const isLock = name.startsWith(STAGING) && name.endsWith(HELD_BY)
    if (name.startsWith(REMOVED)) await deleted(join(shelf, name))
    else if (name.startsWith(STAGING) && (await isStale(join(shelf, isLock ? name : name + HELD_BY)))) await deleted(join(shelf, name))
  }
}

/** Whether a lock is that of a process that is gone, not there, or was never written to its end. */
async function isStale(lock: string): Promise<boolean> {
  const holder = await lockHolder(lock)
  if (holder) return !isHeld(holder)
  const facts = await stat(lock).catch(() => null)
  return facts === null || Date.now() - facts.mtimeMs > LOCK_MS
}

async function deleted(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined)
}
