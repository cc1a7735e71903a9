import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LabError } from '#core/contract/errors.ts'
import type { HubFile, RepoKind } from '#core/contract/hub.ts'

/** A commit as git names it. */
export const COMMIT = /^[0-9a-f]{40}$/
/** Blobs are named by their ETag: SHA-256 of large files, else SHA-1 of git's blob. */
export const BLOB_NAME = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
/** Ours alone: Python locks by the system and fetches into `<etag>.incomplete`, so that two that do not know each other never write the same file. */
export const PART = '.kvlab-part'
export const RECORD = '.kvlab-record'
export const LOCK = '.kvlab-lock'
/** A name that a blob has for a moment while it gets its own in a snapshot; after a kill it may stay. */
export const LINK = '.kvlab-link'

const REPO = /^(?!.*(\.\.|--))\w[\w.-]{0,95}(\/\w[\w.-]{0,95})?$/
const REVISION_PART = /^\w[\w.-]*$/
const FOLDERS = { model: 'models', dataset: 'datasets' } as const

/** Whether a name is that of a commit. */
export function isCommit(name: string): boolean {
  return COMMIT.test(name)
}

/** `models--org--name`: where a cache of Python's huggingface_hub keeps a repository. Throws LabError INVALID_INPUT of a name that is none. */
export function repoFolder(cache: string, kind: RepoKind, repo: string): string {
  if (!REPO.test(repo)) throw new LabError('INVALID_INPUT', `${JSON.stringify(repo)} is no name of a repository: write organisation/name`)
  return join(cache, [FOLDERS[kind], ...repo.split('/')].join('--'))
}

/** The repository whose folder is called so; null where none is. */
export function repoOf(folder: string): { kind: RepoKind; repo: string } | null {
  const [first, ...rest] = folder.split('--')
  const kind = first === FOLDERS.model ? 'model' : first === FOLDERS.dataset ? 'dataset' : null
  const repo = rest.join('/')
  return kind !== null && REPO.test(repo) ? { kind, repo } : null
}

/** Where content lies, by its hash: SHA-256 of large files, else SHA-1 of git's blob. Throws LabError INVALID_INPUT of what is neither. */
export function blobPath(cache: string, kind: RepoKind, repo: string, etag: string): string {
  if (!BLOB_NAME.test(etag)) throw new LabError('INVALID_INPUT', `${JSON.stringify(etag.slice(0, 80))} of ${repo} is no SHA-256 and no SHA-1`)
  return join(repoFolder(cache, kind, repo), 'blobs', etag)
}

/** Where the files of a commit have their own names. Throws LabError INVALID_INPUT of what is no commit. */
export function snapshotFolder(cache: string, kind: RepoKind, repo: string, commit: string): string {
  if (!isCommit(commit)) throw new LabError('INVALID_INPUT', `${JSON.stringify(commit.slice(0, 80))} of ${repo} is no commit: 40 hexadecimal digits`)
  return join(repoFolder(cache, kind, repo), 'snapshots', commit)
}

/** A file of a snapshot. Throws LabError INVALID_INPUT of a path that could lead out of its folder, on any system. */
export function snapshotPath(snapshot: string, path: string): string {
  const parts = path.split('/')
  if (parts.some((part) => part === '' || part === '.' || part === '..' || /[\\:\0]/.test(part))) {
    throw new LabError('INVALID_INPUT', `${JSON.stringify(path.slice(0, 200))} is no path within a repository`)
  }
  return join(snapshot, ...parts)
}

/** Where a cache notes which commit a branch or tag means. Throws LabError INVALID_INPUT of a name that could lead out of its folder. */
export function refPath(cache: string, kind: RepoKind, repo: string, revision: string): string {
  const parts = revision.split('/')
  if (parts.some((part) => !REVISION_PART.test(part) || part.includes('..'))) throw new LabError('INVALID_INPUT', `${JSON.stringify(revision.slice(0, 200))} is no branch, tag or commit`)
  return join(repoFolder(cache, kind, repo), 'refs', ...parts)
}

/** What a blob of that content is called. */
export function etagOf(file: Pick<HubFile, 'sha256' | 'gitSha1'>): string {
  return file.sha256 ?? file.gitSha1
}

/** Whether a file of a commit is in a cache, as a blob or, where Python found no links, in the snapshot alone. Judged by size: a blob has its name only once it was verified. */
export async function isPresent(cache: string, kind: RepoKind, repo: string, commit: string, file: Pick<HubFile, 'path' | 'bytes' | 'sha256' | 'gitSha1'>): Promise<boolean> {
  if (await hasSize(blobPath(cache, kind, repo, etagOf(file)), file.bytes)) return true
  return hasSize(snapshotPath(snapshotFolder(cache, kind, repo, commit), file.path), file.bytes)
}

/** Whether there is a plain file of that size, perhaps behind a link. */
export async function hasSize(path: string, bytes: number): Promise<boolean> {
  const facts = await stat(path).catch(() => null)
  return facts !== null && facts.isFile() && facts.size === bytes
}
