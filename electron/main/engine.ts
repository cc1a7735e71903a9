import type { MessageChannelMain, MessagePortMain, UtilityProcess } from 'electron'
import type { EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import { messagePort, type Port } from '#core/contract/ports.ts'
import type { Client } from '#core/contract/rpc.ts'
import type { EngineState } from '#core/contract/shell.ts'
import type { EngineProcess } from '#core/host/fork.ts'
import { superviseEngine, type Clock } from '#core/host/supervisor.ts'
import type { EngineStatus } from './shell.ts'

/** What main says to the engine process: here is a port to answer on (it comes along), or end. */
export type ToEngine = { kind: 'port' } | { kind: 'close' }

export type EngineParts = {
  /** Forks the utility process with its output piped. */
  fork(): Pick<UtilityProcess, 'pid' | 'once' | 'kill' | 'postMessage' | 'stdout' | 'stderr'>
  channel(): Pick<MessageChannelMain, 'port1' | 'port2'>
  /** What the system said of a process that went, for example `oom`; null where it said nothing yet. */
  gone(): string | null
}

/** An engine in a utility process; beside main, each page has a port of its own to it. To close main's port is to ask the engine to end after the pass in flight. */
export type DesktopEngine = EngineProcess & { openPort(): MessagePortMain }

/** The engine of this program, started again whenever it ends. */
export type KeptEngine = EngineStatus & {
  readonly client: Client<EngineApi>
  /** A port to the engine of the moment, to be handed to a page; null unless it is ready. */
  openPort(): MessagePortMain | null
  /** Asks the engine to end after the pass in flight, and kills it where it has not ended after `grace` milliseconds. */
  close(grace: number): Promise<void>
}

/** Characters of the engine's last words that are kept for the report of a crash. */
const LAST_WORDS = 4000

/** Fork the engine: inference blocks its process and a native fault ends it, so neither may happen in main. */
export function startEngine(parts: EngineParts): DesktopEngine {
  const child = parts.fork()
  let lastWords = ''
  for (const output of [child.stdout, child.stderr]) {
    output?.on('data', (chunk: Buffer) => {
      lastWords = (lastWords + chunk.toString()).slice(-LAST_WORDS)
    })
  }
  const ended = new Promise<LabError>((resolve) => {
    child.once('exit', (code) => resolve(crash(code, parts.gone(), lastWords.trim())))
  })
  const say = (message: ToEngine, ports: MessagePortMain[] = []): void => child.postMessage(message, ports)

  function openPort(): MessagePortMain {
    const { port1, port2 } = parts.channel()
    say({ kind: 'port' }, [port1])
    return port2
  }

  async function kill(): Promise<void> {
    // Its own kill is a polite signal, which a process deep in native code may never hear.
    if (child.pid === undefined || !killed(child.pid)) child.kill()
    await ended
  }

  // The process tells of its end with a reason; its port would only be closed.
  const port: Port = { ...messagePort(openPort()), onClose: (listener) => void ended.then(listener), close: () => say({ kind: 'close' }) }
  return { port, kill, openPort }
}

/** Start the engine and keep one running. */
export function keepEngine(parts: EngineParts & { clock?: Clock }): KeptEngine {
  const listeners = new Set<() => void>()
  let state: EngineState = { state: 'starting', reason: null }
  const supervisor = superviseEngine({
    start: () => startEngine(parts),
    ...(parts.clock ? { clock: parts.clock } : {}),
    onState: ({ status, reason }) => {
      state = { state: status, reason: reason?.toJSON() ?? null }
      for (const listener of listeners) listener()
    },
  })
  return {
    client: supervisor.client,
    state: () => state,
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    retry: () => supervisor.retry(),
    openPort: () => (state.state === 'ready' ? (supervisor.process?.openPort() ?? null) : null),
    close: async (grace) => {
      const timer = setTimeout(() => void supervisor.kill(), grace)
      await supervisor.close()
      clearTimeout(timer)
    },
  }
}

function killed(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    return false
  }
}

function crash(code: number, gone: string | null, output: string): LabError {
  const how = gone === null || gone === 'clean-exit' ? '' : ` (${gone === 'oom' ? 'out of memory' : gone})`
  return new LabError('ENGINE_CRASHED', `the engine process was ended with exit code ${code}${how}`, { code, reason: gone, output })
}
