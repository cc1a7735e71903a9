import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { LabError } from '#core/contract/errors.ts'
import type { Source } from '#core/contract/library.ts'
import { cachedSource } from '#core/hub/cache.ts'
import { filesOf, splitName } from '#core/texts/files.ts'
import { graphFiles } from './graph-files.ts'
import { locateModel, locateText } from './locate.ts'
import { findModel, folderOf, modelsIn, type ModelFolder } from './models.ts'
import { recordedSource } from './source-record.ts'
import { readSums, SUMS_FILE, type Sums } from './sums.ts'
import { textFiles } from './text-files.ts'

/** Where a library lies: its own folder, and the Hugging Face cache beside it. */
export type Places = { readonly home: string; readonly cache: string }

/** Something on a shelf of the library: a model or a text, by the path that the list gives. */
export type Shelved = { readonly kind: 'model' | 'text'; readonly path: string }

/** An entry of a shelf as files. */
export type ShelfEntry = {
  readonly name: string
  /** Built in; a folder of the library's own; a snapshot in the Hugging Face cache; or a person's own folder, where nothing is ever changed. */
  readonly place: 'embedded' | 'library' | 'hub' | 'elsewhere'
  /** What names of files are relative to. */
  readonly folder: string
  /** Names within the folder, `/` between parts, recorded ones that are not there any more among them. */
  readonly files: readonly string[]
  /** The folder's record of hashes; null where it has none. */
  readonly sums: Sums | null
  readonly source: Source | null
  /** Of a model, what its files are of; null of one that lost its graph. */
  readonly model: ModelFolder | null
}

/** Beside a graph, all that a run or a reader of a model may need: configuration, tokenizer, licence, and words about it. */
const BESIDE = /^((config|generation_config|preprocessor_config|special_tokens_map|added_tokens|vocab|kvlab)\.json|tokenizer[\w.-]*\.(json|model)|merges\.txt|vocab\.txt|[\w.-]+\.model|chat_template[\w.-]*|(readme|licen[cs]e|notice|model_card|use_policy)[\w.-]*|DATA\.json)$/i
/** A graph's name, of it and of external data that is called after it. */
const GRAPH_NAME = /^(.*?\.onnx)/

/** The library's own folder of a kind. */
export function shelfFolder({ home }: Places, kind: Shelved['kind']): string {
  return join(home, kind === 'model' ? 'models' : 'data')
}

/** The entry that a path, or a name of the library, means. Throws LabError as `locateModel`, `locateText` and `findModel`; INVALID_INPUT of the demo text, which has no file. */
export async function shelfEntry(places: Places, { kind, path }: Shelved): Promise<ShelfEntry> {
  return kind === 'model' ? modelOnShelf(places, await locateModel(places, path)) : textOnShelf(places, await locateText(places, path))
}

async function modelOnShelf(places: Places, path: string): Promise<ShelfEntry> {
  const { folder, graph: named } = folderOf(path)
  const sums = await readSums(folder)
  const { models, lacks } = await modelsIn(folder, named)
  const present = named === null ? models : models.filter(({ onnxPath }) => basename(onnxPath) === named)
  const place = path === 'demo' ? 'embedded' : await placeOf(places, 'model', folder)
  // What lost files is still there to be verified and removed; an import without any graph is what its record says.
  if (present.length === 0 && sums) return { name: basename(folder), place, folder, files: [...sums.keys()].sort(), sums, source: await recordedSource(folder), model: null }
  const model = present.length === 1 && present[0] && lacks !== null ? present[0] : await findModel(path)
  const { source } = model
  const graph = namesWithin(folder, await graphFiles(model))
  const others = namesWithin(folder, await otherGraphFiles(model))
  const ownGraph = namesWithin(folder, [model.onnxPath])[0] ?? ''
  const isOwn = (name: string): boolean => graph.includes(name) || (!others.includes(name) && (GRAPH_NAME.exec(name)?.[1] ?? ownGraph) === ownGraph)
  const beside = (await readdir(folder)).filter((name) => BESIDE.test(name))
  const recorded = sums ? [...sums.keys()].filter(isOwn) : []
  const files = [...new Set([...graph, ...recorded, ...beside])].sort()
  return { name: basename(source && place === 'hub' ? source.repo : folder), place, folder, files, sums, source, model }
}

/** What the other graphs beside a model's own are made of, and no part of it is. */
export async function otherGraphFiles(model: ModelFolder): Promise<string[]> {
  const own = new Set(await graphFiles(model))
  const { models } = await modelsIn(model.folder)
  const files = await Promise.all(models.filter(({ onnxPath }) => onnxPath !== model.onnxPath).map(graphFiles))
  return [...new Set(files.flat())].filter((file) => !own.has(file))
}

async function textOnShelf(places: Places, path: string): Promise<ShelfEntry> {
  if (path === 'demo') throw new LabError('INVALID_INPUT', 'the demo text is a part of this program and no file of the library: name another')
  const isFolder = (await stat(path).catch(() => null))?.isDirectory() ?? false
  const cached = cachedSource(places.cache, path)
  if (cached) {
    const files = await filesOf(path).then((text) => text.files, () => textFiles(path))
    return { name: basename(cached.repo), place: 'hub', folder: cached.folder, files: namesWithin(cached.folder, files), sums: null, source: { repo: cached.repo, commit: cached.commit }, model: null }
  }
  const imported = await importedFolder(shelfFolder(places, 'text'), path)
  if (imported) {
    const { folder, sums } = imported
    const files = [...new Set([...sums.keys(), ...namesWithin(folder, await textFiles(folder))])].sort()
    return { name: basename(folder), place: await placeOf(places, 'text', folder), folder, files, sums, source: await recordedSource(folder), model: null }
  }
  const { files } = await filesOf(path)
  const folder = isFolder ? path : dirname(path)
  const place = await placeOf(places, 'text', isFolder ? path : (files[0] ?? path))
  return { name: basename(splitName(path)), place, folder, files: namesWithin(folder, files), sums: null, source: await recordedSource(folder), model: null }
}

/** The folder of an import that a path lies in or is: what came together stays together. */
async function importedFolder(shelf: string, path: string): Promise<{ folder: string; sums: Sums } | null> {
  for (let folder = path; folder.startsWith(shelf + sep); folder = dirname(folder)) {
    const sums = await readSums(folder)
    if (sums) return { folder, sums }
  }
  return null
}

/** Where a folder or file is by its real path, for a link in the library may lead to a folder of the person's own. */
async function placeOf(places: Places, kind: Shelved['kind'], path: string): Promise<ShelfEntry['place']> {
  if (cachedSource(places.cache, join(path, 'config.json')) !== null) return 'hub'
  const shelf = shelfFolder(places, kind)
  return isWithin(shelf, path) && isWithin(await realpath(shelf), await realpath(path)) ? 'library' : 'elsewhere'
}

function isWithin(folder: string, path: string): boolean {
  return path.startsWith(folder + sep)
}

function namesWithin(folder: string, paths: readonly string[]): string[] {
  return paths.map((path) => relative(folder, path).replaceAll('\\', '/')).filter((name) => name !== SUMS_FILE)
}
