import { randomUUID } from 'node:crypto'
import { mkdir, open, realpath, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { LabError, type LabErrorCode } from '#core/contract/errors.ts'
import { type ByteSource, checkRange, naming } from './source.ts'

/** A file as a byte source, open until `close()`. */
export type FileSource = ByteSource & { close(): Promise<void> }

/** Node refuses to read 2 GiB or more at once. */
const MAX_READ_BYTES = 2 ** 30

/** Opens a file for positioned reads. Errors: FILE_NOT_FOUND, INVALID_INPUT (a folder, not permitted), MALFORMED_FILE (it shrank while it was read). */
export async function openFile(path: string): Promise<FileSource> {
  const { handle, size } = await asFile(path, 'read', async () => {
    const opened = await open(path, 'r')
    const facts = await opened.stat()
    if (facts.isFile()) return { handle: opened, size: facts.size }
    await opened.close()
    throw new LabError('INVALID_INPUT', notAFileText(path))
  })
  return {
    name: path,
    size,
    read: async (begin, end) => {
      naming(path, () => checkRange(begin, end, size))
      const bytes = new Uint8Array(end - begin)
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await asFile(path, 'read', () => handle.read(bytes, done, Math.min(bytes.length - done, MAX_READ_BYTES), begin + done))
        if (bytesRead === 0) naming(path, () => checkRange(begin, end, begin + done))
        done += bytesRead
      }
      return bytes
    },
    close: () => handle.close(),
  }
}

/**
 * Writes `chunks` beside `path`, syncs and renames, so that `path` is the old file, or none, until it is the whole new one.
 * `mode`: who may read and write it, as `open` takes it. On any failure, also of `chunks` itself, the file beside is removed and `path` is as it was.
 * Errors: FILE_EXISTS (with `overwrite: false`), FILE_NOT_FOUND (no such folder), NOT_WRITABLE, DISK_FULL, INVALID_INPUT (a folder or device).
 */
export async function replaceFile(
  path: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: { overwrite?: boolean; mode?: number } = {},
): Promise<void> {
  const overwrite = options.overwrite ?? true
  const target = await asFile(path, 'write', () => destination(path, overwrite))
  const beside = join(dirname(target), `.${basename(target)}.${randomUUID()}.part`)
  const handle = await asFile(path, 'write', () => open(beside, 'wx', options.mode))
  try {
    await fill(handle, chunks, path)
    await asFile(path, 'write', () => (overwrite ? rename(beside, target) : renameToNew(beside, target)))
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined)
    throw error
  }
}

/** Rename that fails where `target` exists: of two that write the same new file, one gets FILE_EXISTS. */
async function renameToNew(from: string, target: string): Promise<void> {
  await (await open(target, 'wx')).close()
  try {
    await rename(from, target)
  } catch (error) {
    await rm(target, { force: true }).catch(() => undefined)
    throw error
  }
}

/** Where to rename to: behind a link, the file that it names. */
async function destination(path: string, overwrite: boolean): Promise<string> {
  const facts = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  })
  if (facts === null) return path
  // A rename would put a file in the place of a device such as /dev/null.
  if (!facts.isFile()) throw new LabError('INVALID_INPUT', notAFileText(path))
  if (!overwrite) throw new LabError('FILE_EXISTS', existsText(path))
  return realpath(path)
}

async function fill(handle: FileHandle, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, path: string): Promise<void> {
  try {
    for await (const chunk of chunks) await asFile(path, 'write', () => handle.writeFile(chunk))
    await asFile(path, 'write', () => handle.sync())
  } finally {
    await asFile(path, 'write', () => handle.close())
  }
}

async function asFile<T>(path: string, doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, path, doing)
  }
}

/** Make a folder and those above it. On a read-only file system Node calls that ENOENT; here it is NOT_WRITABLE. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw fileError(error, path, 'make')
    throw new LabError('NOT_WRITABLE', `cannot make ${path}: a folder above it may not be written; check the permissions or name another folder`, { path, system: 'ENOENT' }, { cause: error })
  }
}

/**
 * The LabError for what the system said while `doing` ('read', or a verb of writing such as 'write' or 'remove') `path`.
 * A LabError stays as it is; what the system did not say is a defect and becomes INTERNAL.
 */
export function fileError(error: unknown, path: string, doing: string): LabError {
  if (error instanceof LabError) return error
  const system = codeOf(error)
  const said = error instanceof Error ? error.message : String(error)
  const [code, text] = system === null ? (['INTERNAL', said] as const) : explain(system, path, doing, said)
  return new LabError(code, text, { path, system }, { cause: error })
}

function explain(system: string, path: string, doing: string, said: string): readonly [LabErrorCode, string] {
  const reading = doing === 'read'
  switch (system) {
    case 'ENOENT':
    case 'ENOTDIR':
      if (reading) return ['FILE_NOT_FOUND', `${path} does not exist: check the path`]
      return ['FILE_NOT_FOUND', `cannot ${doing} ${path}: its folder does not exist; make it or name another`]
    case 'EEXIST':
      return ['FILE_EXISTS', existsText(path)]
    case 'ENOSPC':
    case 'EDQUOT':
      return ['DISK_FULL', `cannot ${doing} ${path}: the disk or the quota is full; free some space or name another folder`]
    case 'EISDIR':
      return ['INVALID_INPUT', notAFileText(path)]
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      if (reading) return ['INVALID_INPUT', `cannot read ${path}: permission denied; check who may read it`]
      return ['NOT_WRITABLE', `cannot ${doing} ${path}: it or its folder may not be written; check the permissions or name another folder`]
    default:
      return [reading ? 'INVALID_INPUT' : 'NOT_WRITABLE', `cannot ${doing} ${path}: ${said}`]
  }
}

function existsText(path: string): string {
  return `${path} exists already: name another file or remove it first`
}

function notAFileText(path: string): string {
  return `${path} is a folder or a device: name a plain file`
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}

/** Bytes that a folder, which need not exist yet, may still take; null where the system does not say. */
export async function freeBytes(folder: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch {
    return dirname(folder) === folder ? null : freeBytes(dirname(folder))
  }
}
