import type { Dispatcher } from 'undici'
import { LabError } from '#core/contract/errors.ts'
import manifest from '../../package.json' with { type: 'json' }
import { connectionError, retryAfterSeconds, statusRefusal, whereOf } from './network-error.ts'
import type { HubPlace } from './place.ts'

/** Redirects that are followed: a hub makes one or two, of a renamed repository and to its file store. */
const MAX_REDIRECTS = 5
/** How long the headers of an answer may take: hubs that search or list a large folder need several seconds. */
const HEADERS_TIMEOUT_MS = 30_000
/** When a body that nobody aborts gives up, at last; downloads have a stall timer of their own, which is shorter. */
const BODY_TIMEOUT_MS = 120_000
/** Read ahead of whoever takes the body: fewer, larger chunks cost less than many small ones. */
const READ_AHEAD_BYTES = 256 * 1024
/** Of a redirect's own page: so much is read to keep the connection, a larger one costs it. */
const MAX_REDIRECT_BODY_BYTES = 64 * 1024

/**
 * What a server said: `headers` by lower-case names, `url` after redirects. `body` must be read to its end or left by `return()`; both free the connection, and
 * its failures are LabErrors as those of `request`. `linked`: what the hub itself said of the file, also when it sent on to another host (X-Linked-ETag, X-Linked-Size, X-Repo-Commit).
 */
export type HubResponse = {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly url: URL
  readonly body: AsyncIterable<Uint8Array>
  readonly linked: { readonly etag: string | null; readonly size: number | null; readonly commit: string | null }
}

/**
 * Asks a server as `place` says: through its proxy, with its token where the address is its endpoint's own and nowhere else. Redirects are followed, each hop judged
 * anew; none may leave https for http. Throws LabError OFFLINE before anything is sent, NETWORK_FAILED with details `{ status: null, retryAfterSeconds: null, retry }`, and the
 * signal's reason. Messages name hosts and paths only: queries of file stores are signatures.
 */
export async function request(
  place: HubPlace,
  url: URL,
  options: { method?: 'GET' | 'HEAD'; headers?: Record<string, string>; signal: AbortSignal },
): Promise<HubResponse> {
  if (place.offline) throw new LabError('OFFLINE', `${whereOf(url)} was not asked: offline mode is on; use what is here already, or turn it off (settings, HF_HUB_OFFLINE)`)
  const { method = 'GET', signal } = options
  let at = url
  let linked: HubResponse['linked'] = { etag: null, size: null, commit: null }
  for (let redirects = 0; ; redirects++) {
    signal.throwIfAborted()
    const answer = await ask(place, at, method, options.headers ?? {}, signal)
    const headers = new Map(Object.entries(answer.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]))
    if (at.origin === place.endpoint.origin) linked = linkedOf(headers, linked)
    const location = headers.get('location')
    if (![301, 302, 303, 307, 308].includes(answer.statusCode) || location === undefined) return { status: answer.statusCode, headers, url: at, body: bodyOf(answer.body, at, signal), linked }
    answer.body.dump({ limit: MAX_REDIRECT_BODY_BYTES, signal }).catch(() => undefined)
    if (redirects === MAX_REDIRECTS) throw refused(`${whereOf(url)} sends on and on, more than ${MAX_REDIRECTS} times: check the hub's address`)
    at = nextHop(at, location)
  }
}

/** All of a JSON answer, of at most `limit` bytes. Throws LabError NETWORK_FAILED where it is larger, compressed or no JSON: a page of a portal or proxy, mostly. */
export async function readJson(response: HubResponse, limit: number): Promise<unknown> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  const encoding = response.headers.get('content-encoding') ?? 'identity'
  // Leaving the loop frees the connection.
  for await (const chunk of response.body) {
    if (encoding !== 'identity') throw refused(`${whereOf(response.url)} sent ${encoding} though it was asked not to: check the hub's address and the proxy`)
    bytes += chunk.length
    if (bytes > limit) throw refused(`${whereOf(response.url)} answers with more than ${limit} bytes: check the hub's address`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)))
  } catch {
    throw refused(`${whereOf(response.url)} answers what is no JSON: check the hub's address, and whether a login page or proxy stands between`)
  }
}

/** Leaves an answer unread. */
export async function discard({ body }: HubResponse): Promise<void> {
  await body[Symbol.asyncIterator]().return?.()
}

/**
 * What a status means; null where it is a success. `what` names what was asked for: `onnx/model.onnx of org/name`. ACCESS_DENIED and FILE_NOT_FOUND only where the hub itself
 * says so: a file store that refuses has an address that expired. Else NETWORK_FAILED; details `{ status, retryAfterSeconds, retry }`.
 */
export function statusError(place: HubPlace, response: HubResponse, what: string): LabError | null {
  const { status, headers, url } = response
  if (status >= 200 && status < 300) return null
  const { code, text, retry } = statusRefusal({ status, url, what, own: url.origin === place.endpoint.origin, token: place.token !== null, reason: headers.get('x-error-code') ?? null })
  return new LabError(code, text, { status, retryAfterSeconds: retryAfterSeconds(headers.get('retry-after')), retry })
}

/** Dispatchers by proxy: they keep connections alive between requests. */
const dispatchers = new Map<string, Promise<Dispatcher>>()

function dispatcherOf({ proxy, noProxy }: HubPlace): Promise<Dispatcher> {
  const key = JSON.stringify([proxy, noProxy])
  const dispatcher = dispatchers.get(key) ?? openDispatcher(proxy, noProxy)
  dispatchers.set(key, dispatcher)
  return dispatcher
}

async function openDispatcher(proxy: URL | null, noProxy: string | null): Promise<Dispatcher> {
  const { Agent, EnvHttpProxyAgent } = await import('undici')
  // Everything is said: undici would read the environment for what is left out. Plain http goes as through any proxy, without a tunnel.
  return proxy ? new EnvHttpProxyAgent({ httpProxy: proxy.href, httpsProxy: proxy.href, noProxy: noProxy ?? '', proxyTunnel: false }) : new Agent()
}

async function ask(place: HubPlace, url: URL, method: 'GET' | 'HEAD', headers: Record<string, string>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
  const { request: send } = await import('undici')
  const token = url.origin === place.endpoint.origin ? place.token : null
  const all = { 'user-agent': `kvlab/${manifest.version}`, 'accept-encoding': 'identity', ...headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) }
  try {
    const dispatcher = await dispatcherOf(place)
    const answer = await send(url, { method, headers: all, signal, dispatcher, headersTimeout: HEADERS_TIMEOUT_MS, bodyTimeout: BODY_TIMEOUT_MS, highWaterMark: READ_AHEAD_BYTES })
    // A connection that ends before anyone reads must not end this process; the reader is told when it comes.
    answer.body.on('error', () => {})
    return answer
  } catch (error) {
    signal.throwIfAborted()
    throw connectionError(error, url, place.proxy)
  }
}

function linkedOf(headers: ReadonlyMap<string, string>, before: HubResponse['linked']): HubResponse['linked'] {
  const size = headers.get('x-linked-size') ?? ''
  return {
    etag: before.etag ?? headers.get('x-linked-etag')?.replace(/^W\//, '').replace(/^"(.*)"$/, '$1') ?? null,
    size: before.size ?? (/^\d{1,15}$/.test(size) ? Number(size) : null),
    commit: before.commit ?? headers.get('x-repo-commit') ?? null,
  }
}

function nextHop(from: URL, location: string): URL {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : null
  if (next === null || !/^https?:$/.test(next.protocol)) throw refused(`${whereOf(from)} sends on to what is no web address: check the hub's address`)
  if (from.protocol === 'https:' && next.protocol === 'http:') throw refused(`${whereOf(from)} sends on to ${next.host} without encryption, which is refused: check the hub's address and the proxy`)
  return next
}

function bodyOf(body: Dispatcher.ResponseData['body'], url: URL, signal: AbortSignal): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
      return {
        async next() {
          try {
            return await chunks.next()
          } catch (error) {
            signal.throwIfAborted()
            throw connectionError(error, url, null)
          }
        },
        // Also before the first chunk, where the iterator of a stream would leave it open.
        async return() {
          body.destroy()
          return { done: true, value: undefined }
        },
      }
    },
  }
}

function refused(message: string): LabError {
  return new LabError('NETWORK_FAILED', message, { status: null, retryAfterSeconds: null, retry: false })
}
