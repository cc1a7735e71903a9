import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fileError, makeFolder, replaceFile } from '#core/bytes/file.ts'
import { LAB_ERROR_CODES, type LabErrorJson } from '#core/contract/errors.ts'
import { BLOB_NAME, COMMIT, repoFolder, snapshotFolder, snapshotPath } from './layout.ts'

/** A record lists up to thousands of files, at some 200 bytes each; a larger file is none of ours. */
const MAX_RECORD_BYTES = 16 * 2 ** 20
const SCHEMA = 'kvlab.download/1'
const ID = /^[\w-]{1,100}$/

const recordSchema = z
  .object({
    schema: z.literal(SCHEMA),
    id: z.string().regex(ID),
    createdAt: z.string(),
    kind: z.enum(['model', 'dataset']),
    repo: z.string(),
    revision: z.string(),
    commit: z.string().regex(COMMIT),
    choice: z.string(),
    /** Which file or folder of the snapshot is to be used. */
    main: z.string(),
    /** The cache it began in, where its parts lie also when the settings name another since. */
    cache: z.string(),
    files: z.array(z.object({ path: z.string(), bytes: z.int().min(0), sha256: z.string().regex(BLOB_NAME).length(64).nullable(), gitSha1: z.string().regex(BLOB_NAME).length(40) })),
    status: z.enum(['queued', 'running', 'paused', 'done', 'failed']),
    error: z.object({ code: z.enum(LAB_ERROR_CODES), message: z.string() }).nullable(),
  })
  .refine(leadsNowhereElse)

/** A download as it is kept on disk, so that it outlives the engine. */
export type DownloadRecord = Omit<z.infer<typeof recordSchema>, 'schema'> & { error: Pick<LabErrorJson, 'code' | 'message'> | null }

/** Downloads kept in a folder, oldest first; none where there is no folder. Damaged files are left out. */
export async function readRecords(folder: string): Promise<DownloadRecord[]> {
  const names = await readdir(folder).catch(() => [])
  const records = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => readRecord(folder, name)))
  return records.filter((record) => record !== null).sort((one, other) => one.createdAt.localeCompare(other.createdAt) || one.id.localeCompare(other.id))
}

/** Writes a record beside the one of before and renames. Throws LabError NOT_WRITABLE, DISK_FULL. */
export async function writeRecord(folder: string, record: DownloadRecord): Promise<void> {
  await makeFolder(folder)
  await replaceFile(join(folder, `${record.id}.json`), [Buffer.from(JSON.stringify({ schema: SCHEMA, ...record }))])
}

/** Throws LabError NOT_WRITABLE. */
export async function removeRecord(folder: string, id: string): Promise<void> {
  const path = join(folder, `${id}.json`)
  await rm(path, { force: true }).catch((error: unknown) => {
    throw fileError(error, path, 'remove')
  })
}

async function readRecord(folder: string, name: string): Promise<DownloadRecord | null> {
  const path = join(folder, name)
  try {
    if ((await stat(path)).size > MAX_RECORD_BYTES) return null
    const { schema: _, ...record } = recordSchema.parse(JSON.parse(await readFile(path, 'utf8')))
    return name === `${record.id}.json` ? record : null
  } catch {
    return null
  }
}

/** Whether all names are such as the cache has. */
function leadsNowhereElse(record: { cache: string; kind: 'model' | 'dataset'; repo: string; commit: string; main: string; files: { path: string }[] }): boolean {
  try {
    repoFolder(record.cache, record.kind, record.repo)
    const snapshot = snapshotFolder(record.cache, record.kind, record.repo, record.commit)
    for (const path of [record.main, ...record.files.map((file) => file.path)]) snapshotPath(snapshot, path)
    return true
  } catch {
    return false
  }
}
