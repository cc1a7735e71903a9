import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import { CLOSE_UNAUTHORIZED, webSocketPort, type Hello, type Welcome } from '#core/contract/ports.ts'
import { serve, type Api, type Handlers } from '#core/contract/rpc.ts'
import type { Refusal } from './access.ts'
import type { Limits } from './limits.ts'

/** How long a socket that was refused may take to close before it is cut off, in milliseconds. */
const CLOSING_MS = 1_000

type Options<A extends Api> = {
  api: A
  handlers: Handlers<A>
  /** Why an upgrade is refused; null: it is taken. */
  stray: (request: IncomingMessage) => Refusal | null
  rightToken: (token: unknown) => boolean
  limits: Limits
}

/**
 * Serve the WebSocket /engine of an HTTP server. The first message must be a hello with the token; until then nothing else is read, and whoever says
 * something else, or nothing in time, is closed with 4401. `close` cuts all off and resolves when every handler has ended.
 */
export function serveSockets<A extends Api>(server: Server, { api, handlers, stray, rightToken, limits }: Options<A>): { close(): Promise<void> } {
  // Compression would cost time and memory for a way that is a few metres of memory.
  const sockets = new WebSocketServer({ noServer: true, maxPayload: limits.bodyBytes, perMessageDeflate: false })
  const served = new Set<Promise<void>>()

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {})
    const refusal = stray(request)
    if (refusal) return refuse(socket, refusal.status)
    if (request.url !== '/engine') return refuse(socket, 404)
    if (sockets.clients.size >= limits.sockets) return refuse(socket, 503)
    sockets.handleUpgrade(request, socket, head, greet)
  })

  function greet(socket: WebSocket): void {
    const shut = (reason: string): void => {
      socket.close(CLOSE_UNAUTHORIZED, reason)
      setTimeout(() => socket.terminate(), CLOSING_MS).unref()
    }
    const late = setTimeout(() => shut('no hello in time'), limits.helloMs)
    socket.on('error', () => {})
    socket.once('close', () => clearTimeout(late))
    socket.once('message', (data, isBinary) => {
      clearTimeout(late)
      if (isBinary || !rightToken(tokenOf(data))) return shut('say hello with the token first')
      const work = serve(api, handlers, webSocketPort(socket)).finally(() => served.delete(work))
      served.add(work)
      socket.send(JSON.stringify({ type: 'welcome' } satisfies Welcome))
    })
  }

  return {
    async close() {
      for (const socket of sockets.clients) socket.terminate()
      await Promise.all(served)
      sockets.close()
    },
  }
}

function tokenOf(data: RawData): unknown {
  try {
    // A text message comes as one Buffer: `ws` has put its fragments together.
    const message = JSON.parse((data as Buffer).toString()) as Partial<Hello> | null
    return message?.type === 'hello' ? message.token : undefined
  } catch {
    return undefined
  }
}

const REASONS: Readonly<Record<number, string>> = { 403: 'Forbidden', 404: 'Not Found', 503: 'Service Unavailable' }

function refuse(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${REASONS[status] ?? 'Refused'}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  socket.once('finish', () => socket.destroy())
}
