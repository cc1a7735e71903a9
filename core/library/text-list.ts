import type { Stats } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { basename, join, sep } from 'node:path'
import { fileError, openFile } from '#core/bytes/file.ts'
import type { Progress } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { DataEntry, Origin } from '#core/contract/library.ts'
import { usedTexts } from './earlier-runs.ts'
import { absolutePath, searchFolders, type SearchedFolder } from './folders.ts'
import { readSettings } from './settings.ts'
import { documentsIn, loadText, MAX_TEXT_BYTES, textOf } from './texts.ts'

/** Names of files that are taken for texts where a folder is searched; a person may name any file. */
const TEXT_NAME = /\.(txt|raw|md)$/
/** Characters of a text that are shown. */
const PREVIEW_CHARS = 600
/** Enough for the preview, a character being four bytes at most: all that is read of a text to list it. */
const HEAD_BYTES = 4 * PREVIEW_CHARS
/** Texts that are listed of the searched folders, the nearest ones: each is opened, and no one looks through more. */
const MAX_FOUND = 2000

/**
 * The demo text; `.txt`, `.raw` and `.md` files under `home/data` and the settings' folders, two levels deep, where a folder with several `.txt` is one entry
 * (a folder of the settings itself: beside its files); and texts of earlier runs that are still there. Throws LabError of `readSettings`.
 */
export async function* listTexts(home: string, signal: AbortSignal): AsyncGenerator<Progress, DataEntry[]> {
  const found: { path: string; origin: Origin }[] = []
  const seen = new Set<string>()
  const { dataFolders } = await readSettings(home)
  const roots = [join(home, 'data'), ...dataFolders]
  for (const [done, root] of roots.entries()) {
    yield { phase: 'looking for texts', done, total: roots.length }
    signal.throwIfAborted()
    for (const folder of await searchFolders(root, seen)) found.push(...textsIn(folder, done > 0).map((path) => ({ path, origin: 'library' as const })))
  }
  found.splice(MAX_FOUND)
  found.push(...(await usedTexts(home)).map((path) => ({ path, origin: 'used' as const })))
  const entries = new Map<string, DataEntry>()
  for (const [done, { path, origin }] of found.entries()) {
    yield { phase: 'reading texts', done, total: found.length, unit: 'texts' }
    signal.throwIfAborted()
    const real = await realpath(path).catch(() => null)
    const entry = real === null || entries.has(real) ? null : await entryOf(path, origin).catch(goneSince)
    if (real !== null && entry !== null) entries.set(real, entry)
  }
  return [await demoEntry(), ...entries.values()]
}

/** The text of a path that a person named, `demo`, a file or a folder, as the list has it. Throws LabError FILE_NOT_FOUND or INVALID_INPUT, and those of `readSettings`. */
export async function textEntry(home: string, typed: string): Promise<DataEntry> {
  if (typed === 'demo') return demoEntry()
  const path = absolutePath(typed)
  const { dataFolders } = await readSettings(home)
  const inside = [join(home, 'data'), ...dataFolders].some((root) => path === root || path.startsWith(root + sep))
  return entryOf(path, inside ? 'library' : 'used')
}

/** Paths of a searched folder's texts. `named`: its root is one that a person chose. */
function textsIn({ path, level, files }: SearchedFolder, named: boolean): string[] {
  const texts = files.filter((file) => TEXT_NAME.test(file))
  const documents = texts.filter((file) => file.endsWith('.txt'))
  const isEntry = documents.length > 1 && (level > 0 || named)
  const single = isEntry && level > 0 ? texts.filter((file) => !documents.includes(file)) : texts
  return [...(isEntry ? [path] : []), ...single.map((file) => join(path, file))]
}

async function demoEntry(): Promise<DataEntry> {
  const [{ documents: [text = ''] }, { documents }] = [await loadText('demo', 'file'), await loadText('demo', 'documents')]
  return { name: 'demo', path: 'demo', origin: 'embedded', kind: 'file', bytes: Buffer.byteLength(text), documents: documents.length, preview: previewOf(text), unusable: null }
}

async function entryOf(path: string, origin: Origin): Promise<DataEntry> {
  const facts = await factsOf(path)
  const name = basename(path)
  if (!facts.isDirectory()) return { name, path, origin, kind: 'file', bytes: facts.size, ...(await look(path, 1)) }
  const files = (await documentsIn(path)).map((file) => join(path, file))
  let bytes = 0
  for (const file of files) bytes += (await stat(file).catch(() => null))?.size ?? 0
  return { name, path, origin, kind: 'folder', bytes, ...(await look(files[0] ?? path, files.length)) }
}

async function factsOf(path: string): Promise<Stats> {
  return stat(path).catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
}

/** What the head of a file tells; all of it is read, and checked, when it is used. */
async function look(path: string, documents: number): Promise<Pick<DataEntry, 'documents' | 'preview' | 'unusable'>> {
  try {
    const { size } = await factsOf(path)
    if (size > MAX_TEXT_BYTES) throw new LabError('INVALID_INPUT', `${path} has ${size} bytes, over the limit of ${MAX_TEXT_BYTES} for a text: give a part of it`)
    if (size === 0) throw new LabError('TEXT_TOO_SHORT', `${path} is empty: name another text`)
    const text = await headOf(path)
    // Zero bytes are valid UTF-8, and in no text: programs, images and UTF-16 have them near their beginning.
    if (text.includes('\0')) throw new LabError('MALFORMED_FILE', `${path} has zero bytes: it is no text, or not UTF-8; convert it first`)
    return { documents, preview: previewOf(text), unusable: null }
  } catch (error) {
    if (error instanceof LabError) return { documents: null, preview: null, unusable: error.message }
    throw error
  }
}

async function headOf(path: string): Promise<string> {
  const file = await openFile(path)
  try {
    return textOf(await file.read(0, Math.min(HEAD_BYTES, file.size)), path, file.size > HEAD_BYTES)
  } finally {
    await file.close()
  }
}

/** By characters, not by halves of them. */
function previewOf(text: string): string {
  return [...text.slice(0, 2 * PREVIEW_CHARS)].slice(0, PREVIEW_CHARS).join('')
}

/** A file that was removed since the folder was read is left out. */
function goneSince(error: unknown): null {
  if (error instanceof LabError) return null
  throw error
}
