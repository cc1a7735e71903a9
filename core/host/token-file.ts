import { open, readFile, stat } from 'node:fs/promises'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { newToken } from './access.ts'

/** Shorter ones can be guessed, and a page takes no other characters. */
const TOKEN = /^[\w-]{32,256}$/

/** The token in a file, or a new one that is written there for its owner alone. Errors: INVALID_INPUT (others may read it, no token in it), NOT_WRITABLE, FILE_NOT_FOUND (no such folder). */
export async function tokenFrom(path: string): Promise<string> {
  const facts = await stat(path).catch(() => null)
  if (facts === null) return writeToken(path)
  // Windows keeps no such bits: there the folder decides.
  if (process.platform !== 'win32' && (facts.mode & 0o077) !== 0) throw new LabError('INVALID_INPUT', `${path}: others may read this token: chmod 600 it, or remove it for a new one`)
  const token = await readFile(path, 'utf8').then((text) => text.trim(), (error: unknown) => Promise.reject(fileError(error, path, 'read')))
  if (!TOKEN.test(token)) throw new LabError('INVALID_INPUT', `${path} holds no token of 32 letters and digits or more: remove it for a new one`)
  return token
}

async function writeToken(path: string): Promise<string> {
  const token = newToken()
  try {
    const handle = await open(path, 'wx', 0o600)
    await handle.writeFile(`${token}\n`).finally(() => handle.close())
    return token
  } catch (error) {
    throw fileError(error, path, 'write')
  }
}
