import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { RepoKind } from '#core/contract/hub.ts'
import { bodyOf, send, type Body, type Fault } from './hub-answer.ts'
import { changedFile, servedRepo, type RepoFixture, type ServedFile, type ServedRepo } from './hub-files.ts'

/**
 * One request as it came and what became of it. `path` with its query; `file` where it was for one; `from` is where in the file the body began; `sentBytes` of the body
 * were handed to the socket. `body` says whether it was the file itself.
 */
export type HubRequest = {
  server: 'hub' | 'cdn'
  host: string
  method: string
  path: string
  headers: IncomingMessage['headers']
  repo: string | null
  file: string | null
  range: string | null
  status: number
  body: boolean
  from: number
  sentBytes: number
}

export type HubOptions = {
  repos: RepoFixture[]
  /** Tokens that may read what is gated or private. */
  readers?: string[]
  /** Entries of one page of a listing; the real one has 1,000. */
  pageSize?: number
  /** What goes wrong with a request; may be set anew at any time. */
  fault?: (request: HubRequest) => Fault | null
}

export type TestHub = {
  endpoint: URL
  cdn: URL
  requests: HubRequest[]
  fault: (request: HubRequest) => Fault | null
  /** From now on the file store refuses the addresses that were signed so far. */
  expireSigned(): void
  /** A file as it is served now, for its hashes. */
  file(repo: string, path: string): ServedFile
  close(): Promise<void>
}

/** A hub on 127.0.0.1 and its file store on localhost: two hosts, two ports, real sockets. */
export async function startHub(options: HubOptions): Promise<TestHub> {
  const repos = await Promise.all(options.repos.map(servedRepo))
  const readers = new Set(options.readers ?? [])
  const pageSize = options.pageSize ?? 1_000
  const requests: HubRequest[] = []
  const signed = new Map<string, ServedFile>()
  const cdn = await listen((request, response) => void store(request, response))
  const hub = await listen((request, response) => void answer(request, response))
  const state: TestHub = {
    endpoint: new URL(`http://127.0.0.1:${hub.port}`),
    cdn: new URL(`http://localhost:${cdn.port}`),
    requests,
    fault: options.fault ?? (() => null),
    expireSigned: () => signed.clear(),
    file(repo, path) {
      const file = repos.find(({ name }) => name === repo)?.files.get(path)
      if (!file) throw new Error(`no ${path} in ${repo}`)
      return file
    },
    close: async () => void (await Promise.all([hub.close(), cdn.close()])),
  }

  function record(server: 'hub' | 'cdn', request: IncomingMessage): HubRequest {
    const { method = '', url = '', headers } = request
    const entry: HubRequest = { server, host: headers.host ?? '', method, path: url, headers, repo: null, file: null, range: headers.range ?? null, status: 0, body: false, from: 0, sentBytes: 0 }
    requests.push(entry)
    return entry
  }

  async function reply(entry: HubRequest, response: ServerResponse, status: number, headers: Record<string, string>, body: Body, fault = state.fault(entry)): Promise<void> {
    entry.status = fault?.kind === 'status' ? fault.status : fault?.kind === 'empty' ? 200 : status
    const head = entry.method === 'HEAD'
    // A HEAD says the length and sends nothing.
    if (head && fault?.kind !== 'status') return void response.writeHead(status, { ...headers, 'content-length': body.size }).end()
    await send(response, status, headers, body, fault, (bytes) => (entry.sentBytes += bytes))
  }

  const json = (entry: HubRequest, response: ServerResponse, value: unknown, headers: Record<string, string> = {}): Promise<void> =>
    reply(entry, response, 200, { 'content-type': 'application/json; charset=utf-8', ...headers }, bodyOf(Buffer.from(JSON.stringify(value))))

  const refuse = (entry: HubRequest, response: ServerResponse, status: number, code: string, message: string): Promise<void> =>
    reply(entry, response, status, { 'x-error-code': code, 'x-error-message': message, 'content-type': 'text/plain' }, bodyOf(Buffer.from(message)))

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const entry = record('hub', request)
    const url = new URL(request.url ?? '/', state.endpoint)
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? null
    const search = /^\/api\/(models|datasets)$/.exec(url.pathname)
    if (search) return json(entry, response, found(search[1] === 'models' ? 'model' : 'dataset', url))
    const api = /^\/api\/(models|datasets)\/([^/]+\/[^/]+|[^/]+)\/(revision|tree)\/([^/]+)$/.exec(url.pathname)
    const resolve = /^\/(datasets\/)?([^/]+\/[^/]+|[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname)
    const kind: RepoKind = api?.[1] === 'datasets' || resolve?.[1] ? 'dataset' : 'model'
    const name = api?.[2] ?? resolve?.[2] ?? ''
    const renamed = repos.find((repo) => repo.kind === kind && repo.was.includes(name))
    if (renamed) return reply(entry, response, 307, { location: `${url.pathname.replace(`/${name}/`, `/${renamed.name}/`)}${url.search}` }, bodyOf(Buffer.from('moved')))
    const repo = repos.find((one) => one.kind === kind && one.name === name)
    if (!repo || (repo.private && !readers.has(token ?? ''))) return refuse(entry, response, token === null ? 401 : 404, 'RepoNotFound', 'Repository not found')
    entry.repo = repo.name
    const revision = decodeURIComponent(api?.[4] ?? resolve?.[3] ?? '')
    const commit = repo.revisions[revision] ?? Object.values(repo.revisions).find((one) => one === revision)
    if (commit === undefined) return refuse(entry, response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`)
    if (api?.[3] === 'revision') return json(entry, response, facts(repo, commit))
    if (api) return list(entry, response, repo, url)
    if (repo.gated && !readers.has(token ?? '')) return refuse(entry, response, token === null ? 401 : 403, 'GatedRepo', `Access to ${repo.kind} ${repo.name} is restricted`)
    return give(entry, response, repo, commit, decodeURIComponent(resolve?.[4] ?? ''))
  }

  function found(kind: RepoKind, url: URL): unknown[] {
    const query = (url.searchParams.get('search') ?? '').toLowerCase()
    const graphs = url.searchParams.get('filter') === 'onnx'
    const hits = repos.filter((repo) => repo.kind === kind && !repo.private && repo.name.toLowerCase().includes(query) && (!graphs || [...repo.files.keys()].some((path) => path.endsWith('.onnx'))))
    return hits.slice(0, Number(url.searchParams.get('limit') ?? 1_000)).map((repo) => ({ _id: commitId(repo.name), id: repo.name, downloads: repo.name.length * 100, likes: repo.name.length, lastModified: '2026-11-02T08:00:00.000Z', gated: repo.gated ? 'manual' : false }))
  }

  async function list(entry: HubRequest, response: ServerResponse, repo: ServedRepo, url: URL): Promise<void> {
    const files = [...repo.files.values()]
    const folders = new Set(files.flatMap(({ path }) => path.split('/').slice(0, -1).map((_, i, parts) => parts.slice(0, i + 1).join('/'))))
    const all = [
      ...[...folders].map((path) => ({ type: 'directory', oid: commitId(path), size: 0, path })),
      ...files.map(({ path, size, sha256, oid }) => ({ type: 'file', oid, size, ...(sha256 === null ? {} : { lfs: { oid: sha256, size, pointerSize: 130 } }), path })),
    ]
    const begin = Number(url.searchParams.get('cursor') ?? 0)
    const next = new URL(url)
    next.searchParams.set('cursor', `${begin + pageSize}`)
    return json(entry, response, all.slice(begin, begin + pageSize), begin + pageSize < all.length ? { link: `<${next.href}>; rel="next"` } : {})
  }

  /** Small files come from the hub itself, large ones from the file store that it sends to. */
  async function give(entry: HubRequest, response: ServerResponse, repo: ServedRepo, commit: string, path: string): Promise<void> {
    const file = repo.files.get(path)
    if (!file) return refuse(entry, response, 404, 'EntryNotFound', 'Entry not found')
    entry.file = path
    if (file.sha256 === null) return content(entry, response, file, { 'x-repo-commit': commit })
    const fault = state.fault(entry)
    const current = fault?.kind === 'changed' ? await change(file) : file
    const signature = randomBytes(16).toString('hex')
    signed.set(signature, current)
    const location = `${state.cdn.origin}/repos/${commitId(repo.name).slice(0, 8)}/${current.sha256}?X-Amz-Expires=3600&X-Amz-Signature=${signature}&response-content-disposition=${encodeURIComponent(path)}`
    const headers = { location, 'x-repo-commit': commit, 'x-linked-etag': `"${current.sha256}"`, 'x-linked-size': `${current.size}`, 'accept-ranges': 'bytes', 'content-type': 'text/plain' }
    return reply(entry, response, 302, headers, bodyOf(Buffer.from('Found. Redirecting')), fault)
  }

  async function store(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const entry = record('cdn', request)
    const url = new URL(request.url ?? '/', state.cdn)
    const file = signed.get(url.searchParams.get('X-Amz-Signature') ?? '')
    // As S3 does with two ways of authorization at once.
    if (request.headers.authorization !== undefined) return reply(entry, response, 400, {}, bodyOf(Buffer.from('Only one auth mechanism allowed')), null)
    if (!file) return reply(entry, response, 403, { 'content-type': 'application/xml' }, bodyOf(Buffer.from('<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>')), null)
    const repo = repos.find(({ files }) => [...files.values()].includes(file))
    entry.repo = repo?.name ?? null
    entry.file = file.path
    return content(entry, response, file, {})
  }

  async function content(entry: HubRequest, response: ServerResponse, asked: ServedFile, headers: Record<string, string>): Promise<void> {
    const fault = state.fault(entry)
    const file = fault?.kind === 'changed' ? await change(asked) : asked
    const etag = `"${file.etag}"`
    const common = { ...headers, etag, 'accept-ranges': 'bytes', 'content-type': 'application/octet-stream' }
    const condition = entry.headers['if-range']
    const range = fault?.kind === 'ignore-range' || (condition !== undefined && condition !== etag) ? null : rangeOf(entry.range, file.size)
    if (range === 'outside') return reply(entry, response, 416, { ...headers, 'content-range': `bytes */${file.size}` }, bodyOf(new Uint8Array()), fault)
    const [from, to] = range ?? [0, file.size]
    entry.body = entry.method === 'GET' && fault?.kind !== 'status'
    entry.from = from
    const ranged = range === null ? {} : { 'content-range': `bytes ${from}-${to - 1}/${file.size}` }
    return reply(entry, response, range === null ? 200 : 206, { ...common, ...ranged }, { size: to - from, chunks: file.read(from, to) }, fault)
  }

  async function change(file: ServedFile): Promise<ServedFile> {
    const other = await changedFile(file)
    for (const repo of repos) if (repo.files.get(file.path) === file) repo.files.set(file.path, other)
    for (const [signature, one] of signed) if (one === file) signed.set(signature, other)
    return other
  }

  return state
}

function facts(repo: ServedRepo, commit: string): unknown {
  const { name, files, licence } = repo
  return {
    _id: commitId(name),
    id: name,
    sha: commit,
    private: repo.private,
    gated: repo.gated ? 'manual' : false,
    disabled: false,
    downloads: name.length * 100,
    likes: name.length,
    lastModified: '2026-11-02T08:00:00.000Z',
    createdAt: '2026-01-02T08:00:00.000Z',
    tags: licence === null ? [] : [`license:${licence}`],
    ...(licence === null ? {} : { cardData: { license: licence } }),
    siblings: [...files.keys()].map((rfilename) => ({ rfilename })),
  }
}

function commitId(text: string): string {
  return Buffer.from(text).toString('hex').padEnd(40, '0').slice(0, 40)
}

/** First and last-but-one byte of a Range header; null where it asks for none that is understood. */
function rangeOf(header: string | null, size: number): [number, number] | 'outside' | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (!match || (match[1] === '' && match[2] === '')) return null
  const from = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1])
  const to = match[1] === '' || match[2] === '' ? size : Math.min(size, Number(match[2]) + 1)
  return from >= size || to <= from ? 'outside' : [from, to]
}

/** An HTTP server on a free port of loopback. */
async function listen(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<{ port: number; close(): Promise<void> }> {
  const server: Server = createServer(handler)
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
