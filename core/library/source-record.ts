import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Source } from '#core/contract/library.ts'

/** What is known of where an imported folder came from, beside its files. */
export const SOURCE_FILE = 'kvlab.json'
/** Six short fields. */
const MAX_SOURCE_BYTES = 64 * 1024

const short = z.string().min(1).max(300)
const schema = z.object({ schema: z.literal('kvlab.shelf/1'), repo: short.nullable(), commit: short.nullable(), licence: short.nullable(), addedAt: short.nullable() }).strict()
/** `repo` and `commit` of a hub, its licence, when it was imported; null where nobody knows. */
export type SourceRecord = z.infer<typeof schema>

/** The record of a folder; null where it has none. Throws LabError MALFORMED_FILE, format `kvlab.shelf`, where its file is something else, and those of file errors. */
export async function readSourceRecord(folder: string): Promise<SourceRecord | null> {
  const path = join(folder, SOURCE_FILE)
  const facts = await stat(path).catch(() => null)
  if (!facts?.isFile()) return null
  const text = facts.size > MAX_SOURCE_BYTES ? '' : await readFile(path, 'utf8').catch((error: unknown) => Promise.reject(fileError(error, path, 'read')))
  const document = parsed(text)
  const { data, error } = schema.safeParse(document)
  if (data) return data
  const reason = `${error.issues[0]?.path.join('.') || 'document'}: ${error.issues[0]?.message ?? 'not a record'}`
  throw new LabError('MALFORMED_FILE', `${path} is no record of an import (${reason}): remove it`, { format: 'kvlab.shelf', reason, at: 0 })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** The text of a record, the same for the same facts. */
export function sourceRecordText(record: Omit<SourceRecord, 'schema'>): string {
  const { repo, commit, licence, addedAt } = record
  return JSON.stringify({ schema: 'kvlab.shelf/1', repo, commit, licence, addedAt } satisfies SourceRecord, null, 2) + '\n'
}

/** The repository and commit of a folder's record; null where it has none that can be read. */
export async function recordedSource(folder: string): Promise<Source | null> {
  const { repo, commit } = (await readSourceRecord(folder).catch(() => null)) ?? { repo: null, commit: null }
  return repo !== null && commit !== null ? { repo, commit } : null
}
