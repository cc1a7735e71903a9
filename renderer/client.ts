import type { EngineApi } from '#core/contract/api.ts'
import { LabError, toLabErrorJson } from '#core/contract/errors.ts'
import { messagePort, webSocketPort, type Port } from '#core/contract/ports.ts'
import { createClient, type Client } from '#core/contract/rpc.ts'
import type { ShellApi } from '#core/contract/shell.ts'
import { shallowReactive } from 'vue'

/** What the preload script gives the page in the desktop window. */
type Desktop = { connect(): void; pathOf(file: File): string }
declare global {
  interface Window {
    readonly kvlab?: Desktop
  }
}

/** `refused`: the token is wrong or missing; `failed`: the engine died again and again and is not started any more. `reason` says it in words; `attempts` counts tries since the engine was last there. */
type Connection = { state: 'connecting' | 'ready' | 'lost' | 'refused' | 'failed'; reason: string; attempts: number }

/** The state of the connection to the engine, for all components. */
export const connection: Connection = shallowReactive({ state: 'connecting', reason: '', attempts: 0 })

const TOKEN_KEY = 'kvlab.token'
/** From the first try to the next, doubled each time up to the longest, in milliseconds. */
const FIRST_WAIT = 250
const LONGEST_WAIT = 4000

let client: Client<EngineApi> | null = null
let enginePort: Port | null = null
let shellClient: Client<ShellApi> | null = null
let waiting: ((client: Client<EngineApi>) => void)[] = []

/** The desktop window's own functions, null in a browser. */
export function desktop(): Desktop | null {
  return window.kvlab ?? null
}

/** The shell of the desktop window once it has handed over its port; null in a browser. */
export function shell(): Client<ShellApi> | null {
  return shellClient
}

/** Begin to connect, and connect again whenever the engine goes away. */
export function connect(): void {
  if (desktop()) return connectDesktop()
  const fromAddress = /token=([\w-]+)/.exec(location.hash)?.[1]
  if (fromAddress !== undefined) {
    localStorage.setItem(TOKEN_KEY, fromAddress)
    // Out of the address, where it could be copied or photographed.
    history.replaceState(null, '', `${location.pathname}#/`)
  }
  connectSocket()
}

/** The token of this host, from the address where it was just opened, else from before. */
export function token(): string {
  return localStorage.getItem(TOKEN_KEY) ?? ''
}

/** Keep a token that a person typed or pasted, alone or in the whole address, and try it. */
export function useToken(text: string): void {
  localStorage.setItem(TOKEN_KEY, /token=([\w-]+)/.exec(text)?.[1] ?? text.trim())
  connection.attempts = 0
  connectSocket()
}

function connectDesktop(): void {
  window.addEventListener('message', (event: MessageEvent<{ kind?: unknown } | null>) => {
    if (event.source !== window) return
    const [port] = event.ports
    if (!port) return
    if (event.data?.kind === 'engine') {
      // A port that was closed on the other side may never tell: what still waits on the last one ends here.
      enginePort?.close()
      enginePort = plainPort(messagePort(port))
      opened(enginePort, () => (connection.state = 'lost'))
    }
    if (event.data?.kind === 'shell') void followEngine((shellClient = createClient<ShellApi>(plainPort(messagePort(port)))))
  })
  desktop()?.connect()
}

/** A port for what components hold: a message is copied by the browser, which cannot copy Vue's proxies. */
function plainPort(port: Port): Port {
  return { ...port, post: (message) => port.post(JSON.parse(JSON.stringify(message))) }
}

/** Main starts the engine again by itself until it gives up: then a person decides. */
async function followEngine(main: Client<ShellApi>): Promise<void> {
  try {
    for await (const { state, reason } of main.stream('engine.state', {})) {
      if (state === 'ready' || state === 'starting') continue
      enginePort?.close()
      connection.state = state === 'failed' ? 'failed' : 'lost'
      connection.reason = reason?.message ?? 'the engine does not answer'
    }
  } catch {
    // The window goes away, or a reload gave it another port.
  }
}

/** Start the engine once more after it was given up; only the desktop window can. */
export async function retryEngine(): Promise<void> {
  connection.state = 'connecting'
  await shellClient?.call('engine.retry', {})
}

function connectSocket(): void {
  if (token() === '') {
    connection.state = 'refused'
    connection.reason = 'This page needs the address that the program printed, with its token.'
    return
  }
  const address = new URL('engine', location.href)
  address.protocol = address.protocol.replace('http', 'ws')
  address.hash = ''
  opened(webSocketPort(new WebSocket(address), token()), (error) => {
    if (error.code === 'INVALID_INPUT') {
      connection.state = 'refused'
      return
    }
    connection.state = 'lost'
    setTimeout(connectSocket, Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** connection.attempts++))
  })
}

/** Ask the engine who it is: only its answer makes the connection ready. */
function opened(port: Port, lost: (error: LabError) => void): void {
  const mine = createClient<EngineApi>(port)
  let told = false
  const gone = (error: LabError): void => {
    if (told) return
    told = true
    if (client === mine) client = null
    connection.reason = error.message
    lost(error)
  }
  port.onClose(gone)
  mine.call('engine.info', {}).then(
    () => {
      client = mine
      connection.state = 'ready'
      connection.attempts = 0
      for (const tell of waiting.splice(0)) tell(mine)
    },
    (error: unknown) => gone(asLabError(error)),
  )
}

/** The engine, as soon as there is one. Throws the signal's reason where it is aborted first. */
export function engine(signal?: AbortSignal): Promise<Client<EngineApi>> {
  if (client) return Promise.resolve(client)
  return new Promise((resolve, reject) => {
    waiting.push(resolve)
    signal?.addEventListener('abort', () => {
      waiting = waiting.filter((other) => other !== resolve)
      reject(new LabError('CANCELLED', 'cancelled'))
    })
  })
}

/** Whatever was thrown as a LabError. */
export function asLabError(thrown: unknown): LabError {
  if (thrown instanceof LabError) return thrown
  const { code, message, details } = toLabErrorJson(thrown)
  return new LabError(code, message, details)
}
