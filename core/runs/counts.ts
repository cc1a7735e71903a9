import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { makeFolder, replaceFile } from '#core/bytes/file.ts'
import type { TextCount } from '#core/contract/library.ts'

/** What a count depends on. */
export type CountKey = { readonly textSha256: string; readonly tokenizerSha256: string; readonly documents: number }
/** A count without the name that the model had. */
export type Counted = Omit<TextCount, 'model'>

/** Counts that are kept, the newest: a text of each split and model that a person works with, many times over. */
const MAX_COUNTS = 1000

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.int().min(0)
const kept = z.object({ textSha256: sha256, tokenizerSha256: sha256, documents: count, characters: count, tokens: count, tokenIdsSha256: sha256 })
const file = z.object({ schema: z.literal('kvlab.counts/1'), counts: z.array(kept) })

/** A count that was made before; null where it was not. */
export async function knownCount(home: string, key: CountKey): Promise<Counted | null> {
  const found = (await readCounts(home)).find((entry) => same(entry, key))
  if (!found) return null
  const { tokenizerSha256: _, ...counted } = found
  return counted
}

/** Keeps a count in `home/counts.json`. Of two engines that write at once one count is lost, and made again when it is asked for. Throws LabError of file errors. */
export async function keepCount(home: string, key: CountKey, counted: Counted): Promise<void> {
  const others = (await readCounts(home)).filter((entry) => !same(entry, key))
  const counts = [{ ...counted, tokenizerSha256: key.tokenizerSha256 }, ...others].slice(0, MAX_COUNTS)
  await makeFolder(home)
  await replaceFile(pathOf(home), [Buffer.from(JSON.stringify({ schema: 'kvlab.counts/1', counts } satisfies z.infer<typeof file>) + '\n')])
}

/** What is kept; nothing where the file is damaged: all of it can be counted again. */
async function readCounts(home: string): Promise<z.infer<typeof kept>[]> {
  try {
    return file.parse(JSON.parse(await readFile(pathOf(home), 'utf8'))).counts
  } catch {
    return []
  }
}

function same(a: CountKey, b: CountKey): boolean {
  return a.textSha256 === b.textSha256 && a.tokenizerSha256 === b.tokenizerSha256 && a.documents === b.documents
}

function pathOf(home: string): string {
  return join(home, 'counts.json')
}
