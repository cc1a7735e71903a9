import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileError, freeBytes, makeFolder } from '#core/bytes/file.ts'
import { takeLock } from '#core/bytes/lock.ts'
import type { Progress } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Imported } from '#core/contract/library.ts'
import { isArchive, openArchive } from './archive.ts'
import { absolutePath } from './folders.ts'
import { openFolder, openSingle, type Incoming, type Intake } from './intake.ts'
import { refuseKind, refuseSums } from './import-checks.ts'
import { findModel } from './models.ts'
import { HELD_BY, STAGING, sweepAside } from './set-aside.ts'
import { shelfFolder, type Places, type Shelved } from './shelf.ts'
import { readSourceRecord, SOURCE_FILE, sourceRecordText } from './source-record.ts'
import { hashing, readSums, SUMS_FILE, sumsText, type Sums } from './sums.ts'
import { chooseText } from './text-files.ts'
import { underWay } from './under-way.ts'

/** What stays free on the disk of the library, for everything else that writes there. */
const SPARE_BYTES = 64 * 1024 * 1024

/**
 * Copies a folder, a file, or an archive of them into the library: hashed while it is written, checked against hashes that came with it, and there at once and whole or
 * not at all. `name` null: its own. Errors: FILE_NOT_FOUND, FILE_EXISTS (the name is taken), MALFORMED_FILE (what is refused), CHECKSUM_MISMATCH, MODEL_UNSUPPORTED and
 * INVALID_INPUT (no model, no text), DISK_FULL, NOT_WRITABLE.
 */
export async function* importToShelf(places: Places, what: Shelved & { name: string | null }, signal: AbortSignal): AsyncGenerator<Progress, Imported, void> {
  let intake: Intake | null = null
  const work = async (inner: AbortSignal): Promise<Imported> => {
    intake = await openIntake(what.kind, absolutePath(what.path))
    try {
      return await bring(shelfFolder(places, what.kind), what, intake, inner)
    } finally {
      await intake.close()
    }
  }
  return yield* underWay(work, () => ({ phase: 'importing', ...(intake?.progress() ?? { done: 0, total: 0 }), unit: 'bytes' }), signal)
}

async function openIntake(kind: Shelved['kind'], path: string): Promise<Intake> {
  const facts = await stat(path).catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  if (facts.isDirectory()) return openFolder(path)
  if (!facts.isFile()) throw new LabError('INVALID_INPUT', `${path} is a device or a pipe: name a file or a folder`)
  if (isArchive(path)) return openArchive(path)
  if (kind === 'model') throw new LabError('INVALID_INPUT', `${path} is one file: name the folder of the model, or an archive of it (.zip, .tar, .tar.gz)`)
  return openSingle(path)
}

async function bring(shelf: string, { kind, path, name }: Shelved & { name: string | null }, intake: Intake, signal: AbortSignal): Promise<Imported> {
  if (intake.names) {
    const top = topOf(intake.names)
    refuseKind(kind, path, intake.names, top)
    await refuseTaken(join(shelf, name ?? ownName(top ?? intake.name, kind)))
  }
  await makeFolder(shelf)
  await sweepAside(shelf)
  const staging = join(shelf, `${STAGING}${randomUUID()}`)
  const release = await takeLock(staging + HELD_BY, basename(staging))
  try {
    await asWrite(staging, () => mkdir(staging))
    const received = await receiveAll(join(staging, 'files'), intake, signal)
    const names = [...received.keys()]
    const top = topOf(names)
    refuseKind(kind, path, names, top)
    const root = top === null ? join(staging, 'files') : join(staging, 'files', top)
    const target = join(shelf, name ?? ownName(top ?? intake.name, kind))
    const files = new Map([...received].map(([file, facts]) => [top === null ? file : file.slice(top.length + 1), facts]))
    await record(root, path, intake, files)
    await refuseTaken(target)
    signal.throwIfAborted()
    await asWrite(target, () => rename(root, target))
    await syncFolder(shelf)
    const own = [...files].filter(([file]) => file !== SUMS_FILE && file !== SOURCE_FILE)
    return { name: basename(target), path: await specPath(kind, target), files: own.length, bytes: own.reduce((sum, [, { bytes }]) => sum + bytes, 0) }
  } finally {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined)
    await release().catch(() => undefined)
  }
}

type Received = { readonly sha256: string; readonly bytes: number }

async function receiveAll(folder: string, intake: Intake, signal: AbortSignal): Promise<Map<string, Received>> {
  await asWrite(folder, () => mkdir(folder))
  const free = await freeBytes(folder)
  let room = free === null ? Infinity : free - SPARE_BYTES
  const received = new Map<string, Received>()
  for await (const file of intake.files(signal)) {
    if (file.bytes > room) throw new LabError('DISK_FULL', `${file.name} needs ${file.bytes} bytes and ${Math.max(0, room)} are free for it in ${dirname(folder)}: free some space, or name another library by KVLAB_HOME`, { needed: file.bytes, free: Math.max(0, room) })
    room -= file.bytes
    received.set(file.name, await receive(join(folder, ...file.name.split('/')), file, signal))
  }
  return received
}

async function receive(path: string, { name, bytes, content }: Incoming, signal: AbortSignal): Promise<Received> {
  await makeFolder(dirname(path))
  const hash = hashing('sha256', bytes)
  const handle = await asWrite(path, () => open(path, 'wx'))
  try {
    let written = 0
    for await (const chunk of content) {
      signal.throwIfAborted()
      written += chunk.length
      if (written > bytes) break
      hash.update(chunk)
      await asWrite(path, () => handle.writeFile(chunk))
    }
    if (written !== bytes) throw new LabError('MALFORMED_FILE', `${JSON.stringify(name)} has ${written > bytes ? 'more' : 'fewer'} bytes than the ${bytes} that its source says: get it again`, { format: 'import', reason: 'WrongSize', at: written })
    await asWrite(path, () => handle.sync())
  } finally {
    await handle.close()
  }
  return { sha256: hash.hex(), bytes }
}

/** Writes where it came from and the hashes of all of it into a folder, after those that came with it were held against what came. */
async function record(root: string, path: string, intake: Intake, files: Map<string, Received>): Promise<void> {
  const sums = new Map([...files].map(([file, { sha256 }]) => [file, sha256]))
  sums.delete(SUMS_FILE)
  const given = await readSums(root)
  if (given) refuseSums(path, given, sums)
  if ((await readSourceRecord(root)) === null) {
    const text = Buffer.from(sourceRecordText({ repo: intake.source?.repo ?? null, commit: intake.source?.commit ?? null, licence: null, addedAt: new Date().toISOString() }))
    const hash = hashing('sha256', text.length)
    hash.update(text)
    sums.set(SOURCE_FILE, hash.hex())
    await writeSynced(join(root, SOURCE_FILE), text)
  }
  await writeSynced(join(root, SUMS_FILE), Buffer.from(sumsText(sums satisfies Sums)))
  for (const folder of new Set([...files.keys()].map((file) => dirname(join(root, ...file.split('/')))))) await syncFolder(folder)
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  await asWrite(path, () => writeFile(path, bytes, { flush: true }))
}

/** A rename is on disk once its folder is. Some systems do not let folders be opened, and need no such thing. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => null)
  await handle?.sync().catch(() => undefined)
  await handle?.close()
}

/** The one folder that holds all of them; null where there is none. */
function topOf(names: readonly string[]): string | null {
  const [top, ...rest] = new Set(names.map((name) => (name.includes('/') ? name.slice(0, name.indexOf('/')) : '')))
  return top && rest.length === 0 ? top : null
}

/** What it calls itself as the name of a folder that a spec can name. */
function ownName(given: string, kind: Shelved['kind']): string {
  const name = given.normalize('NFKD').replace(/[^\w.-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '').replace(/[.-]+$/, '').slice(0, 96)
  return name === '' ? kind : name
}

async function refuseTaken(target: string): Promise<void> {
  const taken = await readdir(dirname(target)).catch(() => [])
  // On a system that knows no case both would be one folder.
  const same = taken.find((entry) => entry.toLowerCase() === basename(target).toLowerCase())
  if (same !== undefined) throw new LabError('FILE_EXISTS', `the library has ${join(dirname(target), same)} already: give another name (--name NAME), or remove that first`)
}

async function specPath(kind: Shelved['kind'], target: string): Promise<string> {
  if (kind === 'text') return chooseText(target).catch(() => target)
  return findModel(target).then(({ onnxPath }) => onnxPath, () => target)
}

async function asWrite<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, path, 'write')
  }
}
