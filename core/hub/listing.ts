import { z } from 'zod'
import { foldedName, nameFault } from '#core/bytes/file-name.ts'

/** A file as a hub lists it: `sha256` where git keeps a pointer only, `gitSha1` then is that of the pointer. */
export type ListedFile = { readonly path: string; readonly bytes: number; readonly sha256: string | null; readonly gitSha1: string }

const size = z.number().refine((value) => Number.isSafeInteger(value) && value >= 0)
const entry = z.object({
  type: z.string(),
  path: z.string(),
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  size,
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size }).nullish(),
})
const other = z.object({ type: z.string().refine((type) => type !== 'file') })
const page = z.array(z.union([other, entry]))

/** The files of one page of a listing (`/api/models/{repo}/tree/{commit}`); what is in it besides files is left out. null: it is no listing, or a name in it leads out of its folder. */
export function readListing(document: unknown): ListedFile[] | null {
  const { data } = page.safeParse(document)
  if (!data) return null
  const files = data.filter((one): one is z.infer<typeof entry> => one.type === 'file')
  if (files.some(({ path }) => escapes(path))) return null
  return files.map(({ path, size, oid, lfs }) => ({ path, bytes: lfs?.size ?? size, sha256: lfs?.oid ?? null, gitSha1: oid }))
}

/**
 * The files that can be kept side by side on every system, by path: without names that Windows does not take or that differ from an earlier one in case or composition of letters only,
 * and without files whose name is a folder of others.
 */
export function storable(files: readonly ListedFile[]): ListedFile[] {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1))
  const folders = new Set(sorted.flatMap(({ path }) => foldersOf(foldedName(path))))
  const seen = new Set<string>()
  return sorted.filter(({ path }) => {
    const name = foldedName(path)
    if (nameFault(path) !== null || folders.has(name) || seen.has(name)) return false
    seen.add(name)
    return true
  })
}

/** Whether a name could mean a place outside the folder it is put into. */
function escapes(path: string): boolean {
  return /[\\\0]/.test(path) || path.split('/').some((part) => part === '' || part === '.' || part === '..')
}

function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
}
