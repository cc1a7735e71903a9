import { LabError } from './errors.ts'

/**
 * A two-way pipe of JSON values between a client and an engine. Messages arrive whole and in order.
 * `onClose` listeners are told once why the pipe ended, whichever side closed it; after that `post` does nothing.
 */
export type Port = {
  post(message: unknown): void
  onMessage(listener: (message: unknown) => void): void
  onClose(listener: (reason: LabError) => void): void
  close(): void
}

/** The end of a pipe: tells its listeners once, those that come later too. */
class Ending {
  readonly #listeners: ((reason: LabError) => void)[] = []
  #reason: LabError | null = null

  get over(): boolean {
    return this.#reason !== null
  }

  end(reason: LabError): void {
    if (this.#reason) return
    this.#reason = reason
    for (const listener of this.#listeners) listener(reason)
  }

  onClose(listener: (reason: LabError) => void): void {
    const reason = this.#reason
    if (reason) queueMicrotask(() => listener(reason))
    else this.#listeners.push(listener)
  }
}

const closed = (): LabError => new LabError('ENGINE_CRASHED', 'the connection to the engine was closed')

/** Two joined ports in one process; what is posted is copied as JSON, so both sides see what any other pipe would carry. */
export function portPair(): [Port, Port] {
  const ends = [new MemoryEnd(), new MemoryEnd()] as const
  let open = true
  const close = (): void => {
    if (!open) return
    open = false
    for (const { ending } of ends) queueMicrotask(() => ending.end(closed()))
  }
  const port = (own: MemoryEnd, other: MemoryEnd): Port => ({
    post: (message) => {
      if (!open) return
      const text = JSON.stringify(message)
      queueMicrotask(() => other.received(JSON.parse(text)))
    },
    onMessage: (listener) => void (own.received = listener),
    onClose: (listener) => own.ending.onClose(listener),
    close,
  })
  return [port(ends[0], ends[1]), port(ends[1], ends[0])]
}

class MemoryEnd {
  readonly ending = new Ending()
  received: (message: unknown) => void = () => {}
}

type Carrier = { data?: unknown }
/** A MessagePort of the web, of Node's worker_threads, or Electron's MessagePortMain, which has `on` instead of `addEventListener`. */
export type MessagePortLike = { postMessage(message: unknown): void; start(): void; close(): void } & (
  | { addEventListener(type: 'message' | 'close', listener: (event: Carrier & { type: string }) => void): void }
  | { on(type: 'message', listener: (event: Carrier) => void): unknown; on(type: 'close', listener: () => void): unknown }
)

/** A port over one end of a message channel; it is closed when the process of the other end is gone. */
export function messagePort(channel: MessagePortLike): Port {
  const ending = new Ending()
  let received: (message: unknown) => void = () => {}
  // Node's port has both kinds of listeners, and `on` gives it the value itself: the web's kind is the one that is alike.
  if ('addEventListener' in channel) {
    channel.addEventListener('message', (event) => received(event.data))
    channel.addEventListener('close', () => ending.end(closed()))
  } else {
    channel.on('message', (event) => received(event.data))
    channel.on('close', () => ending.end(closed()))
  }
  return {
    post: (message) => {
      if (!ending.over) channel.postMessage(message)
    },
    // What came before stands in the channel until it is started.
    onMessage: (listener) => {
      received = listener
      channel.start()
    },
    onClose: (listener) => ending.onClose(listener),
    // The web tells only the other side of a close.
    close: () => {
      channel.close()
      ending.end(closed())
    },
  }
}

/** A browser's WebSocket or one of the `ws` package. */
export type WebSocketLike = {
  readonly readyState: number
  send(data: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open' | 'message' | 'close' | 'error', listener: (event: { type: string; data?: unknown; code?: number }) => void): void
}

/** What a client says first on a WebSocket, and what it is told when the token is right. */
export type Hello = { type: 'hello'; token: string }
export type Welcome = { type: 'welcome' }

/** The code with which a host closes a WebSocket whose first message is not a hello with its token. */
export const CLOSE_UNAUTHORIZED = 4401
/** The code of the protocol for a message that is longer than the host takes. */
const CLOSE_TOO_BIG = 1009
const OPEN = 1

/**
 * A port over a WebSocket, messages as JSON text. With `token` it is a client's: it says hello first and holds what is posted until it is welcome.
 * Without, it is the host's end of a socket that is open. A wrong token closes it with LabError INVALID_INPUT.
 */
export function webSocketPort(socket: WebSocketLike, token?: string): Port {
  const ending = new Ending()
  let received: (message: unknown) => void = () => {}
  let waiting: string[] | null = token === undefined ? null : []

  if (token !== undefined) {
    const hello = (): void => socket.send(JSON.stringify({ type: 'hello', token } satisfies Hello))
    if (socket.readyState === OPEN) hello()
    else socket.addEventListener('open', hello)
  }
  socket.addEventListener('message', ({ data }) => {
    const message = parsed(data)
    if (ending.over || message === undefined) return
    if (waiting === null) return received(message)
    if (!isWelcome(message)) return
    for (const text of waiting) socket.send(text)
    waiting = null
  })
  socket.addEventListener('close', ({ code }) => ending.end(whyClosed(code)))
  // A close follows, which tells all there is to say; `ws` would end the process for an error that no one listens to.
  socket.addEventListener('error', () => {})

  return {
    post: (message) => {
      if (ending.over) return
      const text = JSON.stringify(message)
      if (waiting) waiting.push(text)
      else if (socket.readyState === OPEN) socket.send(text)
    },
    onMessage: (listener) => void (received = listener),
    onClose: (listener) => ending.onClose(listener),
    close: () => {
      socket.close()
      ending.end(closed())
    },
  }
}

function isWelcome(message: unknown): message is Welcome {
  return typeof message === 'object' && message !== null && 'type' in message && message.type === 'welcome'
}

function whyClosed(code: number | undefined): LabError {
  if (code === CLOSE_UNAUTHORIZED) return new LabError('INVALID_INPUT', 'the host does not take this token: open the address that kvlab serve printed when it started')
  if (code === CLOSE_TOO_BIG) return new LabError('ENGINE_CRASHED', 'the host closed the connection, for a request was longer than it takes: ask for less at once')
  return closed()
}

/** The JSON value of a text; undefined for what is none. */
function parsed(data: unknown): unknown {
  if (typeof data !== 'string') return undefined
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}
