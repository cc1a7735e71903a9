import { constants, type Stats } from 'node:fs'
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Source } from '#core/contract/library.ts'
import { EntryNames } from './entry-name.ts'
import { snapshotOf } from './models.ts'

/** A file that comes in. `bytes` is what its source says it has; `content` must be read to its end before the next one. */
export type Incoming = { readonly name: string; readonly bytes: number; readonly content: AsyncIterable<Uint8Array> }

/** Where files come from when something is imported. */
export type Intake = {
  /** What it calls itself. */
  readonly name: string
  /** Names of all its files, where they are known before they are read. */
  readonly names: readonly string[] | null
  readonly source: Source | null
  /** In bytes, of the source or of what comes out of it. */
  progress(): { done: number; total: number }
  files(signal: AbortSignal): AsyncGenerator<Incoming, void>
  close(): Promise<void>
}

/** Large enough that the disk is the limit, small enough that cancelling is felt at once. */
export const CHUNK_BYTES = 1024 * 1024

type OnDisk = { readonly name: string; readonly path: string; readonly bytes: number }

/**
 * The files below a folder. Links are followed to files of the folder itself and, of a snapshot in a Hugging Face cache, of its repository. Hidden ones are left out.
 * Throws LabError MALFORMED_FILE naming what is refused, and those of file errors.
 */
export async function openFolder(path: string): Promise<Intake> {
  const real = await asRead(path, () => realpath(path))
  const snapshot = snapshotOf(real)
  const realm = snapshot ? dirname(dirname(real)) : real
  const names = new EntryNames(path, 'folder')
  const files: OnDisk[] = []
  const walk = async (folder: string, prefix: string): Promise<void> => {
    const entries = await asRead(folder, () => readdir(folder, { withFileTypes: true }))
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = names.accept(prefix + entry.name, entry.isDirectory() ? 'folder' : 'file')
      if (name === null) continue
      const at = join(folder, entry.name)
      if (entry.isDirectory()) await walk(at, `${name}/`)
      else files.push({ name, ...(await plainFile(at, name, realm, names)) })
    }
  }
  await walk(real, '')
  return onDisk(basename(snapshot?.repo ?? real), files, snapshot)
}

/** One file. Throws LabError of file errors. */
export async function openSingle(path: string): Promise<Intake> {
  const name = basename(path)
  const { size } = await asRead(path, () => stat(path))
  new EntryNames(dirname(path), 'folder').accept(name, 'file')
  return onDisk(name.replace(/(\.[A-Za-z]\w{0,7}){1,2}$/, ''), [{ name, path, bytes: size }], null)
}

async function plainFile(path: string, name: string, realm: string, names: EntryNames): Promise<Omit<OnDisk, 'name'>> {
  const real = await realpath(path).catch(() => null)
  if (real === null) throw names.refusal(name, 'DeadLink', 'it is a link to nothing')
  if (!real.startsWith(realm + sep)) throw names.refusal(name, 'LinkOutside', 'it is a link to what lies outside')
  const facts: Stats = await asRead(path, () => stat(real))
  if (facts.isDirectory()) throw names.refusal(name, 'LinkToFolder', 'it is a link to a folder')
  if (!facts.isFile()) throw names.refusal(name, 'NoPlainFile', 'it is a device, a pipe or a socket')
  return { path: real, bytes: facts.size }
}

function onDisk(name: string, files: readonly OnDisk[], source: Source | null): Intake {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  let done = 0
  return {
    name,
    names: files.map((file) => file.name),
    source,
    progress: () => ({ done, total }),
    files: async function* (signal) {
      for (const { name, path, bytes } of files) {
        const content = readChunks(path, signal, (count) => (done += count))
        yield { name, bytes, content }
      }
    },
    close: async () => {},
  }
}

/** A file in pieces; `count` is told of each. Throws LabError of file errors, and what the signal says. */
export async function* readChunks(path: string, signal: AbortSignal, count: (bytes: number) => void): AsyncGenerator<Uint8Array, void> {
  // What was a plain file a moment ago must not be a link to elsewhere, or a pipe that nobody writes to.
  const handle = await asRead(path, () => open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)))
  try {
    if (!(await handle.stat()).isFile()) throw new LabError('INVALID_INPUT', `${path} is a folder or a device: name a plain file`)
    for (;;) {
      signal.throwIfAborted()
      const { bytesRead, buffer } = await asRead(path, () => handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES))
      if (bytesRead === 0) return
      count(bytesRead)
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}

async function asRead<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}
