import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { freeBytes, openFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { ChosenBy, HubState } from '#core/contract/hub.ts'
import type { Settings } from '#core/contract/library.ts'

/** How a hub is reached and where what it gives is kept; `token` goes to `endpoint` and to no other host. */
export type HubPlace = { readonly endpoint: URL; readonly token: string | null; readonly offline: boolean; readonly proxy: URL | null; readonly noProxy: string | null; readonly cache: string }

const DEFAULT_ENDPOINT = 'https://huggingface.co'
/** As Python's huggingface_hub reads its switches. */
const TRUE_VALUES = ['1', 'ON', 'YES', 'TRUE']
/** A token has some 40 characters; what is much longer is another file. */
const MAX_TOKEN_FILE_BYTES = 4_096

type Env = NodeJS.ProcessEnv

/**
 * The place that the environment, else a person's settings, else the defaults of Hugging Face's own tools name: HF_ENDPOINT, HF_TOKEN or the token file,
 * HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HF_HUB_OFFLINE, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY. `session`: a token given to this engine while it runs, which comes first.
 * Throws LabError INVALID_INPUT naming the variable, never its value: it may hold a password.
 */
export async function hubPlace(settings: Settings['hub'], session: string | null, env: Env = process.env): Promise<{ place: HubPlace; state: HubState }> {
  const endpoint = endpointOf(settings, env)
  const offline = offlineOf(settings, env)
  const token = await tokenOf(session, env)
  const proxy = proxyOf(settings, env, endpoint.url.protocol)
  const cache = cacheFolder(settings, env)
  return {
    place: { endpoint: endpoint.url, token: token?.text ?? null, offline: offline.on, proxy: proxy?.url ?? null, noProxy: variable(env, 'no_proxy', 'NO_PROXY')?.value ?? null, cache: cache.folder },
    state: {
      endpoint: { url: endpoint.url.href.replace(/\/+$/, ''), by: endpoint.by },
      offline,
      token: token && { by: token.by },
      proxy: proxy && { url: withoutPassword(proxy.url), by: proxy.by },
      cache: { ...cache, freeBytes: await freeBytes(cache.folder) },
    },
  }
}

/** Where a hub serves something: its endpoint, which may itself have a path, and these segments, each encoded: slashes in a revision do not part it. */
export function hubUrl(place: HubPlace, segments: readonly string[]): URL {
  const url = new URL(place.endpoint)
  url.pathname = [url.pathname.replace(/\/+$/, ''), ...segments.map(encodeURIComponent)].join('/')
  return url
}

/** The first of these variables that says something. */
function variable(env: Env, ...names: string[]): { name: string; value: string } | null {
  for (const name of names) {
    const value = env[name]?.trim()
    if (value) return { name, value }
  }
  return null
}

function endpointOf(settings: Settings['hub'], env: Env): { url: URL; by: ChosenBy } {
  const named = variable(env, 'HF_ENDPOINT')
  const text = named?.value ?? settings.endpoint ?? DEFAULT_ENDPOINT
  const what = named?.name ?? "the hub's address of the settings"
  const url = addressOf(text, what, ['http:', 'https:'], DEFAULT_ENDPOINT)
  if (url.username || url.password) throw new LabError('INVALID_INPUT', `${what} holds a name or a password: leave them out and give a token (HF_TOKEN)`)
  if (url.search || url.hash) throw new LabError('INVALID_INPUT', `${what} has a ? or # in it: write it like ${DEFAULT_ENDPOINT}`)
  return { url, by: named ? 'environment' : settings.endpoint === null ? 'default' : 'settings' }
}

function offlineOf(settings: Settings['hub'], env: Env): HubState['offline'] {
  const named = variable(env, 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE')
  if (named) return { on: isTrue(named.value), by: 'environment' }
  return { on: settings.offline, by: settings.offline ? 'settings' : 'default' }
}

async function tokenOf(session: string | null, env: Env): Promise<{ text: string; by: ChosenBy | 'session' } | null> {
  if (session !== null) return { text: cleanToken(session, 'the token'), by: 'session' }
  // As in Python, it keeps back every token that nobody gave for this very use.
  if (isTrue(env['HF_HUB_DISABLE_IMPLICIT_TOKEN'] ?? '')) return null
  const named = variable(env, 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN')
  if (named) return { text: cleanToken(named.value, named.name), by: 'environment' }
  const path = folderOf(variable(env, 'HF_TOKEN_PATH')?.value ?? join(homeOf(env), 'token'), env)
  const text = await readTokenFile(path)
  return text ? { text: cleanToken(text, path), by: 'file' } : null
}

async function readTokenFile(path: string): Promise<string | null> {
  const file = await openFile(path).catch((error: unknown) => {
    if (error instanceof LabError && error.code === 'FILE_NOT_FOUND') return null
    throw error
  })
  if (!file) return null
  try {
    if (file.size > MAX_TOKEN_FILE_BYTES) throw new LabError('INVALID_INPUT', `${path} is too large for a token: write the token alone into it, or remove it`)
    return new TextDecoder().decode(await file.read(0, file.size)).trim()
  } finally {
    await file.close()
  }
}

/** A line break in a header would begin another one. */
function cleanToken(text: string, what: string): string {
  const token = text.replace(/[\r\n]/g, '').trim()
  if (!/^[\x21-\x7e]+$/.test(token)) throw new LabError('INVALID_INPUT', `${what} holds no token: a token is one word of plain letters, digits and signs`)
  return token
}

function proxyOf(settings: Settings['hub'], env: Env, protocol: string): { url: URL; by: ChosenBy } | null {
  const own = protocol === 'https:' ? ['https_proxy', 'HTTPS_PROXY'] : ['http_proxy', 'HTTP_PROXY']
  const named = variable(env, ...own, 'all_proxy', 'ALL_PROXY')
  const text = named?.value ?? settings.proxy
  if (text === null) return null
  // Every other program takes `host:port` as well.
  const url = addressOf(/^[\w+.-]+:\/\//.test(text) ? text : `http://${text}`, named?.name ?? "the proxy's address of the settings", ['http:', 'https:'], 'http://proxy.example:3128')
  return { url, by: named ? 'environment' : 'settings' }
}

/** The Hugging Face cache, an absolute path: HF_HUB_CACHE, `hub` in HF_HOME, the settings', or `hub` in huggingface of XDG_CACHE_HOME, else ~/.cache. */
export function cacheFolder(settings: Settings['hub'], env: Env = process.env): { folder: string; by: ChosenBy } {
  const named = variable(env, 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE')
  if (named) return { folder: folderOf(named.value, env), by: 'environment' }
  if (variable(env, 'HF_HOME')) return { folder: join(homeOf(env), 'hub'), by: 'environment' }
  if (settings.cache !== null) return { folder: folderOf(settings.cache, env), by: 'settings' }
  return { folder: join(homeOf(env), 'hub'), by: 'default' }
}

/** Where Hugging Face's tools keep everything. */
function homeOf(env: Env): string {
  return folderOf(variable(env, 'HF_HOME')?.value ?? join(variable(env, 'XDG_CACHE_HOME')?.value ?? '~/.cache', 'huggingface'), env)
}

/** An absolute path: `~` and `$NAME` mean what they mean to Python's tools. */
function folderOf(text: string, env: Env): string {
  const user = (process.platform === 'win32' ? env['USERPROFILE'] : env['HOME']) || homedir()
  return resolve(text.replace(/^~(?=$|[\\/])/, () => user).replace(/\$(\w+|\{\w+\})/g, (whole, name: string) => env[name.replace(/[{}]/g, '')] ?? whole))
}

function addressOf(text: string, what: string, protocols: readonly string[], example: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !protocols.includes(url.protocol) || url.hostname === '') throw new LabError('INVALID_INPUT', `${what} is no address that can be used: write it like ${example}`)
  return url
}

function withoutPassword(url: URL): string {
  const shown = new URL(url)
  shown.password = ''
  return shown.href.replace(/\/$/, '')
}

function isTrue(text: string): boolean {
  return TRUE_VALUES.includes(text.trim().toUpperCase())
}
