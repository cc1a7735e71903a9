import { readdir, realpath, stat } from 'node:fs/promises'
import type { Dirent } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { FolderListing } from '#core/contract/library.ts'

/** More than a person looks through, and still a list that a page shows at once. */
const MAX_LISTED = 5000
/** Folders of one place that are searched: a library has dozens, a home folder that was named by mistake a hundred thousand. */
const MAX_SEARCHED = 2000
/** Levels below a place: `place/model`, or `place/organisation/model`. */
const SEARCH_LEVELS = 2

/** A folder that a search came by; `real` is its path without links, `files` are its plain files by name. */
export type SearchedFolder = { readonly path: string; readonly real: string; readonly level: number; readonly files: readonly string[] }

/** A path as a person types it, made absolute: `~` is the person's home folder. */
export function absolutePath(typed: string): string {
  return resolve(/^~($|[/\\])/.test(typed) ? join(homedir(), typed.slice(1)) : typed)
}

/**
 * What is in a folder, for a chooser; null: the person's home folder. Links are followed; hidden entries, and what is neither a file nor a folder or
 * cannot be looked at, are left out. Errors: FILE_NOT_FOUND, INVALID_INPUT (no folder, not permitted, more than 5,000 entries).
 */
export async function listFolder(typed: string | null): Promise<FolderListing> {
  const path = typed === null ? homedir() : absolutePath(typed)
  await checkFolder(path)
  const names = (await asFolder(path, () => readdir(path))).filter((name) => !name.startsWith('.'))
  if (names.length > MAX_LISTED) throw new LabError('INVALID_INPUT', `${path} has ${names.length} entries, more than the ${MAX_LISTED} that are shown: type the path of what you want`, { entries: names.length })
  const entries = (await Promise.all(names.map((name) => entryOf(path, name)))).filter((entry) => entry !== null)
  const parent = dirname(path)
  return { path, parent: parent === path ? null : parent, entries: entries.sort(foldersFirst) }
}

/** Throws LabError FILE_NOT_FOUND where there is nothing, INVALID_INPUT where it is no folder. */
export async function checkFolder(path: string): Promise<void> {
  const facts = await asFolder(path, () => stat(path))
  if (!facts.isDirectory()) throw new LabError('INVALID_INPUT', `${path} is no folder: name the folder that it is in`)
}

type Entry = FolderListing['entries'][number]

async function entryOf(folder: string, name: string): Promise<Entry | null> {
  const path = join(folder, name)
  const facts = await stat(path).catch(() => null)
  if (facts?.isDirectory()) return { name, path, kind: 'folder', bytes: null }
  return facts?.isFile() ? { name, path, kind: 'file', bytes: facts.size } : null
}

const byName = new Intl.Collator('en', { numeric: true })

function foldersFirst(a: Entry, b: Entry): number {
  if (a.kind !== b.kind) return a.kind === 'folder' ? -1 : 1
  return byName.compare(a.name, b.name)
}

/**
 * `root` and the folders below it, two levels deep and 2,000 at most, the nearest first. Hidden and unreadable ones are left out, a missing root has none;
 * `seen`, the real paths of earlier searches, keeps links from leading anywhere twice.
 */
export async function searchFolders(root: string, seen: Set<string>): Promise<SearchedFolder[]> {
  const found: SearchedFolder[] = []
  let level: string[] = [root]
  for (let depth = 0; depth <= SEARCH_LEVELS; depth++) {
    const below: string[] = []
    for (const path of level) {
      if (found.length === MAX_SEARCHED) return found
      const folder = await searched(path, seen)
      if (folder === null) continue
      found.push({ path, real: folder.real, level: depth, files: folder.files })
      below.push(...folder.folders.map((name) => join(path, name)))
    }
    level = below
  }
  return found
}

async function searched(path: string, seen: Set<string>): Promise<{ real: string; files: string[]; folders: string[] } | null> {
  try {
    const real = await realpath(path)
    if (seen.has(real)) return null
    const entries = (await readdir(path, { withFileTypes: true })).filter(({ name }) => !name.startsWith('.'))
    seen.add(real)
    const files: string[] = []
    const folders: string[] = []
    for (const entry of entries.sort((a, b) => byName.compare(a.name, b.name))) {
      const kind = await kindOf(path, entry)
      if (kind === 'file') files.push(entry.name)
      if (kind === 'folder') folders.push(entry.name)
    }
    return { real, files, folders }
  } catch {
    return null
  }
}

async function kindOf(folder: string, entry: Dirent): Promise<'file' | 'folder' | null> {
  const facts = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => null) : entry
  if (facts?.isFile()) return 'file'
  return facts?.isDirectory() ? 'folder' : null
}

async function asFolder<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}
