import { lstat, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { nameFault } from '#core/bytes/file-name.ts'
import { LabError } from '#core/contract/errors.ts'
import { nearestOf } from '#core/contract/nearest.ts'
import { cachedRevisions, type CachedRevision } from '#core/hub/cache.ts'
import { filesOf } from '#core/texts/files.ts'
import { absolutePath, searchFolders } from './folders.ts'
import { modelsIn } from './models.ts'
import type { Places } from './shelf.ts'
import { chooseText, textFiles } from './text-files.ts'

/** A name that means something in the library: `organisation/name[@revision][:part]`, where the part is a model's weights or a path within a data set. */
export type LibraryName = { readonly repo: string; readonly revision: string | null; readonly part: string | null }

const NAME = /^([A-Za-z0-9][\w.-]{0,95}(?:\/[A-Za-z0-9][\w.-]{0,95})?)(?:@([A-Za-z0-9][\w./-]{0,254}))?(?::(.{1,500}))?$/

/** What a text says as a name of the library, by its form alone; null where it can only be a path. None of its parts leads anywhere but down. */
export function parseName(text: string): LibraryName | null {
  const [, repo, revision = null, part = null] = NAME.exec(text) ?? []
  if (repo === undefined || [repo, revision, part].some((piece) => piece !== null && nameFault(piece) !== null)) return null
  return { repo, revision, part }
}

/**
 * The path of what a person named: `demo` and paths that exist stay as they are, made absolute; `organisation/name[@revision][:weights]` is a graph in the Hugging Face cache,
 * `name[:weights]` one that was imported; without weights it is their folder. Throws LabError FILE_NOT_FOUND with the nearest names and how to get it.
 */
export async function locateModel(places: Places, name: string): Promise<string> {
  const asked = await askedFor(name)
  if (typeof asked === 'string') return asked
  const folder = await folderOf(places, 'model', asked, name)
  if (asked.part === null) return folder
  const { models } = await modelsIn(folder)
  const wanted = models.find(({ weights }) => (weights ?? 'fp32') === asked.part)
  if (wanted) return wanted.onnxPath
  const has = models.map(({ weights }) => weights ?? 'fp32').join(', ') || 'none'
  throw new LabError('FILE_NOT_FOUND', `${asked.repo} is here with the weights ${has}, not ${asked.part}: name one of them, or get it: ${addCommand('model', asked)}`)
}

/**
 * The path of the text that a person named, as `locateModel`: `organisation/name[@revision][:path within it]` in the Hugging Face cache, where the path may be the beginning
 * of a file's name as `wikitext-2-raw-v1/test` is, or `name[:path within it]` of an import. Throws LabError FILE_NOT_FOUND, or INVALID_INPUT where there are several texts to choose from.
 */
export async function locateText(places: Places, name: string): Promise<string> {
  const asked = await askedFor(name)
  if (typeof asked === 'string') return asked
  const folder = await folderOf(places, 'text', asked, name)
  if (asked.part === null) return (await stat(folder)).isFile() ? folder : chooseText(folder)
  const exact = join(folder, ...asked.part.split('/'))
  const facts = await stat(exact).catch(() => null)
  if (facts?.isFile()) return exact
  if (facts?.isDirectory()) return chooseText(exact)
  const has = (await textFiles(folder)).map((file) => nameWithin(folder, file))
  const begun = has.filter((file) => file.startsWith(asked.part ?? '') && /^[-_.]/.test(file.slice(asked.part?.length)))
  const [only, other] = begun
  if (only !== undefined && other === undefined) return join(folder, only)
  // The shards of one set, by its name.
  if (await filesOf(exact).catch(() => null)) return exact
  if (other !== undefined) throw new LabError('INVALID_INPUT', `${name} may be ${begun.join(' or ')}: name one of them`, { choices: has })
  throw new LabError('FILE_NOT_FOUND', `${asked.repo} is here with ${has.slice(0, 20).join(', ') || 'no text'}, not ${asked.part}: name one of them, or get it: ${addCommand('text', asked)}`)
}

/** A path, or the name of something in the library where there is nothing at that path. */
async function askedFor(name: string): Promise<string | LibraryName> {
  if (name === 'demo') return name
  const path = absolutePath(name)
  if ((await lstat(path).catch(() => null)) !== null) return path
  // What is missing as a path is said by whoever reads it.
  return /\.onnx$/.test(name) ? path : (parseName(name) ?? path)
}

async function folderOf(places: Places, kind: 'model' | 'text', asked: LibraryName, name: string): Promise<string> {
  const { repo, revision } = asked
  const own = join(places.home, kind === 'model' ? 'models' : 'data', ...repo.split('/'))
  if (revision === null && (await stat(own).catch(() => null)) !== null) return own
  const cached = (await cachedRevisions(places.cache)).filter((entry) => entry.kind === (kind === 'model' ? 'model' : 'dataset'))
  const chosen = await chooseRevision(cached.filter((entry) => entry.repo === repo), revision)
  if (chosen) return chosen.folder
  const known = [...new Set([...cached.map((entry) => entry.repo), ...(await ownNames(places, kind))])]
  const near = nearestOf(repo, known)
  const here = known.length === 0 ? '' : `; here ${known.length > 1 ? 'are' : 'is'} ${known.length > 8 && near !== undefined ? `${near} and ${known.length - 1} others` : known.join(', ')}`
  const command = repo.includes('/') ? `; to get it: ${addCommand(kind, asked)}` : ''
  throw new LabError('FILE_NOT_FOUND', `there is no file ${name} and no ${kind} of that name in the library${here}${command}`, { nearest: near ?? null })
}

/** The commit that a revision means: a branch, a tag, a commit or its beginning; null: `main`, else the newest that is here. */
async function chooseRevision(entries: readonly CachedRevision[], revision: string | null): Promise<CachedRevision | undefined> {
  const named = entries.find(({ refs, commit }) => refs.includes(revision ?? 'main') || commit === revision)
  if (named) return named
  if (revision !== null) {
    const begun = entries.filter(({ commit }) => revision.length >= 7 && commit.startsWith(revision))
    return begun.length === 1 ? begun[0] : undefined
  }
  const times = await Promise.all(entries.map(async ({ folder }) => (await stat(folder).catch(() => null))?.mtimeMs ?? 0))
  return entries[times.indexOf(Math.max(...times))]
}

async function ownNames({ home }: Places, kind: 'model' | 'text'): Promise<string[]> {
  const shelf = join(home, kind === 'model' ? 'models' : 'data')
  const folders = (await searchFolders(shelf, new Set())).filter(({ level, files }) => level > 0 && (kind === 'text' ? files.length > 0 : files.includes('config.json')))
  return folders.map(({ path }) => nameWithin(shelf, path))
}

function addCommand(kind: 'model' | 'text', { repo, revision, part }: LibraryName): string {
  const flags = [revision === null ? '' : ` --revision ${revision}`, part === null ? '' : ` ${kind === 'model' ? '--weights' : '--split'} ${part}`]
  return `kvlab ${kind === 'model' ? 'models' : 'datasets'} add ${repo}${flags.join('')}`
}

function nameWithin(folder: string, path: string): string {
  return relative(folder, path).split(sep).join('/')
}
