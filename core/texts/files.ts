import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { formatOf, type Format } from './table.ts'

/** The files that a path of a text means, in the order of their documents or rows, all of one format. `folder`: they are more than the one that was named. */
export type TextFiles = { readonly files: readonly string[]; readonly format: Format; readonly folder: boolean }

const ARCHIVE = /\.(zip|tar|tgz|tar\.gz)$/i

/** A shard's name: `train-00000-of-00002.parquet`, `c4-validation.00003-of-00008.json.gz`, with or without the digest that older data sets have in it. */
const SHARD = /^(.+?)[-_.](\d{3,6})-of-(\d{3,6})(?:-[0-9a-f]{16})?(\.[a-z]+(?:\.gz)?)$/

/** Shards of one set in their order, by the set's name. `whole`: all of them are there. */
export type ShardSet = { readonly name: string; readonly files: readonly string[]; readonly whole: boolean }

/** A file's path without its endings and its number among shards: `wikitext-2-raw-v1/test`. */
export function splitName(path: string): string {
  const [, name] = SHARD.exec(basename(path)) ?? []
  return join(dirname(path), name ?? basename(path).replace(/(\.(txt|raw|md|jsonl|ndjson|json|csv|parquet))?(\.gz)?$/, ''))
}

/** The sets that names of a folder's files make, each in order; a name that is no shard's makes none. */
export function shardSets(names: readonly string[]): ShardSet[] {
  const sets = new Map<string, { name: string; of: number; files: Map<number, string>; twice: boolean }>()
  for (const file of [...names].sort()) {
    const [, name, number, of, extension] = SHARD.exec(file) ?? []
    if (name === undefined) continue
    const key = `${name} ${of} ${extension}`
    const set = sets.get(key) ?? { name, of: Number(of), files: new Map<number, string>(), twice: false }
    set.twice ||= set.files.has(Number(number))
    sets.set(key, set)
    set.files.set(Number(number), file)
  }
  return [...sets.values()].map(({ name, of, files, twice }) => ({ name, files: [...files.values()], whole: !twice && files.size === of && [...files.keys()].every((number) => number < of) }))
}

/**
 * What a path means: a file; the shards `path-00000-of-…` of one set; or a folder, of which its `.txt` files are documents, else its tables are shards of one set,
 * else its `.md` files are documents. Throws LabError FILE_NOT_FOUND where there is none, INVALID_INPUT where shards lack or tables are of several kinds.
 */
export async function filesOf(path: string): Promise<TextFiles> {
  const facts = await stat(path).catch(() => null)
  if (facts === null) return shardsOf(path)
  if (ARCHIVE.test(path)) throw new LabError('INVALID_INPUT', `${path} is an archive: import it first, with: kvlab datasets import`)
  if (!facts.isDirectory()) return { files: [path], format: formatOf(path), folder: false }
  const names = await namesIn(path)
  const documents = names.filter((name) => name.endsWith('.txt'))
  const tables = names.filter((name) => formatOf(name) !== 'text' && !name.endsWith('.json'))
  const chosen = [documents, tables, names.filter((name) => name.endsWith('.md'))].find((group) => group.length > 0)
  if (!chosen) throw new LabError('FILE_NOT_FOUND', `${path} holds no .txt file and no table of texts: name a folder of texts or one file`)
  if (chosen === tables) checkOneSet(path, tables)
  return { files: chosen.map((name) => join(path, name)), format: formatOf(chosen[0] ?? ''), folder: true }
}

/** Shards by the name of their set, which is no file's. */
async function shardsOf(path: string): Promise<TextFiles> {
  const folder = dirname(path)
  const names = await namesIn(folder).catch(() => [])
  const [set, other] = shardSets(names).filter(({ name, files }) => name === basename(path) && formatOf(files[0] ?? '') !== 'text')
  if (!set || other) throw fileError(await stat(path).catch((error: unknown) => error), path, 'read')
  checkWhole(path, set)
  return { files: set.files.map((name) => join(folder, name)), format: formatOf(set.files[0] ?? ''), folder: true }
}

/** Splits of a data set lie in one folder: what is fitted on one must not be measured on another by mistake. */
function checkOneSet(folder: string, names: readonly string[]): void {
  if (names.length === 1 && shardSets(names).length === 0) return
  const sets = shardSets(names)
  // Other programs number their parts without saying how many there are.
  const kinds = new Set(names.map((name) => SHARD.exec(name)?.[1] ?? name.replaceAll(/\d+/g, '#')))
  if (kinds.size > 1 || sets.length > 1) {
    const there = sets.length > 1 ? sets.map(({ name }) => name) : names
    throw new LabError('INVALID_INPUT', `${folder} holds tables of several kinds: name one, such as ${join(folder, there[0] ?? '')}: there is ${there.slice(0, 20).join(', ')}`)
  }
  if (sets[0]) checkWhole(folder, sets[0])
}

function checkWhole(path: string, { name, files, whole }: ShardSet): void {
  if (!whole) throw new LabError('INVALID_INPUT', `${path} has only ${files.length} of the files of ${name}, or one twice: get the rest, or name the one file that is meant`)
}

async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw fileError(error, folder, 'read')
  })
  return names.filter((name) => !name.startsWith('.')).sort()
}
