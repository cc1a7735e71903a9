import type { RepoKind } from '#core/contract/hub.ts'
import type { Origin } from '#core/contract/library.ts'

/** Where an entry lies, in words for a table. */
export const ORIGIN: Record<Origin, string> = { embedded: 'built in', library: 'library', hub: 'hub cache', shared: 'own folder', used: 'used before' }

/** What a person typed to find something on a hub: a repository by its name or by the address of its page, or words to search for. */
export type Wanted = { repo: string; revision: string | null } | { words: string }

const NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/

/** `organisation/name`, or an address such as `https://hub/datasets/organisation/name/tree/revision`, else words. */
export function wantedOf(typed: string): Wanted {
  const text = typed.trim()
  if (NAME.test(text)) return { repo: text, revision: null }
  const path = /^https?:\/\/[^/\s]+\/(\S+)$/.exec(text)?.[1]
  const [organisation, name, page, revision] = (path ?? '').replace(/^(datasets|models)\//, '').replace(/[?#].*$/, '').split('/')
  const repo = `${organisation ?? ''}/${name ?? ''}`
  if (!NAME.test(repo)) return { words: text }
  return { repo, revision: page === 'tree' && revision ? decodeURIComponent(revision) : null }
}

/** The address of a repository's page, where its terms are read. */
export function pageOf(endpoint: string, kind: RepoKind, repo: string): string {
  return `${endpoint.replace(/\/$/, '')}/${kind === 'dataset' ? 'datasets/' : ''}${repo}`
}

/** A file in a folder, with the separator that the folder's path has. */
export function inFolder(folder: string, name: string): string {
  const separator = folder.includes('\\') && !folder.includes('/') ? '\\' : '/'
  return folder.endsWith(separator) ? folder + name : folder + separator + name
}

/** The name of an archive of an entry, with its weights where it has several: `SmolLM2-135M-Instruct-q4.tar`. */
export function archiveName(name: string, weights: string | null): string {
  const plain = (name.split(/[\\/]/).at(-1) ?? '').replace(/[^\w.-]+/g, '-').replace(/^[.-]+|[.-]+$/g, '')
  return `${plain === '' ? 'export' : plain}${weights === null ? '' : `-${weights}`}.tar`
}

/** The folder that all these files lie in, and where in it each is. */
export function underOneFolder(paths: readonly string[]): { folder: string; files: string[] } {
  const parted = paths.map((path) => path.split(/(?<=[\\/])/))
  const [first = []] = parted
  let depth = 0
  while (depth < first.length - 1 && parted.every((parts) => parts.length > depth + 1 && parts[depth] === first[depth])) depth++
  return { folder: first.slice(0, depth).join(''), files: parted.map((parts) => parts.slice(depth).join('')) }
}
