import { randomUUID } from 'node:crypto'
import { lstat, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Removal } from '#core/contract/library.ts'
import { removeCached } from '#core/hub/cache.ts'
import { graphFiles } from './graph-files.ts'
import { REMOVED, sweepAside } from './set-aside.ts'
import { otherGraphFiles, shelfEntry, shelfFolder, type Places, type ShelfEntry, type Shelved } from './shelf.ts'
import { textFiles } from './text-files.ts'

/**
 * What removing an entry would free; with `remove`, does it. An import goes as it came, all of it; of a snapshot in the Hugging Face cache the graph or text that is
 * named, and with the last one all of the snapshot. Nothing else is touched: `refused` says why, and `remove` then throws LabError INVALID_INPUT. Errors: BUSY, NOT_WRITABLE, and
 * those of `shelfEntry`.
 */
export async function removeShelved(places: Places, what: Shelved, { remove }: { remove: boolean }): Promise<Removal> {
  const refused = what.path === 'demo' ? `the demo ${what.kind} is a part of this program` : null
  const entry = refused === null ? await shelfEntry(places, what) : null
  if (entry?.place === 'hub') return { path: what.path, ...(await removeCached(places.cache, await filesOfSnapshot(entry), { remove })), refused: null }
  if (entry?.place === 'library') return { path: what.path, ...(await removeOwn(shelfFolder(places, what.kind), entry, { remove })), refused: null }
  const why = refused ?? `${what.path} lies in a folder of yours: remove it there`
  if (remove) throw new LabError('INVALID_INPUT', why)
  return { path: what.path, files: [], frees: 0, refused: why }
}

/** The files of a snapshot that nothing else in it needs. */
async function filesOfSnapshot({ folder, files, model }: ShelfEntry): Promise<string[]> {
  const own = model ? await graphFiles(model) : files.map((name) => join(folder, ...name.split('/')))
  const others = model ? await otherGraphFiles(model) : (await textFiles(folder)).filter((file) => !own.includes(file))
  return others.length > 0 ? own : filesBelow(folder)
}

async function removeOwn(shelf: string, { folder, files, sums, model }: ShelfEntry, { remove }: { remove: boolean }): Promise<{ files: string[]; frees: number }> {
  // A text that was put there by hand has no folder of its own.
  const whole = sums !== null || model !== null
  const going = whole ? await filesBelow(folder) : files.map((name) => join(folder, ...name.split('/')))
  let frees = 0
  for (const file of going) frees += (await lstat(file).catch(() => null))?.size ?? 0
  if (remove) {
    await sweepAside(shelf)
    for (const target of whole ? [folder] : going) await putAway(target, shelf)
    // The folders above that held nothing else.
    await removeEmpty(whole ? dirname(folder) : folder, shelf)
  }
  return { files: going, frees }
}

/** Aside first: a folder that is half deleted would be listed as a damaged model. */
async function putAway(target: string, shelf: string): Promise<void> {
  const aside = join(shelf, `${REMOVED}${randomUUID()}`)
  try {
    await rename(target, aside)
    await rm(aside, { recursive: true, force: true })
  } catch (error) {
    throw fileError(error, target, 'remove')
  }
}

async function removeEmpty(folder: string, shelf: string): Promise<void> {
  if (!folder.startsWith(shelf + sep) || (await readdir(folder)).length > 0) return
  await rmdir(folder)
  await removeEmpty(dirname(folder), shelf)
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch((error: unknown) => {
    throw fileError(error, folder, 'read')
  })
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name)).sort()
}
