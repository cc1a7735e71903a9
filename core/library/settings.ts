import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, makeFolder, replaceFile } from '#core/bytes/file.ts'
import { settings as schema } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import { DEFAULT_SETTINGS, type Settings } from '#core/contract/library.ts'
import { absolutePath } from './folders.ts'

/**
 * `home/settings.json`; the defaults where there is none. Throws LabError MALFORMED_FILE, format `kvlab.settings`, where it is not what `writeSettings`
 * writes: a person decides what becomes of it, no default takes its place unseen.
 */
export async function readSettings(home: string): Promise<Settings> {
  const path = settingsPath(home)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { ...DEFAULT_SETTINGS }
    throw fileError(error, path, 'read')
  }
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    throw damaged(path, 'not JSON')
  }
  const { data, error } = schema.safeParse(document)
  if (data) return data
  const issue = error.issues[0]
  throw damaged(path, `${issue?.path.join('.') || 'document'}: ${issue?.message ?? 'not settings'}`)
}

/** Keeps settings, whatever was in their file before; folders become absolute, each once. Returns what was written. Throws LabError of file errors. */
export async function writeSettings(home: string, settings: Settings): Promise<Settings> {
  const written: Settings = { ...settings, modelFolders: absolute(settings.modelFolders), dataFolders: absolute(settings.dataFolders), hub: { ...settings.hub, cache: settings.hub.cache && absolutePath(settings.hub.cache) } }
  await makeFolder(home)
  await replaceFile(settingsPath(home), [Buffer.from(JSON.stringify(written, null, 2) + '\n')])
  return written
}

function settingsPath(home: string): string {
  return join(home, 'settings.json')
}

function absolute(folders: readonly string[]): string[] {
  return [...new Set(folders.map(absolutePath))]
}

function damaged(path: string, reason: string): LabError {
  return new LabError('MALFORMED_FILE', `${path} holds no settings of this program (${reason}): correct it, or save the settings anew`, { format: 'kvlab.settings', reason, at: 0 })
}
