import type { EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import { cancelled, createClient, type Client } from '#core/contract/rpc.ts'
import type { EngineProcess } from './fork.ts'
import type { AnyClient } from './forward.ts'

/** How the engine is; `reason` is why it last ended, null before that. */
export type EngineState = { status: 'starting' | 'ready' | 'restarting' | 'failed'; reason: LabError | null }

/** Milliseconds, and work for later; `later` gives what calls it off. */
export type Clock = { now(): number; later(ms: number, work: () => void): () => void }

/** An engine that is started again when it ends. */
export type Supervisor<P extends EngineProcess> = {
  /**
   * Asks the engine of the moment: what is under way when it ends fails with ENGINE_CRASHED, what is asked then waits until the next one is ready.
   * Without an engine to wait for it fails with the reason.
   */
  readonly client: Client<EngineApi>
  readonly state: EngineState
  /** The process of the moment; null between two. */
  readonly process: P | null
  /** Start again what was given up, or does not wait any longer. */
  retry(): void
  /** Kill the engine, whatever it does, and start the next one. */
  restart(): Promise<void>
  /** Let the engine end what is under way; resolves when it is gone. Nothing is started after that. */
  close(): Promise<void>
  /** The same at once. */
  kill(): Promise<void>
}

/** Milliseconds before the second start, doubled for each further one: 4 s before the last. */
const FIRST_WAIT_MS = 250
/** An engine that lived so long was no failed start: counting begins anew. */
const LIVED_MS = 30_000
/** Quick deaths in a row after which a further start would end no better. */
const MAX_QUICK_DEATHS = 6
/** An engine that has not said its name by then never will: loading it takes a second or two, on a slow disk ten. */
const START_LIMIT_MS = 60_000

const systemClock: Clock = {
  now: () => performance.now(),
  later: (ms, work) => {
    const timer = setTimeout(work, ms)
    return () => clearTimeout(timer)
  },
}

type Waiting = { resolve: (client: Client<EngineApi>) => void; reject: (reason: LabError) => void }

/** Start an engine and keep one running. `onState` is told each change. */
export function superviseEngine<P extends EngineProcess>(options: { start: () => P; onState?: (state: EngineState) => void; clock?: Clock }): Supervisor<P> {
  const { start, onState = () => {}, clock = systemClock } = options
  const waiting = new Set<Waiting>()
  let state: EngineState = { status: 'starting', reason: null }
  let running: { process: P; client: Client<EngineApi>; gone: Promise<void> } | null = null
  let ready: Client<EngineApi> | null = null
  let quickDeaths = 0
  let closed = false
  let callOff = (): void => {}

  function become(status: EngineState['status'], reason: LabError | null): void {
    state = { status, reason }
    onState(state)
  }

  function begin(): void {
    callOff()
    const startedAt = clock.now()
    let process: P
    try {
      process = start()
    } catch (error) {
      return died(startedAt, error instanceof LabError ? error : new LabError('ENGINE_CRASHED', `the engine did not start: ${String(error)}`, undefined, { cause: error }))
    }
    const client = createClient<EngineApi>(process.port)
    let tellGone = (): void => {}
    const mine = { process, client, gone: new Promise<void>((resolve) => (tellGone = resolve)) }
    running = mine
    callOff = clock.later(START_LIMIT_MS, () => void process.kill())
    process.port.onClose((reason) => {
      tellGone()
      if (running !== mine) return
      running = ready = null
      died(startedAt, reason)
    })
    // The first answer shows that it works; where none comes, the end that follows tells why.
    client.call('engine.info', {}).then(
      () => {
        if (running !== mine) return
        callOff()
        ready = client
        become('ready', state.reason)
        for (const { resolve } of waiting) resolve(client)
        waiting.clear()
      },
      () => {},
    )
  }

  function died(startedAt: number, reason: LabError): void {
    callOff()
    if (closed) return giveUp(reason)
    quickDeaths = clock.now() - startedAt < LIVED_MS ? quickDeaths + 1 : 1
    if (quickDeaths >= MAX_QUICK_DEATHS) return giveUp(reason)
    become('restarting', reason)
    callOff = clock.later(FIRST_WAIT_MS * 2 ** (quickDeaths - 1), begin)
  }

  function giveUp(reason: LabError): void {
    become('failed', reason)
    for (const { reject } of waiting) reject(reason)
    waiting.clear()
  }

  function current(signal: AbortSignal | undefined): Promise<Client<EngineApi>> {
    if (signal?.aborted) return Promise.reject(cancelled(signal))
    if (ready) return Promise.resolve(ready)
    if (state.status === 'failed') return Promise.reject(state.reason ?? new LabError('ENGINE_CRASHED', 'the engine was closed'))
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        waiting.delete(entry)
        reject(cancelled(signal))
      }
      const leave = (): void => signal?.removeEventListener('abort', abort)
      const entry: Waiting = { resolve: (client) => (leave(), resolve(client)), reject: (reason) => (leave(), reject(reason)) }
      waiting.add(entry)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  async function end(how: (process: P, client: Client<EngineApi>) => unknown): Promise<void> {
    closed = true
    callOff()
    const last = running
    if (!last) {
      if (state.status !== 'failed') giveUp(new LabError('ENGINE_CRASHED', 'the engine was closed'))
      return
    }
    ready = null
    how(last.process, last.client)
    await last.gone
  }

  const asker: AnyClient = {
    call: async (route, input, given) => ((await current(given?.signal)) as unknown as AnyClient).call(route, input, given),
    stream: async function* (route, input, given) {
      return yield* ((await current(given?.signal)) as unknown as AnyClient).stream(route, input, given)
    },
  }
  const supervisor: Supervisor<P> = {
    client: { ...asker, close: () => void supervisor.close() } as unknown as Client<EngineApi>,
    get state() {
      return state
    },
    get process() {
      return running?.process ?? null
    },
    retry() {
      if (closed || running) return
      quickDeaths = 0
      become('restarting', state.reason)
      begin()
    },
    async restart() {
      if (running) await Promise.all([running.gone, running.process.kill()])
      supervisor.retry()
    },
    close: () => end((_, client) => client.close()),
    kill: () => end((process) => process.kill()),
  }
  onState(state)
  begin()
  return supervisor
}
