import { LabError } from './errors.ts'
import { cancelled, errorOf, isReply, type Api, type Client, type Reply } from './rpc.ts'

type Options = { signal?: AbortSignal }
type Lines = AsyncGenerator<string, void, void>

/**
 * A client that asks by HTTP: `POST url/api/<route>` with the input as JSON, answered by one message a line. Leaving a stream, or aborting, closes its
 * request, which ends the work. Where the host cannot be reached, or is gone before the end, a request fails with ENGINE_CRASHED.
 */
export function httpClient<A extends Api>(url: string, options: { token: string; fetch?: typeof fetch }): Client<A> {
  const request = options.fetch ?? fetch
  const underWay = new Set<AbortController>()
  let closed: LabError | null = null

  async function* ask(route: string, input: unknown, { signal }: Options = {}): AsyncGenerator<unknown, unknown, void> {
    if (closed) throw closed
    if (signal?.aborted) throw cancelled(signal)
    const controller = new AbortController()
    const abort = (): void => controller.abort(cancelled(signal))
    underWay.add(controller)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      const response = await request(`${url.replace(/\/+$/, '')}/api/${encodeURIComponent(route)}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${options.token}`, 'content-type': 'application/json' },
        body: JSON.stringify(input),
        signal: controller.signal,
      })
      for await (const line of linesOf(response)) {
        const reply = replyOf(line)
        if (reply?.type === 'event') yield reply.value
        if (reply?.type === 'result') return reply.value
        if (reply?.type === 'error') throw errorOf(reply)
      }
      throw new LabError('ENGINE_CRASHED', `${route}: the host answered with status ${response.status} and ended before the result`)
    } catch (error) {
      if (controller.signal.aborted) throw controller.signal.reason
      if (error instanceof LabError) throw error
      throw new LabError('ENGINE_CRASHED', `the connection to the engine was closed: ${error instanceof Error ? error.message : String(error)}`, undefined, { cause: error })
    } finally {
      underWay.delete(controller)
      signal?.removeEventListener('abort', abort)
      controller.abort()
    }
  }

  async function once(route: string, input: unknown, given?: Options): Promise<unknown> {
    const steps = ask(route, input, given)
    for (;;) {
      const step = await steps.next()
      if (step.done) return step.value
    }
  }

  const close = (): void => {
    closed ??= new LabError('ENGINE_CRASHED', 'the connection to the engine was closed')
    for (const controller of underWay) controller.abort(closed)
  }
  return { call: once, stream: ask, close } as unknown as Client<A>
}

async function* linesOf(response: Response): Lines {
  const reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  while (reader) {
    const { done, value } = await reader.read()
    rest += done ? decoder.decode() : decoder.decode(value, { stream: true })
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    yield* lines
    if (done) break
  }
  if (rest !== '') yield rest
}

/** The reply in a line; null where a host that is not ours says something else. */
function replyOf(line: string): Reply | null {
  try {
    const message: unknown = JSON.parse(line)
    return isReply(message) ? message : null
  } catch {
    return null
  }
}
