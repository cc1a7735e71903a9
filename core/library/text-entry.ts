import { stat } from 'node:fs/promises'
import { LabError } from '#core/contract/errors.ts'
import type { DataEntry } from '#core/contract/library.ts'
import { filesOf } from '#core/texts/files.ts'
import { openTable, type Format } from '#core/texts/table.ts'
import { loadText } from '#core/texts/texts.ts'
import { MAX_TEXT_BYTES, textPieces, tooLarge } from '#core/texts/unpack.ts'

/** Characters of a text that are shown. */
const PREVIEW_CHARS = 600
/** Tables whose rows are counted by reading them all. */
const MAX_COUNTED_BYTES = 256 * 1024
/** Shards that are opened to count the rows of a set. */
const MAX_COUNTED_FILES = 64

/** What an entry is called and where it comes from. */
export type Known = Pick<DataEntry, 'name' | 'origin' | 'source'>
type Look = Pick<DataEntry, 'documents' | 'columns' | 'preview'>

/** The demo text as the list has it. */
export async function demoEntry(): Promise<DataEntry> {
  const [{ documents: [text = ''] }, { documents }] = await Promise.all([loadText({ data: 'demo', column: null, join: 'file' }), loadText({ data: 'demo', column: null, join: 'documents' })])
  return { name: 'demo', path: 'demo', origin: 'embedded', source: null, kind: 'file', format: 'text', bytes: Buffer.byteLength(text), documents: documents.length, columns: [], preview: previewOf(text), unusable: null }
}

/**
 * A text as the list has it, by the head of its first file; `column`: the one to show, null the first. What cannot be read is an entry that says why. Throws LabError of
 * `filesOf` where the path names no text at all.
 */
export async function entryOf(path: string, known: Known, column: string | null = null): Promise<DataEntry> {
  const { files, format, folder } = await filesOf(path)
  let bytes = 0
  for (const file of files) bytes += (await stat(file).catch(() => null))?.size ?? 0
  const entry = { ...known, path, kind: folder ? 'folder' : 'file', format: folder && format === 'text' ? 'folder' : format, bytes } as const
  try {
    return { ...entry, ...(format === 'text' ? await lookAtText(path, files, bytes) : await lookAtTable(files, format, column)), unusable: null }
  } catch (error) {
    if (error instanceof LabError) return { ...entry, documents: null, columns: [], preview: null, unusable: error.message }
    throw error
  }
}

async function lookAtText(path: string, files: readonly string[], bytes: number): Promise<Look> {
  const [first = path] = files
  if (bytes > MAX_TEXT_BYTES) throw tooLarge(path, `has ${bytes} bytes`, MAX_TEXT_BYTES)
  let head = ''
  for await (const text of textPieces(first, MAX_TEXT_BYTES)) {
    head += text
    if (head.length > 2 * PREVIEW_CHARS) break
  }
  if (head === '') throw new LabError('TEXT_TOO_SHORT', `${first} is empty: name another text`)
  return { documents: files.length, columns: [], preview: previewOf(head) }
}

async function lookAtTable(files: readonly string[], format: Exclude<Format, 'text'>, named: string | null): Promise<Look> {
  const [first = ''] = files
  const table = await openTable(first, format)
  const column = named ?? table.columns[0]
  if (column === undefined || !table.columns.includes(column)) throw new LabError('INVALID_INPUT', `${first} has no column of text${named === null ? '' : ` ${JSON.stringify(named)}`}: name another`)
  const texts: string[] = []
  let length = 0
  for await (const rows of table.rowsOf(column)) {
    for (const row of rows) if (length < PREVIEW_CHARS && row.trim() !== '') length += texts.push(row) && row.length
    if (length >= PREVIEW_CHARS) break
  }
  return { documents: await rowsIn(files, format), columns: [...table.columns], preview: previewOf(texts.map((text) => text.replace(/\n$/, '')).join('\n\n')) }
}

/** Rows of a table, by the footers of Parquet, else by reading where that is quick; null where it is not. */
async function rowsIn(files: readonly string[], format: Exclude<Format, 'text'>): Promise<number | null> {
  if (files.length > MAX_COUNTED_FILES) return null
  let rows = 0
  for (const file of files) {
    const table = await openTable(file, format)
    if (table.rows !== null) rows += table.rows
    else if ((await stat(file)).size > MAX_COUNTED_BYTES || file.endsWith('.gz')) return null
    else for await (const batch of table.rowsOf(table.columns[0] ?? '')) rows += batch.length
  }
  return rows
}

/** By characters, not by halves of them. */
function previewOf(text: string): string {
  return [...text.slice(0, 2 * PREVIEW_CHARS)].slice(0, PREVIEW_CHARS).join('')
}
