import { stat } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { z } from 'zod'
import { LabError } from '#core/contract/errors.ts'
import type { HubFile, HubHit, HubRepo, RepoKind } from '#core/contract/hub.ts'
import { modelChoices } from './choices.ts'
import { isPresent, repoFolder, repoOf } from './layout.ts'
import { readListing, storable, type ListedFile } from './listing.ts'
import { hubUrl, type HubPlace } from './place.ts'
import { discard, readJson, request, statusError, type HubResponse } from './request.ts'
import { splitChoices } from './split-choices.ts'

/** One answer: a page of a listing has some 300 kB, facts with a long card some 100. */
const MAX_ANSWER_BYTES = 16 * 2 ** 20
/** The largest data sets have a hundred thousand files, of which a person takes one: after so many the listing is broken off. */
const MAX_LISTED = 10_000
/** Repositories that a search shows. */
const MAX_HITS = 30
/** A licence is a word or two. */
const MAX_LICENCE_CHARS = 200

const API = { model: 'models', dataset: 'datasets' } as const
const text = z.string()
const count = z.number().nullish().catch(null)
const gated = z.union([z.boolean(), text]).nullish()
const facts = z.object({ sha: text.regex(/^[0-9a-f]{40}$/), gated, tags: z.array(text).nullish().catch(null), cardData: z.object({ license: z.union([text, z.array(text)]).nullish(), license_name: text.nullish() }).nullish().catch(null) })
const hit = z.object({ id: text, downloads: count, likes: count, lastModified: text.nullish().catch(null), gated })

/** Repositories of that kind that a hub finds for a query; of models those with ONNX files. Throws LabErrors of `request` and `statusError`. */
export async function searchHub(place: HubPlace, kind: RepoKind, query: string, signal: AbortSignal): Promise<HubHit[]> {
  const url = hubUrl(place, ['api', API[kind]])
  const asked = { search: query, sort: 'downloads', direction: '-1', limit: `${MAX_HITS}`, ...(kind === 'model' ? { filter: 'onnx' } : {}) }
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
  for (const field of ['downloads', 'likes', 'lastModified', 'gated']) url.searchParams.append('expand', field)
  const { document } = await ask(place, url, 'the search', signal)
  if (!Array.isArray(document)) throw strange(url, 'a search')
  return document.slice(0, MAX_HITS).flatMap((one) => {
    const { data } = hit.safeParse(one)
    // What no cache could keep is no repository.
    if (!data || repoOf(`models--${data.id.replace('/', '--')}`)?.repo !== data.id) return []
    return [{ repo: data.id, downloads: data.downloads ?? null, likes: data.likes ?? null, updatedAt: dateOf(data.lastModified), gated: isGated(data.gated) }]
  })
}

/**
 * A repository at the commit that a revision means now, with what can be chosen of it. Its files are those that every system can store; of more than 10,000 the first, and
 * `partial` says so. Throws LabErrors of `request` and `statusError`, and NETWORK_FAILED where an answer is not that of a hub or a name in it leads out of its folder.
 */
export async function inspectRepo(place: HubPlace, kind: RepoKind, repo: string, revision: string, signal: AbortSignal): Promise<HubRepo> {
  const base = ['api', API[kind], ...repo.split('/')]
  const url = hubUrl(place, [...base, 'revision', revision])
  for (const field of ['sha', 'gated', 'tags', 'cardData']) url.searchParams.append('expand', field)
  const what = `${repo} at ${revision}`
  const { data } = facts.safeParse((await ask(place, url, what, signal)).document)
  if (!data) throw strange(url, 'a repository')
  const { listed, partial } = await listFiles(place, hubUrl(place, [...base, 'tree', data.sha]), what, signal)
  const files = await withPresence(place.cache, kind, repo, data.sha, storable(listed))
  const choices = kind === 'model' ? modelChoices(files, totalmem()) : splitChoices(files)
  return { kind, repo, revision, commit: data.sha, licence: licenceOf(data), gated: isGated(data.gated), files, choices, ...(partial ? { partial: true } : {}) }
}

async function listFiles(place: HubPlace, tree: URL, what: string, signal: AbortSignal): Promise<{ listed: ListedFile[]; partial: boolean }> {
  const listed: ListedFile[] = []
  const cursors = new Set<string>()
  for (let cursor: string | null = null; ; ) {
    const url = new URL(tree)
    url.searchParams.set('recursive', 'true')
    if (cursor !== null) url.searchParams.set('cursor', cursor)
    const { response, document } = await ask(place, url, what, signal)
    const files = readListing(document)
    if (!files) throw strange(url, 'a listing of files')
    listed.push(...files)
    cursor = cursorOf(response)
    if (cursor === null) return { listed, partial: false }
    if (listed.length >= MAX_LISTED) return { listed: listed.slice(0, MAX_LISTED), partial: true }
    // Pages without files, without end.
    if (cursors.has(cursor) || cursors.size >= MAX_LISTED) throw strange(url, 'a listing that ends')
    cursors.add(cursor)
  }
}

/**
 * Where a listing goes on. Of the address that the hub links to only the cursor is taken: mirrors hand on addresses of the hub behind them, and a token must not go where an answer points.
 */
function cursorOf({ headers, url }: HubResponse): string | null {
  const link = /<([^>]*)>\s*;\s*rel="?next"?/.exec(headers.get('link') ?? '')?.[1]
  if (link === undefined) return null
  const cursor = URL.canParse(link, url.href) ? new URL(link, url).searchParams.get('cursor') : null
  if (cursor === null) throw strange(url, 'a listing that goes on by a cursor')
  return cursor
}

async function withPresence(cache: string, kind: RepoKind, repo: string, commit: string, files: readonly ListedFile[]): Promise<HubFile[]> {
  const known = await stat(repoFolder(cache, kind, repo)).then(() => true, () => false)
  return Promise.all(files.map(async (file) => ({ ...file, present: known && (await isPresent(cache, kind, repo, commit, file)) })))
}

async function ask(place: HubPlace, url: URL, what: string, signal: AbortSignal): Promise<{ response: HubResponse; document: unknown }> {
  const response = await request(place, url, { headers: { accept: 'application/json' }, signal })
  const error = statusError(place, response, what)
  if (error) {
    await discard(response)
    throw error
  }
  return { response, document: await readJson(response, MAX_ANSWER_BYTES) }
}

function licenceOf({ cardData, tags }: z.infer<typeof facts>): string | null {
  const { license, license_name: name } = cardData ?? {}
  const words = Array.isArray(license) ? license : [license ?? tags?.find((tag) => tag.startsWith('license:'))?.slice('license:'.length) ?? '']
  // `other` says nothing; the card then has a name beside it.
  const licence = words.map((word) => (word === 'other' && name ? name : word)).join(', ')
  return licence.replace(/\p{C}/gu, '').slice(0, MAX_LICENCE_CHARS) || null
}

/** `auto` and `manual` say who lets a person in. */
function isGated(value: boolean | string | null | undefined): boolean {
  return value !== undefined && value !== null && value !== false && value !== 'false'
}

function dateOf(value: string | null | undefined): string | null {
  return value && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? value : null
}

function strange(url: URL, what: string): LabError {
  const message = `${url.host}${url.pathname} answers what is not ${what}: check the hub's address, and whether a proxy stands between`
  return new LabError('NETWORK_FAILED', message, { status: 200, retryAfterSeconds: null, retry: false })
}
