import { randomUUID } from 'node:crypto'
import { copyFile, link, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileError, makeFolder } from '#core/bytes/file.ts'
import type { RepoKind } from '#core/contract/hub.ts'
import { LINK, refPath, repoFolder } from './layout.ts'

/** How a system makes links; both may refuse. */
export type Links = { readonly symbolic: (target: string, path: string) => Promise<void>; readonly hard: (existing: string, path: string) => Promise<void> }
const SYSTEM_LINKS: Links = { symbolic: (target, path) => symlink(target, path, 'file'), hard: link }

/** What systems say where links are not allowed (Windows without the right) or not known (FAT, some network folders). */
const NO_LINKS = new Set(['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'UNKNOWN', 'EMLINK', 'EXDEV'])

/**
 * Gives a verified blob its name in a snapshot, at once: a relative symbolic link as Python makes it; where those are refused a hard link, which needs no right and keeps
 * the blob under its hash; where both are, a copy. A file that leads to the blob already stays. Throws LabError NOT_WRITABLE, DISK_FULL.
 */
export async function placeBlob(blob: string, path: string, links: Links = SYSTEM_LINKS): Promise<void> {
  if (await isSame(blob, path)) return
  await makeFolder(dirname(path))
  // Beside the blob: readers of a snapshot take every name there for a file of the repository. What a process that is killed here leaves is a link, and goes with the repository.
  const beside = `${blob}.${randomUUID()}${LINK}`
  try {
    await firstOf(
      () => links.symbolic(relative(dirname(path), blob), beside),
      () => links.hard(blob, beside),
      () => copyFile(blob, beside),
    )
    await rename(beside, path)
    // Renaming one hard link onto another of the same file leaves both.
    await rm(beside, { force: true })
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined)
    throw fileError(error, path, 'write')
  }
}

/** Notes which commit a branch or tag means; nothing where the revision is the commit itself. Throws LabError NOT_WRITABLE, DISK_FULL. */
export async function writeRef(cache: string, kind: RepoKind, repo: string, revision: string, commit: string): Promise<void> {
  if (revision === commit) return
  const path = refPath(cache, kind, repo, revision)
  await makeFolder(dirname(path))
  // Not in `refs`: there every file is taken for a ref.
  const beside = join(repoFolder(cache, kind, repo), `.${randomUUID()}.kvlab-ref`)
  try {
    await writeFile(beside, commit)
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined)
    throw fileError(error, path, 'write')
  }
}

async function isSame(blob: string, path: string): Promise<boolean> {
  const [one, other] = await Promise.all([blob, path].map((at) => stat(at, { bigint: true }).catch(() => null)))
  return one !== null && other !== null && one !== undefined && other !== undefined && one.ino === other.ino && one.dev === other.dev
}

/** The first that the system allows. */
async function firstOf(...ways: (() => Promise<void>)[]): Promise<void> {
  for (const [i, way] of ways.entries()) {
    try {
      return await way()
    } catch (error) {
      if (i === ways.length - 1 || !NO_LINKS.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
}
