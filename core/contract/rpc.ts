import type { z } from 'zod'
import { LAB_ERROR_CODES, LabError, toLabErrorJson, type Json, type LabErrorJson } from './errors.ts'
import type { Port } from './ports.ts'

/** A route that is asked once and answers once. `returns` is never set: it carries the type. */
export type Call<S extends z.ZodType, O> = { readonly kind: 'call'; readonly input: S; readonly returns?: O }
/** A route that sends events and then a result. `yields` and `returns` are never set: they carry the types. */
export type Stream<S extends z.ZodType, E, R> = { readonly kind: 'stream'; readonly input: S; readonly yields?: E; readonly returns?: R }
type Answer = Json | void
/** A table of routes: everything that can be asked of an engine. */
export type Api = { readonly [route: string]: Call<z.ZodType, Answer> | Stream<z.ZodType, Json, Answer> }

/** `call<Output>()(inputSchema)`: the output type is written, the input type follows from its schema. */
export function call<O extends Answer>(): <S extends z.ZodType>(input: S) => Call<S, O> {
  return (input) => ({ kind: 'call', input })
}

/** `stream<Event, Result>()(inputSchema)`. */
export function stream<E extends Json, R extends Answer>(): <S extends z.ZodType>(input: S) => Stream<S, E, R> {
  return (input) => ({ kind: 'stream', input })
}

type Handler<T> =
  T extends Stream<infer S, infer E, infer R>
    ? (input: z.output<S>, signal: AbortSignal) => AsyncGenerator<E, R, void>
    : T extends Call<infer S, infer O>
      ? (input: z.output<S>, signal: AbortSignal) => Promise<O>
      : never
/** What answers each route of an API. */
export type Handlers<A extends Api> = { readonly [K in keyof A]: Handler<A[K]> }

type Routes<A extends Api, Kind> = { [K in keyof A]: A[K]['kind'] extends Kind ? K : never }[keyof A] & string
type InputOf<T> = T extends { input: infer S extends z.ZodType } ? z.input<S> : never
type ReturnOf<T> = T extends { returns?: infer R } ? R : never
type EventOf<T> = T extends { yields?: infer E } ? E : never
type Options = { signal?: AbortSignal }

/** Asks an engine. Every failure is a LabError; a port that closes rejects all that is under way with ENGINE_CRASHED. */
export type Client<A extends Api> = {
  call<K extends Routes<A, 'call'>>(route: K, input: InputOf<A[K]>, options?: Options): Promise<ReturnOf<A[K]>>
  /** Leaving the generator early (break, return, throw) or aborting the signal cancels the work on the other side. */
  stream<K extends Routes<A, 'stream'>>(route: K, input: InputOf<A[K]>, options?: Options): AsyncGenerator<EventOf<A[K]>, ReturnOf<A[K]>, void>
  close(): void
}

/**
 * Most events of one stream that were sent and that the reader has not taken: enough to hide the way there and back, few enough that a reader
 * who is behind makes the handler wait, whose own queue then leaves out what is old.
 */
export const WINDOW = 64

/** The six messages that cross a port. `id` is the asker's. `taken`: so many events of that stream more have reached their reader. */
export type Request = { type: 'ask'; id: number; route: string; input: Json } | { type: 'cancel'; id: number } | { type: 'taken'; id: number; count: number }
export type Reply = { type: 'event'; id: number; value: Json } | { type: 'result'; id: number; value?: Answer } | { type: 'error'; id: number; error: LabErrorJson }

/**
 * Look up a route, parse its input, run its handler: a call is a stream without events.
 * Throws LabError UNKNOWN_ROUTE, INVALID_INPUT naming the field, or what the handler throws.
 */
export async function* answer<A extends Api>(api: A, handlers: Handlers<A>, route: string, input: unknown, signal: AbortSignal): AsyncGenerator<Json, Answer, void> {
  const entry = Object.hasOwn(api, route) ? api[route] : undefined
  if (!entry) throw new LabError('UNKNOWN_ROUTE', `the engine has no route ${JSON.stringify(route)}`)
  const parsed = entry.input.safeParse(input)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const path = issue?.path.map(String) ?? []
    throw new LabError('INVALID_INPUT', `${route}: ${path.length === 0 ? '' : `${path.join('.')}: `}${issue?.message ?? 'not a valid input'}`, { path })
  }
  const run = handlers[route] as unknown as (input: unknown, signal: AbortSignal) => Promise<Answer> | AsyncGenerator<Json, Answer, void>
  const running = run(parsed.data, signal)
  return Symbol.asyncIterator in running ? yield* running : await running
}

/** Run one request to its end and hand each reply to `send`, which may make the handler wait. Rejects only where `send` does so for an error. */
export async function deliver<A extends Api>(
  api: A,
  handlers: Handlers<A>,
  { id, route, input }: { id: number; route: string; input: unknown },
  signal: AbortSignal,
  send: (reply: Reply) => void | Promise<void>,
): Promise<void> {
  try {
    const steps = answer(api, handlers, route, input, signal)
    for (;;) {
      const step = await steps.next()
      if (step.done) return await send({ type: 'result', id, value: step.value })
      if (!signal.aborted) await send({ type: 'event', id, value: step.value })
      if (signal.aborted) await steps.return()
      signal.throwIfAborted()
    }
  } catch (error) {
    await send({ type: 'error', id, error: toLabErrorJson(error) })
  }
}

/** The events of one stream that were sent and not taken. */
class Outstanding {
  readonly #signal: AbortSignal
  #events = 0
  #wake: () => void = () => {}

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', () => this.#wake(), { once: true })
  }

  sent(): void {
    this.#events++
  }

  /** What the other side says it has taken; more than was sent earns no credit. */
  taken(count: unknown): void {
    if (typeof count !== 'number' || !(count > 0)) return
    this.#events = Math.max(0, this.#events - count)
    this.#wake()
  }

  /** Resolves when less than a window is outstanding, or when the signal is aborted. */
  async room(): Promise<void> {
    while (this.#events >= WINDOW && !this.#signal.aborted) await new Promise<void>((resolve) => (this.#wake = resolve))
  }
}

/**
 * Answer every request that comes through the port; a cancel aborts the signal of its request, a closed port all of them. A stream waits while its
 * reader has not taken WINDOW of its events. Resolves when the port is closed and every handler has ended.
 */
export async function serve<A extends Api>(api: A, handlers: Handlers<A>, port: Port): Promise<void> {
  const running = new Map<number, { controller: AbortController; outstanding: Outstanding; ended: Promise<void> }>()

  async function run(request: { id: number; route: string; input: unknown }, signal: AbortSignal, outstanding: Outstanding): Promise<void> {
    await deliver(api, handlers, request, signal, async (reply) => {
      port.post(reply)
      if (reply.type !== 'event') return
      outstanding.sent()
      await outstanding.room()
    })
    running.delete(request.id)
  }

  port.onMessage((message) => {
    const request = message as Partial<Request> | null
    if (typeof request?.id !== 'number') return
    const { id } = request
    if (request.type === 'cancel') running.get(id)?.controller.abort(new LabError('CANCELLED', 'cancelled'))
    if (request.type === 'taken') running.get(id)?.outstanding.taken(request.count)
    if (request.type !== 'ask' || typeof request.route !== 'string' || running.has(id)) return
    const controller = new AbortController()
    const outstanding = new Outstanding(controller.signal)
    running.set(id, { controller, outstanding, ended: run({ id, route: request.route, input: request.input }, controller.signal, outstanding) })
  })
  const reason = await new Promise<LabError>((resolve) => port.onClose(resolve))
  const left = [...running.values()]
  for (const { controller } of left) controller.abort(reason)
  await Promise.all(left.map(({ ended }) => ended))
}

/** A client of the engine behind the port: `createClient<EngineApi>(port)`. Only types are needed of the table, so a page need not load the schemas. */
export function createClient<A extends Api>(port: Port): Client<A> {
  const asked = new Map<number, (reply: Reply) => void>()
  let lastId = 0
  let closed: LabError | null = null

  port.onMessage((message) => {
    if (isReply(message)) asked.get(message.id)?.(message)
  })
  port.onClose((reason) => {
    closed = reason
    for (const [id, tell] of asked) tell({ type: 'error', id, error: reason.toJSON() })
  })

  async function* ask(route: string, input: unknown, { signal }: Options = {}): AsyncGenerator<Json, Answer, void> {
    if (closed) throw closed
    if (signal?.aborted) throw cancelled(signal)
    const id = ++lastId
    const waiting: Reply[] = []
    let wake: () => void = () => {}
    let taken = 0
    const tell = (reply: Reply): void => {
      const flood = reply.type === 'event' && waiting.length >= WINDOW
      if (flood) asked.delete(id)
      waiting.push(flood ? { type: 'error', id, error: { code: 'INTERNAL', message: `${route}: the engine does not wait for its reader` } } : reply)
      wake()
    }
    const abort = (): void => tell({ type: 'error', id, error: cancelled(signal).toJSON() })
    let ended = false
    asked.set(id, tell)
    signal?.addEventListener('abort', abort, { once: true })
    port.post({ type: 'ask', id, route, input })
    try {
      for (;;) {
        const reply = waiting.shift()
        if (!reply) {
          await new Promise<void>((resolve) => (wake = resolve))
          continue
        }
        if (reply.type === 'event') {
          taken++
          if (taken === WINDOW / 2) {
            port.post({ type: 'taken', id, count: taken } satisfies Request)
            taken = 0
          }
          yield reply.value
          continue
        }
        ended = asked.has(id) && !signal?.aborted
        if (reply.type === 'result') return reply.value
        throw errorOf(reply)
      }
    } finally {
      asked.delete(id)
      signal?.removeEventListener('abort', abort)
      // A cancel that crosses the end of its request is ignored on the other side.
      if (!ended) port.post({ type: 'cancel', id } satisfies Request)
    }
  }

  async function once(route: string, input: unknown, options?: Options): Promise<Answer> {
    const steps = ask(route, input, options)
    for (;;) {
      const step = await steps.next()
      if (step.done) return step.value
    }
  }

  return { call: once, stream: ask, close: () => port.close() } as unknown as Client<A>
}

/** Whether a message is a reply; whatever else comes is left alone. */
export function isReply(message: unknown): message is Reply {
  const reply = message as Partial<Reply> | null
  return typeof reply?.id === 'number' && (reply.type === 'event' || reply.type === 'result' || reply.type === 'error')
}

/** The LabError that a reply carries; of an engine that is not ours it is INTERNAL. */
export function errorOf({ error }: Extract<Reply, { type: 'error' }>): LabError {
  const { code, message, details } = (error ?? {}) as Partial<LabErrorJson>
  const known = LAB_ERROR_CODES.find((own) => own === code) ?? 'INTERNAL'
  return new LabError(known, typeof message === 'string' ? message : 'the engine sent an error that says nothing', details)
}

/** Why a request whose signal was aborted ended. */
export function cancelled(signal: AbortSignal | undefined): LabError {
  return signal?.reason instanceof LabError ? signal.reason : new LabError('CANCELLED', 'cancelled')
}
