import { createServer, type RequestListener } from 'node:http'
import { createServer as createSocketServer, type AddressInfo, type Server } from 'node:net'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startProxy } from '../../test/forward-proxy.ts'
import type { Fault } from '../../test/hub-answer.ts'
import { startHub, type TestHub } from '../../test/hub-server.ts'
import { retryAfterSeconds } from './network-error.ts'
import { hubUrl, type HubPlace } from './place.ts'
import { discard, readJson, request, statusError, type HubResponse } from './request.ts'

const TOKEN = 'hf_verysecret'
const CONTENT = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 31) % 251))
const { signal } = new AbortController()

let hub: TestHub
const open: { close(): unknown }[] = []
const opened = <T extends { close(): unknown }>(one: T): T => {
  open.push(one)
  return one
}
beforeAll(async () => {
  hub = await startHub({
    readers: ['hf_reader'],
    repos: [
      { name: 'org/one', was: ['org/old'], files: { 'config.json': '{"a":1}', 'onnx/model.onnx': CONTENT } },
      { name: 'org/gated', gated: true, files: { 'config.json': '{}', 'model.onnx': CONTENT } },
      { name: 'org/private', private: true, files: { 'config.json': '{}' } },
    ],
  })
  return () => hub.close()
})
afterEach(async () => {
  hub.requests.length = 0
  hub.fault = () => null
  for (const one of open.splice(0)) await one.close()
})

const placeOf = (changes: Partial<HubPlace> = {}): HubPlace => ({ endpoint: hub.endpoint, token: TOKEN, offline: false, proxy: null, noProxy: null, cache: '/nowhere', ...changes })
const fileUrl = (path: string, repo = 'org/one'): URL => hubUrl(placeOf(), [...repo.split('/'), 'resolve', 'main', ...path.split('/')])

/** A server of one's own; its address under a name of that host. */
async function serve(listener: RequestListener, host = '127.0.0.1'): Promise<URL> {
  return listening(createServer(listener), host)
}

async function listening(server: Server, host = '127.0.0.1'): Promise<URL> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  opened({ close: () => new Promise((resolve) => (server.close(resolve), 'closeAllConnections' in server && (server.closeAllConnections as () => void)())) })
  return new URL(`http://${host}:${(server.address() as AddressInfo).port}/`)
}

async function bytesOf({ body }: HubResponse): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const failureOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'no failure', (error: unknown) => error)

describe('request', () => {
  it('follows the hub to its file store, with the range and without the token, and keeps what the hub said', async () => {
    const response = await request(placeOf(), fileUrl('onnx/model.onnx'), { headers: { range: 'bytes=10-19' }, signal })
    expect(await bytesOf(response)).toEqual(CONTENT.subarray(10, 20))
    const { sha256 } = hub.file('org/one', 'onnx/model.onnx')
    expect(response).toMatchObject({ status: 206, linked: { etag: sha256, size: 200_000, commit: expect.stringMatching(/^[0-9a-f]{40}$/) as string } })
    expect(response.url.host).toBe(hub.cdn.host)
    expect(response.headers.get('content-range')).toBe('bytes 10-19/200000')
    expect(hub.requests.map(({ server, host, headers }) => [server, host, headers.authorization, headers.range, headers['accept-encoding'], /^kvlab\/\d/.test(headers['user-agent'] ?? '')])).toEqual([
      ['hub', hub.endpoint.host, `Bearer ${TOKEN}`, 'bytes=10-19', 'identity', true],
      ['cdn', hub.cdn.host, undefined, 'bytes=10-19', 'identity', true],
    ])
  })

  it('follows relative redirects of a repository that was renamed, with the token', async () => {
    const response = await request(placeOf(), fileUrl('config.json', 'org/old'), { signal })
    expect(await readJson(response, 1_000)).toEqual({ a: 1 })
    expect(response).toMatchObject({ linked: { etag: null, size: null } })
    expect(hub.requests.map(({ status, headers }) => [status, headers.authorization])).toEqual([[307, `Bearer ${TOKEN}`], [200, `Bearer ${TOKEN}`]])
  })

  it('believes the hub itself only about a file', async () => {
    const stranger = await serve((_, response) => response.writeHead(200, { 'x-linked-etag': '"b"', 'x-linked-size': '2', 'x-repo-commit': 'b' }).end(), 'localhost')
    const own = await serve((_, response) => response.writeHead(302, { location: stranger.href, 'x-linked-etag': 'W/"a"', 'x-linked-size': '1e3' }).end())
    const response = await request(placeOf({ endpoint: own }), own, { signal })
    await discard(response)
    expect(response).toMatchObject({ status: 200, linked: { etag: 'a', size: null, commit: null } })
  })

  it('asks for the head alone', async () => {
    const response = await request(placeOf(), fileUrl('onnx/model.onnx'), { method: 'HEAD', signal })
    expect(response).toMatchObject({ status: 200, linked: { size: 200_000 } })
    expect(response.headers.get('content-length')).toBe('200000')
    expect((await bytesOf(response)).length).toBe(0)
    expect(hub.requests.map(({ method, sentBytes }) => [method, sentBytes])).toEqual([['HEAD', 0], ['HEAD', 0]])
  })

  it('keeps connections for the next request, also those of redirects', async () => {
    const ports = new Set<number | undefined>()
    const url = await serve((request, response) => {
      ports.add(request.socket.remotePort)
      if (request.url !== '/a') return void response.end('here')
      response.writeHead(302, { location: '/b' }).write('x'.repeat(30_000))
      setTimeout(() => response.end('elsewhere'), 10)
    })
    for (let i = 0; i < 8; i++) expect((await bytesOf(await request(placeOf(), new URL('a', url), { signal }))).toString()).toBe('here')
    expect(ports.size).toBeLessThan(8)
  })

  it('gives no token to another port or another host, though an address names a password, and again to the hub itself', async () => {
    const seen: [string, string | undefined][] = []
    const note = (name: string, location: (() => string) | null): RequestListener => (request, response) => {
      seen.push([name, request.headers.authorization])
      if (location && request.url !== '/end') response.writeHead(302, { location: location() }).end()
      else response.end('end')
    }
    const other: URL = await serve(note('other', () => new URL('end', own).href), 'localhost')
    const samePort: URL = await serve(note('port', () => other.href.replace('//', '//me:secret@')))
    const own: URL = await serve(note('own', () => samePort.href))
    await bytesOf(await request(placeOf({ endpoint: own }), own, { signal }))
    // Back at the hub itself it is the hub's again: each hop is judged by where it goes.
    expect(seen).toEqual([['own', `Bearer ${TOKEN}`], ['port', undefined], ['other', undefined], ['own', `Bearer ${TOKEN}`]])
  })

  it('sends nothing in offline mode', async () => {
    expect(await failureOf(request(placeOf({ offline: true }), fileUrl('config.json'), { signal }))).toMatchObject({ code: 'OFFLINE' })
    expect(hub.requests).toEqual([])
  })

  it('gives up a redirect that never ends, leads nowhere or leaves https', async () => {
    let hops = 0
    const url = await serve((request, response) => {
      hops++
      const location = { '/loop': `/loop?secret=${hops}`, '/file': 'file:///etc/passwd', '/bad': 'http://[' }[request.url?.split('?')[0] ?? ''] ?? '/loop'
      response.writeHead(302, { location }).end()
    })
    const place = placeOf({ endpoint: url })
    const loop = await failureOf(request(place, new URL('loop', url), { signal }))
    expect(loop).toMatchObject({ code: 'NETWORK_FAILED', details: { retry: false } })
    expect(String(loop)).not.toMatch(/secret/)
    expect(hops).toBe(6)
    for (const path of ['file', 'bad']) expect(await failureOf(request(place, new URL(path, url), { signal }))).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringMatching(/no web address/) as string })
  })

  it('ends with the reason of the signal, before, while waiting and while reading', async () => {
    const gone = new Error('gone')
    expect(await failureOf(request(placeOf(), fileUrl('config.json'), { signal: AbortSignal.abort(gone) }))).toBe(gone)
    const silent = await serve(() => {})
    const waiting = new AbortController()
    setTimeout(() => waiting.abort(gone), 50)
    expect(await failureOf(request(placeOf(), silent, { signal: waiting.signal }))).toBe(gone)
    hub.fault = ({ server }) => (server === 'cdn' ? { kind: 'stall', afterBytes: 1_000 } : null)
    const reading = new AbortController()
    const response = await request(placeOf(), fileUrl('onnx/model.onnx'), { signal: reading.signal })
    setTimeout(() => reading.abort(gone), 50)
    expect(await failureOf(bytesOf(response))).toBe(gone)
  })

  it.each<[string, () => Promise<URL>, RegExp, boolean]>([
    ['nobody listens', async () => new URL('http://127.0.0.1:1/x?secret'), /127\.0\.0\.1:1\/x refuses connections/, true],
    ['the host is unknown', async () => new URL('http://no-such-host.invalid/x?secret'), /no known host|is not found/, true],
    ['it breaks off at once', async () => listening(createSocketServer((socket) => socket.destroy())), /broke the connection off/, true],
    ['it speaks something else', async () => listening(createSocketServer((socket) => socket.on('error', () => {}).resume().end('SSH-2.0-OpenSSH\r\n'))), /does not speak HTTP/, true],
    ['it has no TLS', async () => new URL((await serve((_, response) => response.end())).href.replace('http:', 'https:')), /does not speak TLS/, false],
  ])('says in words that %s', async (_, address, message, retry) => {
    const failure = await failureOf(request(placeOf(), await address(), { signal }))
    expect(failure).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringMatching(message) as string, details: { status: null, retryAfterSeconds: null, retry } })
    expect(inspect(failure, { depth: 9 })).not.toMatch(/secret/)
  })
})

describe('a body', () => {
  it('fails where the connection breaks, also before anyone reads, and never ends as if whole', async () => {
    hub.fault = ({ server }) => (server === 'cdn' ? { kind: 'drop', afterBytes: 70_000 } : null)
    const response = await request(placeOf(), fileUrl('onnx/model.onnx'), { signal })
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await failureOf(bytesOf(response))).toMatchObject({ code: 'NETWORK_FAILED', details: { retry: true } })
  })

  it('is left by return() before the first chunk, which ends the connection', async () => {
    hub.fault = ({ server }) => (server === 'cdn' ? { kind: 'stall', afterBytes: 10 } : null)
    const response = await request(placeOf(), fileUrl('onnx/model.onnx'), { signal })
    await discard(response)
    expect(await failureOf(bytesOf(response))).toMatchObject({ code: 'NETWORK_FAILED' })
  })
})

describe('readJson', () => {
  it.each<[string, Fault | null, string, number, RegExp]>([
    ['is larger than its limit', null, 'onnx/model.onnx', 1_000, /more than 1000 bytes/],
    ['is no JSON', null, 'onnx/model.onnx', 1_000_000, /no JSON/],
    ['is empty', { kind: 'empty' }, 'config.json', 1_000, /no JSON/],
    ['is compressed', { kind: 'gzip' }, 'config.json', 1_000, /gzip/],
  ])('refuses what %s', async (_, fault, path, limit, message) => {
    hub.fault = ({ file }) => (file === null ? null : fault)
    const failure = await failureOf(request(placeOf(), fileUrl(path), { signal }).then((response) => readJson(response, limit)))
    expect(failure).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringMatching(message) as string, details: { retry: false } })
  })
})

describe('statusError', () => {
  const judge = async (url: URL, place = placeOf()): Promise<unknown> => {
    const response = await request(place, url, { signal })
    await discard(response)
    return statusError(place, response, 'x of org/one')
  }

  it('is null of a success', async () => {
    expect(await judge(fileUrl('onnx/model.onnx'))).toBeNull()
  })

  it.each<[string, string, string, string | null, string, RegExp]>([
    ['gated, without a token', 'org/gated', 'config.json', null, 'ACCESS_DENIED', /accept the terms there and give a token/],
    ['gated, with a token that lacks the right', 'org/gated', 'model.onnx', TOKEN, 'ACCESS_DENIED', /accept the terms there and use a token that may read it/],
    ['private or not there', 'org/private', 'config.json', null, 'ACCESS_DENIED', /not there, private or gated/],
    ['not there for this token', 'org/private', 'config.json', TOKEN, 'FILE_NOT_FOUND', /is not on 127/],
    ['not in the repository', 'org/one', 'none.json', TOKEN, 'FILE_NOT_FOUND', /is not on 127/],
  ])('says what is %s', async (_, repo, path, token, code, message) => {
    const error = await judge(fileUrl(path, repo), placeOf({ token }))
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) as string })
    expect(await judge(fileUrl('config.json', repo), placeOf({ token: 'hf_reader' }))).toBeNull()
  })

  it.each<[number, string | undefined, string, boolean, number | null]>([
    [429, '7', 'NETWORK_FAILED', true, 7],
    [503, undefined, 'NETWORK_FAILED', true, null],
    [500, 'soon', 'NETWORK_FAILED', true, null],
    [501, undefined, 'NETWORK_FAILED', false, null],
    [408, undefined, 'NETWORK_FAILED', true, null],
    [400, undefined, 'NETWORK_FAILED', false, null],
    [407, undefined, 'NETWORK_FAILED', false, null],
    [401, undefined, 'ACCESS_DENIED', false, null],
    [403, undefined, 'ACCESS_DENIED', false, null],
    [404, undefined, 'FILE_NOT_FOUND', false, null],
    [410, undefined, 'NETWORK_FAILED', false, null],
    [304, undefined, 'NETWORK_FAILED', false, null],
  ])('maps status %d, Retry-After %s', async (status, retryAfter, code, retry, seconds) => {
    hub.fault = () => ({ kind: 'status', status, ...(retryAfter === undefined ? {} : { retryAfter }) })
    expect(await judge(fileUrl('config.json'))).toMatchObject({ code, details: { status, retry, retryAfterSeconds: seconds } })
  })

  it.each([401, 403, 404])('takes %d of the file store for an address that expired', async (status) => {
    hub.fault = ({ server }) => (server === 'cdn' ? { kind: 'status', status } : null)
    expect(await judge(fileUrl('onnx/model.onnx'))).toMatchObject({ code: 'NETWORK_FAILED', details: { status, retry: true } })
  })

  it('reads Retry-After as seconds or a date', () => {
    expect(['120', 'Tue, 24 Nov 2026 10:00:30 GMT', 'Tue, 24 Nov 2026 09:00:00 GMT', '-5', 'x', '1e3'].map((header) => retryAfterSeconds(header, Date.UTC(2026, 10, 24, 10)))).toEqual([120, 30, 0, null, null, null])
  })
})

describe('proxies', () => {
  it('carry http and, in a tunnel, https; the password goes to the proxy alone and into no error', async () => {
    const proxy = opened(await startProxy({ password: 'p@ss' }))
    const url = new URL(proxy.url)
    url.username = 'user'
    url.password = 'p@ss'
    const place = placeOf({ proxy: url })
    expect(await bytesOf(await request(place, fileUrl('onnx/model.onnx'), { signal }))).toEqual(CONTENT)
    expect(proxy.requests.map(({ method, target }) => [method, new URL(target).host])).toEqual([['GET', hub.endpoint.host], ['GET', hub.cdn.host]])
    expect(hub.requests.map(({ headers }) => headers['proxy-authorization'])).toEqual([undefined, undefined])
    expect(hub.requests.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${TOKEN}`, undefined])
    // The hub speaks no TLS: what is looked at is the way there.
    const failure = await failureOf(request(place, new URL(hub.endpoint.href.replace('http:', 'https:')), { signal }))
    expect(failure).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringContaining(`through the proxy ${proxy.url.host}`) as string })
    expect(inspect(failure, { depth: 9 })).not.toMatch(/p@ss|p%40ss|cEBzcw/)
    expect(proxy.requests.at(-1)).toMatchObject({ method: 'CONNECT', target: hub.endpoint.host })
  })

  it('are passed by for the hosts of NO_PROXY', async () => {
    const proxy = opened(await startProxy())
    const place = placeOf({ proxy: proxy.url, noProxy: 'other.example, localhost' })
    await bytesOf(await request(place, fileUrl('onnx/model.onnx'), { signal }))
    expect(proxy.requests.map(({ target }) => new URL(target).host)).toEqual([hub.endpoint.host])
    expect(hub.requests).toHaveLength(2)
  })

  it('that want a password are named', async () => {
    const proxy = opened(await startProxy({ password: 'secret' }))
    const place = placeOf({ proxy: proxy.url })
    const plain = await failureOf(request(place, fileUrl('config.json'), { signal }).then((response) => Promise.reject(statusError(place, response, 'x') ?? new Error('none'))))
    const tunnel = await failureOf(request(place, new URL('https://hub.example/x'), { signal }))
    for (const failure of [plain, tunnel]) expect(failure).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringMatching(/the proxy wants a name and a password/) as string, details: { retry: false } })
    expect(hub.requests).toEqual([])
  })

  it('that are not there are named', async () => {
    const failure = await failureOf(request(placeOf({ proxy: new URL('http://127.0.0.1:1') }), fileUrl('config.json'), { signal }))
    expect(failure).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringContaining('through the proxy 127.0.0.1:1') as string })
  })
})

it('lets the token out to the hub alone, and into no error, whatever goes wrong', async () => {
  const fault = fc.oneof(
    fc.record({ kind: fc.constant('status' as const), status: fc.constantFrom(301, 302, 400, 401, 403, 404, 416, 429, 500, 502, 503) }),
    fc.record({ kind: fc.constantFrom('drop' as const, 'short' as const), afterBytes: fc.nat(250_000) }),
    fc.record({ kind: fc.constant('corrupt' as const), atByte: fc.nat(200_000) }),
    fc.constantFrom({ kind: 'ignore-range' as const }, { kind: 'empty' as const }, { kind: 'gzip' as const }),
    fc.constant(null),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fault, { minLength: 2, maxLength: 2 }), fc.constantFrom('config.json', 'onnx/model.onnx', 'none'), fc.constantFrom('org/one', 'org/gated', 'org/private', 'org/old'), async (faults, path, repo) => {
      hub.requests.length = 0
      hub.fault = ({ server }) => faults[server === 'hub' ? 0 : 1] ?? null
      const place = placeOf()
      const failure = await failureOf(
        request(place, fileUrl(path, repo), { headers: { range: 'bytes=5-' }, signal }).then(async (response) => {
          const error = statusError(place, response, path)
          await bytesOf(response)
          if (error) throw error
        }),
      )
      for (const { server, headers } of hub.requests) expect(headers.authorization).toBe(server === 'hub' ? `Bearer ${TOKEN}` : undefined)
      expect(inspect(failure, { depth: 9 })).not.toMatch(/verysecret|X-Amz|Signature/)
      if (failure !== 'no failure') expect(failure).toMatchObject({ name: 'LabError', message: expect.stringMatching(/^[^\n]+$/) as string })
    }),
    { numRuns: 200 },
  )
})
