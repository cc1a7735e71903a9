import type { IncomingMessage, ServerResponse } from 'node:http'
import { LabError } from '#core/contract/errors.ts'
import { deliver, type Api, type Handlers, type Reply } from '#core/contract/rpc.ts'
import { SECURITY_HEADERS } from './csp.ts'
import type { Refusal } from './access.ts'
import type { Limits } from './limits.ts'

const HEADERS = { ...SECURITY_HEADERS, 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' } as const

/** How long what is left of a refused body is still read, in milliseconds: a sender that is cut off while it sends never sees the answer. */
const LINGER_MS = 2_000

/** Refuse a request: the status, and one line with the error. */
export function sendRefusal(request: IncomingMessage, response: ServerResponse, { status, error }: Refusal): void {
  if (response.headersSent || response.destroyed) return void response.destroy()
  response.writeHead(status, { ...HEADERS, ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}) })
  response.end(`${JSON.stringify({ type: 'error', id: 0, error: error.toJSON() } satisfies Reply)}\n`)
  if (request.complete) return
  request.resume()
  setTimeout(() => request.complete || request.destroy(), LINGER_MS).unref()
}

/** The JSON of a request's body, of an empty one `{}`. Throws a refusal as `{ status, error }`, not an Error: too long, or no JSON. */
export async function readInput(request: IncomingMessage, { bodyBytes }: Limits): Promise<{ input: unknown } | Refusal> {
  const tooLong: Refusal = { status: 413, error: new LabError('INVALID_INPUT', `a request may have ${bodyBytes} bytes at most: ask for less at once`, { limit: bodyBytes }) }
  if (Number(request.headers['content-length'] ?? 0) > bodyBytes) return tooLong
  const pieces: Uint8Array[] = []
  let total = 0
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    total += piece.length
    if (total > bodyBytes) return tooLong
    pieces.push(piece)
  }
  try {
    return { input: total === 0 ? {} : JSON.parse(Buffer.concat(pieces).toString()) }
  } catch {
    return { status: 400, error: new LabError('INVALID_INPUT', 'the body of the request is no JSON: send the input of the route as JSON') }
  }
}

/** Answer a request by one message a line; the handler waits while the reader is behind, and its signal is aborted when the reader leaves. */
export async function sendAnswer<A extends Api>(api: A, handlers: Handlers<A>, { route, input }: { route: string; input: unknown }, response: ServerResponse): Promise<void> {
  const controller = new AbortController()
  const { signal } = controller
  let wake: () => void = () => {}
  response.on('drain', () => wake())
  response.once('close', () => {
    controller.abort(new LabError('CANCELLED', 'the reader left'))
    wake()
  })
  response.writeHead(200, HEADERS)
  response.flushHeaders()
  await deliver(api, handlers, { id: 0, route, input }, signal, async (reply) => {
    if (signal.aborted) return
    const full = !response.write(`${JSON.stringify(reply)}\n`)
    while (full && response.writableNeedDrain && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
  })
  response.end()
}
