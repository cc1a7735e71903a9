import { readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { filesOf } from '#core/texts/files.ts'

const TEXT = /\.(parquet|(txt|md|raw|jsonl|ndjson|csv)(\.gz)?|json\.gz)$/i
/** Beside texts these say something about them. */
const ABOUT = /^(readme|licen[cs]e|notice)\b/i

/** Whether a file of that name or path, `/` between its parts, is taken for a text where only its folder is named; a person may name any file. */
export function isTextName(path: string): boolean {
  return TEXT.test(path) && !ABOUT.test(path.slice(path.lastIndexOf('/') + 1))
}

/** Paths of the texts in a folder and those below it, hidden ones and what only says something about the others left out, by name. Throws LabError of file errors. */
export async function textFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch((error: unknown) => {
    throw fileError(error, folder, 'read')
  })
  const names = entries.filter((entry) => !entry.isDirectory()).map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
  const texts = names.filter((name) => isTextName(name) && !name.split('/').some((part) => part.startsWith('.')))
  return texts.sort().map((name) => join(folder, name))
}

/**
 * What a spec names a folder's text by: its only file, or the folder of all its files where that is one text, documents or the shards of a table. Throws LabError
 * INVALID_INPUT where there are several to choose from, with their names within the folder; FILE_NOT_FOUND where there is none.
 */
export async function chooseText(folder: string): Promise<string> {
  const files = await textFiles(folder)
  const [only, ...others] = files
  if (only === undefined) throw new LabError('FILE_NOT_FOUND', `${folder} holds no text: name another`)
  if (others.length === 0) return only
  const inside = dirname(only)
  const text = await filesOf(inside).catch(() => null)
  if (text?.files.length === files.length) return inside
  const names = files.map((file) => relative(folder, file).replaceAll('\\', '/'))
  const shown = names.length > 20 ? [...names.slice(0, 20), `and ${names.length - 20} more`] : names
  throw new LabError('INVALID_INPUT', `${folder} has several texts (${shown.join(', ')}): choose one by its path, as in --data ${only}`, { choices: names })
}
