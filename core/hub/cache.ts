import { readdir, readFile, rm, rmdir, stat } from 'node:fs/promises'
import { join, relative, resolve, sep } from 'node:path'
import { fileError } from '#core/bytes/file.ts'
import { isHeld, lockHolder } from '#core/bytes/lock.ts'
import { LabError } from '#core/contract/errors.ts'
import type { RepoKind } from '#core/contract/hub.ts'
import { BLOB_NAME, COMMIT, isCommit, LINK, LOCK, repoFolder, repoOf, snapshotFolder } from './layout.ts'

/** A commit of a repository in a Hugging Face cache. `folder`: its snapshot, where files have their own names; `refs`: branches and tags that mean it. */
export type CachedRevision = { readonly kind: RepoKind; readonly repo: string; readonly commit: string; readonly refs: readonly string[]; readonly folder: string }

/** A ref is a commit and perhaps a line break; a longer file is none. */
const MAX_REF_BYTES = 128

/** Every commit that a cache holds; none where there is no cache. Damaged entries are left out. */
export async function cachedRevisions(cache: string): Promise<CachedRevision[]> {
  const found: CachedRevision[] = []
  for (const name of (await namesIn(cache)).sort()) {
    const owner = repoOf(name)
    if (!owner) continue
    const refs = await refsOf(join(cache, name, 'refs'))
    for (const commit of (await namesIn(join(cache, name, 'snapshots'))).filter(isCommit).sort()) {
      const folder = snapshotFolder(cache, owner.kind, owner.repo, commit)
      const facts = await stat(folder).catch(() => null)
      if (!facts?.isDirectory()) continue
      found.push({ ...owner, commit, folder, refs: refs.filter((ref) => ref.commit === commit).map(({ name }) => name) })
    }
  }
  return found
}

/** The commit in whose snapshot a path lies, by the path alone; null where it lies in none. */
export function cachedSource(cache: string, path: string): Omit<CachedRevision, 'refs'> | null {
  const [name = '', snapshots, commit = '', ...rest] = relative(resolve(cache), resolve(path)).split(sep)
  const owner = repoOf(name)
  if (!owner || snapshots !== 'snapshots' || !isCommit(commit) || rest.length === 0) return null
  return { ...owner, commit, folder: snapshotFolder(cache, owner.kind, owner.repo, commit) }
}

/** SHA-256, or SHA-1 of git's blob, that a snapshot's file had when it came; null where it is no file of a snapshot, or no blob of it is kept. */
export async function cachedHash(path: string): Promise<{ algorithm: 'sha256' | 'git-sha1'; hex: string } | null> {
  const parts = resolve(path).split(sep)
  const at = parts.findIndex((part, i) => COMMIT.test(part) && parts[i - 1] === 'snapshots' && repoOf(parts[i - 2] ?? '') !== null && i < parts.length - 1)
  if (at === -1) return null
  const blob = blobOf(await blobsIn(parts.slice(0, at - 1).join(sep)), await fileAt(path))
  return blob ? { algorithm: blob.name.length === 64 ? 'sha256' : 'git-sha1', hex: blob.name } : null
}

/**
 * What removing these files of a snapshot frees: their links, blobs that no other snapshot names, and snapshots, refs and folders that are empty then. `remove: false` only
 * says so. `files` are those of the snapshots that are there. Throws LabError BUSY while one of them is being downloaded, INVALID_INPUT of a path in no snapshot, NOT_WRITABLE.
 */
export async function removeCached(cache: string, files: readonly string[], options: { remove: boolean }): Promise<{ files: string[]; frees: number }> {
  const wanted = new Map<string, Set<string>>()
  for (const file of files) {
    const source = cachedSource(cache, file)
    if (!source) throw new LabError('INVALID_INPUT', `${file} lies in no snapshot of the cache ${cache}: name a file of one`)
    const folder = repoFolder(cache, source.kind, source.repo)
    wanted.set(folder, (wanted.get(folder) ?? new Set()).add(resolve(file)))
  }
  const gone: string[] = []
  let frees = 0
  for (const [folder, paths] of wanted) {
    if (options.remove) await refuseBusy(folder)
    const plan = await planRemoval(folder, paths)
    gone.push(...plan.files)
    frees += plan.frees
    if (options.remove) await removePlanned(folder, plan)
  }
  return { files: gone, frees }
}

type FileAt = { readonly path: string; readonly id: string; readonly bytes: number }
type Blob = FileAt & { readonly name: string }
type Removing = { readonly files: string[]; readonly blobs: string[]; readonly frees: number }

async function planRemoval(folder: string, wanted: ReadonlySet<string>): Promise<Removing> {
  const blobs = await blobsIn(folder)
  const entries = await Promise.all((await filesUnder(join(folder, 'snapshots'))).map(async (path) => ({ path, file: await fileAt(path) })))
  const going = entries.filter(({ path }) => wanted.has(path))
  const kept = new Set(entries.flatMap(({ path, file }) => (wanted.has(path) ? [] : [file?.id, blobOf(blobs, file)?.id])))
  const freed = going.flatMap(({ file }) => [file, blobOf(blobs, file)]).filter((file) => file !== null && !kept.has(file.id))
  // A file, its links and its blob may be one on disk.
  const bytes = new Map(freed.map((file) => [file?.id, file?.bytes ?? 0]))
  return {
    files: going.map(({ path }) => path),
    blobs: blobs.filter(({ id }) => bytes.has(id)).map(({ path }) => path),
    frees: [...bytes.values()].reduce((sum, size) => sum + size, 0),
  }
}

/** Links first: whoever reads the cache in between finds a file less, and never a link to nothing or a ref of no snapshot. */
async function removePlanned(folder: string, plan: Removing): Promise<void> {
  try {
    for (const path of plan.files) await rm(path, { force: true })
    for (const path of plan.blobs) await rm(path, { force: true })
    // Nobody works here: what is left of locks and links is of processes that were killed.
    for (const name of await namesIn(join(folder, 'blobs'))) if (name.includes(LOCK) || name.endsWith(LINK)) await rm(join(folder, 'blobs', name), { force: true })
    for (const commit of (await namesIn(join(folder, 'snapshots'))).filter(isCommit)) {
      const snapshot = join(folder, 'snapshots', commit)
      if ((await filesUnder(snapshot)).length === 0) for (const ref of await refsOf(join(folder, 'refs'))) if (ref.commit === commit) await rm(ref.path, { force: true })
      await removeEmpty(snapshot)
    }
    await removeEmpty(join(folder, 'refs'))
    const rest = await namesIn(folder)
    // What Python notes of files that a repository does not have is of no use without a snapshot.
    if (!rest.includes('snapshots') || (await namesIn(join(folder, 'snapshots'))).length === 0) await rm(join(folder, '.no_exist'), { recursive: true, force: true })
    await removeEmpty(folder)
  } catch (error) {
    throw fileError(error, folder, 'remove files of')
  }
}

/** Folders below and it itself, as far as nothing lies in them. */
export async function removeEmpty(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) if (entry.isDirectory()) await removeEmpty(join(folder, entry.name))
  await rmdir(folder).catch(() => undefined)
}

async function refuseBusy(folder: string): Promise<void> {
  for (const name of (await namesIn(join(folder, 'blobs'))).filter((entry) => entry.endsWith(LOCK))) {
    const holder = await lockHolder(join(folder, 'blobs', name))
    if (holder && isHeld(holder)) throw new LabError('BUSY', `${repoOf(folder.split(sep).at(-1) ?? '')?.repo ?? folder} is being downloaded: wait until it is done, or cancel that first`)
  }
}

/** The blob that a snapshot's file is, by its identity on disk, which links share; a copy is of the only one of its size. Null where it is none of them. */
function blobOf(blobs: readonly Blob[], file: FileAt | null): Blob | null {
  const same = blobs.find(({ id }) => id === file?.id)
  const sized = blobs.filter(({ bytes }) => bytes === file?.bytes)
  return same ?? (sized.length === 1 ? (sized[0] ?? null) : null)
}

async function blobsIn(repository: string): Promise<Blob[]> {
  const names = (await namesIn(join(repository, 'blobs'))).filter((name) => BLOB_NAME.test(name))
  const found = await Promise.all(names.map(async (name) => ({ name, file: await fileAt(join(repository, 'blobs', name)) })))
  return found.flatMap(({ name, file }) => (file ? [{ ...file, name }] : []))
}

/** The plain file that a path, or the link there, leads to; null where there is none. */
async function fileAt(path: string): Promise<FileAt | null> {
  const facts = await stat(path, { bigint: true }).catch(() => null)
  return facts?.isFile() ? { path, id: `${facts.dev} ${facts.ino}`, bytes: Number(facts.size) } : null
}

async function refsOf(folder: string): Promise<{ name: string; commit: string; path: string }[]> {
  const refs = await Promise.all(
    (await filesUnder(folder)).map(async (path) => {
      const facts = await stat(path).catch(() => null)
      const text = facts?.isFile() && facts.size <= MAX_REF_BYTES ? (await readFile(path, 'utf8').catch(() => '')).trim() : ''
      return { name: relative(folder, path).split(sep).join('/'), commit: text, path }
    }),
  )
  return refs.filter(({ commit }) => isCommit(commit))
}

/** Paths of everything below a folder that is no folder; links are not followed. */
async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => [])
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => resolve(entry.parentPath, entry.name))
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => [])
}
