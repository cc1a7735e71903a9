import { resolve } from 'node:path'
import { LabError } from '#core/contract/errors.ts'
import type { RepoKind } from '#core/contract/hub.ts'
import type { DataEntry, ModelEntry } from '#core/contract/library.ts'
import type { Session } from './session.ts'

/** What stands on a shelf of the library. */
export type Entry = ModelEntry | DataEntry

/** What the commands `models` and `datasets` differ in where both do the same. `flag` chooses among what a repository holds. */
export type Shelf<E extends Entry = Entry> = {
  readonly command: 'models' | 'datasets'
  readonly kind: 'model' | 'text'
  readonly repoKind: RepoKind
  readonly flag: '--weights' | '--split'
  /** A repository for the examples of a help text. */
  readonly example: string
  list(session: Session): Promise<E[]>
  inspect(session: Session, typed: string): Promise<E>
  /** What a spec and these commands name it by. */
  nameOf(entry: E): string
}

export const MODELS: Shelf<ModelEntry> = {
  command: 'models',
  kind: 'model',
  repoKind: 'model',
  flag: '--weights',
  example: 'HuggingFaceTB/SmolLM2-135M-Instruct',
  list: (session) => session.finish(session.engine.stream('model.list', {}, { signal: session.signal })),
  inspect: ({ engine, signal }, path) => engine.call('model.inspect', { path }, { signal }),
  nameOf: ({ name, path, origin, weights }) => (origin === 'hub' || origin === 'library' ? `${name}:${weights ?? 'fp32'}` : path),
}

export const DATASETS: Shelf<DataEntry> = {
  command: 'datasets',
  kind: 'text',
  repoKind: 'dataset',
  flag: '--split',
  example: 'Salesforce/wikitext',
  list: (session) => session.finish(session.engine.stream('data.list', {}, { signal: session.signal })),
  inspect: ({ engine, signal }, path) => engine.call('data.inspect', { path }, { signal }),
  nameOf: ({ path, origin, source }) => (origin === 'hub' && source ? cachedTextName(source.repo, path) : path),
}

/** `organisation/name:path within it` of a text in the Hugging Face cache. */
export function cachedTextName(repo: string, path: string): string {
  const [, inside] = /[/\\]snapshots[/\\][^/\\]+[/\\](.+)$/.exec(path) ?? []
  return inside === undefined ? path : `${repo}:${inside.replaceAll('\\', '/')}`
}

/**
 * The entry that a person means: by its path, the name that the list shows, its repository, or the name that a spec takes; else the file or folder of that path.
 * Throws LabError INVALID_INPUT where several have the name, and those of `inspect`.
 */
export async function find<E extends Entry>(session: Session, shelf: Shelf<E>, typed: string): Promise<E> {
  const entries = await shelf.list(session)
  const here = entries.find(({ path }) => path === typed || path === resolve(typed))
  const named = here ? [here] : entries.filter((entry) => [entry.name, shelf.nameOf(entry), entry.origin === 'hub' ? entry.source?.repo : undefined].includes(typed))
  if (named.length < 2) return named[0] ?? shelf.inspect(session, typed)
  const names = named.map((entry) => shelf.nameOf(entry))
  // Two commits of a repository have one name: only paths tell them apart.
  const choices = new Set(names).size === names.length ? names : named.map(({ path }) => path)
  throw new LabError('INVALID_INPUT', `several are called ${typed}: name one of ${choices.join(', ')}`, { choices })
}

/** A repository as a person names it: `organisation/name`, with `@revision` and `:choice` where these are given. */
export type RepoName = { readonly repo: string; readonly revision: string; readonly choice: string | null }

/** Reads `organisation/name[@revision][:choice]`; without a revision it is `main`. Whether there is such a repository is the hub's business. */
export function repoName(typed: string): RepoName {
  const [, repo = typed, revision = 'main', choice = null] = /^([^@:]+)(?:@([^:]+))?(?::(.+))?$/.exec(typed) ?? []
  return { repo, revision, choice }
}
