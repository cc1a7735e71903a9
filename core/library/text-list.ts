import { realpath } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import type { Progress } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { DataEntry, Origin, Source } from '#core/contract/library.ts'
import { cachedRevisions, cachedSource } from '#core/hub/cache.ts'
import { filesOf, shardSets, splitName } from '#core/texts/files.ts'
import { formatOf } from '#core/texts/table.ts'
import { usedTexts } from './earlier-runs.ts'
import { searchFolders, type SearchedFolder } from './folders.ts'
import { locateText } from './locate.ts'
import { readSettings } from './settings.ts'
import type { Places } from './shelf.ts'
import { recordedSource } from './source-record.ts'
import { demoEntry, entryOf, type Known } from './text-entry.ts'
import { isTextName } from './text-files.ts'

/** Texts that are listed of the searched folders, the nearest ones: each is opened, and no one looks through more. */
const MAX_FOUND = 2000

/**
 * The demo text; texts under `home/data` and the settings' folders, two levels deep, and data sets of the Hugging Face cache; and texts of earlier runs that are still there.
 * A folder with several `.txt`, or with the shards of one table, is one entry (a folder of the settings itself: beside its files). Throws LabError of `readSettings`.
 */
export async function* listTexts(places: Places, signal: AbortSignal): AsyncGenerator<Progress, DataEntry[]> {
  const { home, cache } = places
  const { dataFolders } = await readSettings(home)
  const found: { path: string; origin: Origin }[] = []
  const seen = new Set<string>()
  const search = async (root: string, origin: Origin): Promise<void> => {
    for (const folder of await searchFolders(root, seen)) for (const path of await textsIn(folder, origin === 'shared')) found.push({ path, origin })
  }
  const steps = [
    () => search(join(home, 'data'), 'library'),
    async () => {
      const revisions = (await cachedRevisions(cache)).filter(({ kind }) => kind === 'dataset')
      // Of two commits with the same file the one that a branch means is listed.
      for (const { folder } of revisions.sort((a, b) => b.refs.length - a.refs.length)) await search(folder, 'hub')
    },
    ...dataFolders.map((root) => () => search(root, 'shared')),
  ]
  for (const [done, step] of steps.entries()) {
    yield { phase: 'looking for texts', done, total: steps.length }
    signal.throwIfAborted()
    await step()
  }
  found.splice(MAX_FOUND)
  found.push(...(await usedTexts(home)).map((path) => ({ path, origin: 'used' as const })))
  const entries = new Map<string, DataEntry>()
  for (const [done, { path, origin }] of found.entries()) {
    yield { phase: 'reading texts', done, total: found.length, unit: 'texts' }
    signal.throwIfAborted()
    const real = await realPath(path)
    const entry = real === null || entries.has(real) ? null : await entryOf(path, await knownOf(places, path, origin)).catch(goneSince)
    if (real !== null && entry !== null) entries.set(real, entry)
  }
  return [await demoEntry(), ...entries.values()]
}

/**
 * The text that a person named by a path or a name of the library, `demo`, a file or a folder, as the list has it; `column`: of a table, the one to show. Throws LabError of
 * `locateText`, `filesOf` and `readSettings`.
 */
export async function textEntry(places: Places, typed: string, column: string | null = null): Promise<DataEntry> {
  if (typed === 'demo') return demoEntry()
  const path = await locateText(places, typed)
  return entryOf(path, await knownOf(places, path, await originOf(places, path)), column)
}

/** Paths of a searched folder's texts. `named`: its root is one that a person chose. */
async function textsIn({ path, level, files }: SearchedFolder, named: boolean): Promise<string[]> {
  const texts = files.filter(isTextName)
  const documents = texts.filter((file) => file.endsWith('.txt'))
  const tables = texts.filter((file) => formatOf(file) !== 'text')
  const parts = documents.length > 1 ? documents : tables.length > 1 && (await isOneText(path)) ? tables : []
  const asFolder = parts.length > 0 && (level > 0 || named)
  const rest = asFolder && (level > 0 || parts === tables) ? texts.filter((file) => !parts.includes(file)) : texts
  const sets = shardSets(rest).filter((set) => set.whole && set.files.length > 1)
  const inSets = new Set(sets.flatMap((set) => set.files))
  const names = [...sets.map(({ name }) => name), ...rest.filter((file) => !inSets.has(file))]
  return [...(asFolder ? [path] : []), ...names.map((name) => join(path, name))]
}

/** Whether a folder's tables are one text. */
async function isOneText(folder: string): Promise<boolean> {
  return (await filesOf(folder).catch(() => null)) !== null
}

/** A path without links; of shards, which have no file of that name, by the first. */
async function realPath(path: string): Promise<string | null> {
  const real = await realpath(path).catch(() => null)
  if (real !== null) return real
  const [first] = (await filesOf(path).catch(() => null))?.files ?? []
  return first === undefined ? null : `${await realpath(first).catch(() => first)} and others`
}

async function knownOf({ home, cache }: Places, path: string, origin: Origin): Promise<Known> {
  const cached = cachedSource(cache, path)
  if (cached) return { name: `${cached.repo} ${splitName(relative(cached.folder, path)).replaceAll(sep, '/')}`, origin, source: { repo: cached.repo, commit: cached.commit } }
  return { name: basename(path), origin, source: await sourceOf(join(home, 'data'), path) }
}

/** The record of the import that a path is or lies in. */
async function sourceOf(shelf: string, path: string): Promise<Source | null> {
  for (let folder = path; folder.startsWith(shelf + sep); folder = dirname(folder)) {
    const source = await recordedSource(folder)
    if (source !== null) return source
  }
  return null
}

async function originOf({ home, cache }: Places, path: string): Promise<Origin> {
  if (path.startsWith(join(home, 'data') + sep)) return 'library'
  if (cachedSource(cache, path) !== null) return 'hub'
  return (await readSettings(home)).dataFolders.some((root) => path === root || path.startsWith(root + sep)) ? 'shared' : 'used'
}

/** What was removed since the folder was read, or is no text after all, is left out. */
function goneSince(error: unknown): null {
  if (error instanceof LabError) return null
  throw error
}
