import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { LabError, type LabErrorCode } from '#core/contract/errors.ts'
import type { Api, Handlers } from '#core/contract/rpc.ts'
import { bearerOf, isLoopback, ownHosts, strayRequest, tokenCheck, unauthorized, urlHost, type Refusal } from './access.ts'
import { LIMITS, type Limits } from './limits.ts'
import { readInput, sendAnswer, sendRefusal } from './ndjson.ts'
import { sendPage } from './page.ts'
import { forgetDropped, storeUpload } from './upload.ts'
import { serveSockets } from './websocket.ts'

export type HostOptions<A extends Api> = {
  api: A
  handlers: Handlers<A>
  /** The folder of the built page; it need not exist. */
  page: string
  /** The library's folder, where dropped files go. */
  home: string
  token: string
  /** An address or name of this machine; default 127.0.0.1. */
  host?: string
  /** 0: any that is free. */
  port: number
  /** Needed for an address that others can reach. */
  allowRemote?: boolean
  /** Smaller limits, for tests. */
  limits?: Partial<Limits>
}

/** A host that listens. `close` ends what is under way and resolves when every handler has ended. */
export type Host = { readonly url: string; readonly port: number; close(): Promise<void> }

/**
 * Serve handlers and the built page: POST /api/<route>, the WebSocket /engine, PUT /upload/<name>, GET for the page.
 * Throws LabError INVALID_INPUT where it may not or cannot listen; `details.system` is the system's code, as EADDRINUSE.
 */
export async function startHost<A extends Api>(options: HostOptions<A>): Promise<Host> {
  const { api, handlers, page, home, token, host = '127.0.0.1', allowRemote = false } = options
  const limits = { ...LIMITS, ...options.limits }
  if (!isLoopback(host) && !allowRemote) {
    throw new LabError('INVALID_INPUT', `${host} can be reached from other machines, and what is sent is not encrypted: add --allow-remote if that is meant, or use an SSH tunnel`)
  }
  await forgetDropped(home)

  const rightToken = tokenCheck(token)
  const answers = new Set<Promise<void>>()
  let hosts: ReadonlySet<string> = new Set()
  const stray = (request: IncomingMessage): Refusal | null => strayRequest(request, hosts)

  async function answerRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '/'] = (request.url ?? '/').split('?')
    const refusal = stray(request)
    if (refusal) return sendRefusal(request, response, refusal)
    const { method } = request
    if (method === 'GET' || method === 'HEAD') return sendPage(page, path, method, response)
    const target = targetOf(method, path)
    if (!target) return sendRefusal(request, response, { status: 404, error: new LabError('UNKNOWN_ROUTE', 'this host answers POST /api/<route>, PUT /upload/<name> and GET') })
    if (!rightToken(bearerOf(request))) return sendRefusal(request, response, unauthorized())
    // An idle sender is cut off; an idle reader is not.
    request.setTimeout(limits.idleMs, () => request.destroy())
    if (target.kind === 'upload') {
      const stored = await storeUpload(request, home, target.name, limits).catch((error: LabError) => error)
      if (stored instanceof LabError) return sendRefusal(request, response, { status: statusOf(stored.code), error: stored })
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(stored))
      return
    }
    const read = await readInput(request, limits)
    if ('status' in read) return sendRefusal(request, response, read)
    request.setTimeout(0)
    await sendAnswer(api, handlers, { route: target.name, input: read.input }, response)
  }

  const server = createServer({ keepAlive: true, headersTimeout: limits.headersMs, requestTimeout: 0, connectionsCheckingInterval: Math.min(1_000, limits.headersMs) }, (request, response) => {
    // What fails after the answer has begun, such as a reader that left, can be told no one.
    response.on('error', () => {})
    const work = answerRequest(request, response)
      .catch(() => void response.destroy())
      .finally(() => answers.delete(work))
    answers.add(work)
  })
  server.maxConnections = limits.connections
  const sockets = serveSockets(server, { api, handlers, stray, rightToken, limits })
  const port = await listen(server, host, options.port)
  hosts = ownHosts(host, port)

  return {
    url: `http://${urlHost(host === '0.0.0.0' || host === '::' ? hostname() : host)}:${port}/`,
    port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      const socketsClosed = sockets.close()
      server.closeAllConnections()
      await Promise.all([closed, socketsClosed, ...answers])
    },
  }
}

/** What a request with a body is for; null for nothing we know. */
function targetOf(method: string | undefined, path: string): { kind: 'api' | 'upload'; name: string } | null {
  const kind = method === 'POST' && path.startsWith('/api/') ? 'api' : method === 'PUT' && path.startsWith('/upload/') ? 'upload' : null
  if (kind === null) return null
  try {
    return { kind, name: decodeURIComponent(path.slice(`/${kind}/`.length)) }
  } catch {
    return null
  }
}

function statusOf(code: LabErrorCode): number {
  return code === 'INVALID_INPUT' ? 413 : code === 'DISK_FULL' ? 507 : code === 'CANCELLED' ? 400 : 500
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'the port is taken: choose another with --port, or leave it out' : `${error.message}: choose another --host or --port`
      reject(new LabError('INVALID_INPUT', `cannot listen on ${urlHost(host)}:${port}: ${why}`, { system: error.code }, { cause: error }))
    })
    server.listen({ host, port }, () => resolve((server.address() as AddressInfo).port))
  })
}
