import { fork } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { MessageChannel } from 'node:worker_threads'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { LabError } from '#core/contract/errors.ts'
import { httpClient } from '#core/contract/http-client.ts'
import { messagePort, portPair, webSocketPort, type Port } from '#core/contract/ports.ts'
import { answer, call, createClient, serve, stream, WINDOW, type Client } from '#core/contract/rpc.ts'
import { forward } from '#core/host/forward.ts'
import { startHost, type Host } from '#core/host/http.ts'
import { processPort } from '#core/host/process-port.ts'
import { testApi, testHandlers } from './contract-api.ts'

type TestClient = Client<typeof testApi>
/** `ahead`: events that may have been made beside those a reader has taken, of `SIZE` characters each. */
type Transport = { name: string; open: () => TestClient | Promise<TestClient>; ahead: number }

const TOKEN = 'a-token-of-the-tests'
/** Characters of a flood's event. */
const SIZE = 100_000

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-contract-'))
  const entry = fileURLToPath(new URL('./contract-child.ts', import.meta.url))
  await build({
    configFile: false,
    logLevel: 'error',
    ssr: { noExternal: true },
    build: { ssr: true, outDir: folder, emptyOutDir: false, rollupOptions: { input: entry, output: { format: 'es', entryFileNames: 'child.mjs' } } },
  })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** What a transport has opened beside its client, closed after each test. */
const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0)) await close()
})

function client(port: Port): TestClient {
  opened.push(() => port.close())
  return createClient(port)
}

async function host(): Promise<Host> {
  const handlers = testHandlers(() => void started.close())
  const started = await startHost({ api: testApi, handlers, page: join(folder, 'page'), home: folder, token: TOKEN, port: 0 })
  opened.push(() => started.close())
  return started
}

const transports: Transport[] = [
  {
    name: 'in memory',
    ahead: WINDOW,
    open: () => {
      const [ours, theirs] = portPair()
      void serve(testApi, testHandlers(() => theirs.close()), theirs)
      return client(ours)
    },
  },
  { name: 'between processes', ahead: WINDOW, open: () => client(processPort(fork(join(folder, 'child.mjs'), { serialization: 'advanced' }))) },
  {
    name: 'over a MessagePort',
    ahead: WINDOW,
    open: () => {
      const { port1, port2 } = new MessageChannel()
      const theirs = messagePort(port2)
      void serve(testApi, testHandlers(() => theirs.close()), theirs)
      return client(messagePort(port1))
    },
  },
  {
    name: 'over a WebSocket',
    ahead: WINDOW,
    open: async () => client(webSocketPort(new WebSocket((await host()).url.replace('http', 'ws') + 'engine'), TOKEN)),
  },
  {
    name: 'over HTTP',
    // No window but the buffers of two sockets: some megabytes each, as the system likes.
    ahead: 32_000_000 / SIZE,
    open: async () => {
      const asking = httpClient<typeof testApi>((await host()).url, { token: TOKEN })
      opened.unshift(() => asking.close())
      return asking
    },
  },
  {
    name: 'passed on from a WebSocket to another process',
    ahead: 2 * WINDOW,
    open: async () => {
      const behind = client(processPort(fork(join(folder, 'child.mjs'), { serialization: 'advanced' })))
      const started = await startHost({ api: testApi, handlers: forward(testApi, behind), page: join(folder, 'page'), home: folder, token: TOKEN, port: 0 })
      opened.push(() => started.close())
      return client(webSocketPort(new WebSocket(started.url.replace('http', 'ws') + 'engine'), TOKEN))
    },
  },
]

/** The LabError that `work` ends in. */
async function failure(work: Promise<unknown>): Promise<LabError> {
  const error = await work.then(() => new Error('it did not fail'), (reason: unknown) => reason)
  if (error instanceof LabError) return error
  throw error
}

/** What a count is once it does not change any more. */
async function settled(count: () => Promise<number>): Promise<number> {
  let [last, same] = [await count(), 0]
  while (same < 5) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    const now = await count()
    same = now === last ? same + 1 : 0
    last = now
  }
  return last
}

async function drain<E, R>(steps: AsyncGenerator<E, R, void>): Promise<{ events: E[]; result: R }> {
  const events: E[] = []
  for (;;) {
    const step = await steps.next()
    if (step.done) return { events, result: step.value }
    events.push(step.value)
  }
}

describe.each(transports)('the contract $name', ({ open, ahead }) => {
  let client: TestClient
  beforeEach(async () => {
    client = await open()
  })

  /** Ask by a route that the types do not know. */
  const stray = (route: string, input: object = {}): Promise<unknown> => client.call(route as 'nothing', input as Record<string, never>)
  /** Wait until the serving side has ended the streams named so far. */
  async function endedStreams(count: number): Promise<string[]> {
    for (let tries = 0; tries < 400; tries++) {
      const names = await client.call('ended', {})
      if (names.length >= count) return names
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    throw new Error('the streams were not ended')
  }

  it('answers calls, also with nothing', async () => {
    expect(await client.call('double', { number: 21 })).toEqual({ twice: 42 })
    expect(await client.call('nothing', {})).toBeUndefined()
  })

  it('carries a LabError with its details, and names a defect INTERNAL', async () => {
    const error = await failure(client.call('fail', { how: 'lab' }))
    expect(error.toJSON()).toEqual({ code: 'DISK_FULL', message: 'no room', details: { path: '/somewhere', free: 0 } })
    const defect = await failure(client.call('fail', { how: 'defect' }))
    expect(defect.code).toBe('INTERNAL')
    expect(defect.message).toContain('a slip')
  })

  it('refuses invalid input with the path of the bad field', async () => {
    const nested = await failure(stray('double', { number: 1, nested: { list: [1, 2.5] } }))
    expect(nested.code).toBe('INVALID_INPUT')
    expect(nested.message).toContain('double: nested.list.1:')
    expect(nested.details).toEqual({ path: ['nested', 'list', '1'] })
    expect((await failure(stray('double', { number: 1, extra: true }))).message).toContain('extra')
    expect((await failure(stray('count', { to: 'x' }))).code).toBe('INVALID_INPUT')
  })

  it.each(['no.such', '__proto__', 'constructor', 'toString', 'then', ''])('does not know the route %j', async (route) => {
    expect((await failure(stray(route))).code).toBe('UNKNOWN_ROUTE')
  })

  it('streams events in order and then the result', async () => {
    const { events, result } = await drain(client.stream('count', { to: 1000 }))
    expect(events).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1))
    expect(result).toEqual({ sum: 500_500 })
  })

  it('keeps every event for a slow reader', async () => {
    const seen: number[] = []
    for await (const event of client.stream('count', { to: 40 })) {
      if (event % 10 === 1) await new Promise((resolve) => setTimeout(resolve, 5))
      seen.push(event)
    }
    expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
  })

  it('gives the events before an error, then the error', async () => {
    const seen: number[] = []
    const error = await failure(
      (async () => {
        for await (const event of client.stream('broken', {})) seen.push(event)
      })(),
    )
    expect(seen).toEqual([1, 2])
    expect(error.code).toBe('NOT_FINITE')
  })

  it('keeps requests apart', async () => {
    const answers = await Promise.all([
      ...Array.from({ length: 50 }, (_, i) => client.call('double', { number: i }).then(({ twice }) => twice)),
      drain(client.stream('count', { to: 7 })).then(({ result }) => result?.sum),
      failure(client.call('fail', { how: 'lab' })).then(({ code }) => code),
    ])
    expect(answers).toEqual([...Array.from({ length: 50 }, (_, i) => 2 * i), 28, 'DISK_FULL'])
  })

  it('ends the work when the reader leaves, and goes on answering', async () => {
    for await (const event of client.stream('forever', { name: 'left' })) if (event === 3) break
    expect(await endedStreams(1)).toEqual(['left'])
    expect(await client.call('double', { number: 1 })).toEqual({ twice: 2 })
  })

  it('ends calls and streams whose signal is aborted', async () => {
    const controller = new AbortController()
    const waiting = failure(client.call('wait', {}, { signal: controller.signal }))
    const streaming = failure(drain(client.stream('forever', { name: 'aborted' }, { signal: controller.signal })))
    await client.call('nothing', {})
    controller.abort()
    expect((await waiting).code).toBe('CANCELLED')
    expect((await streaming).code).toBe('CANCELLED')
    expect(await endedStreams(1)).toEqual(['aborted'])
    expect((await failure(client.call('wait', {}, { signal: controller.signal }))).code).toBe('CANCELLED')
  })

  it('carries a megabyte both ways', async () => {
    const text = 'äöü€😀\n"\\'.repeat(52_000)
    expect(await client.call('echo', { text })).toBe(text)
  })

  it('carries many streams side by side, some left and some aborted', async () => {
    const controller = new AbortController()
    const whole = Array.from({ length: 40 }, (_, i) => drain(client.stream('count', { to: 100 + i })))
    const left = Array.from({ length: 10 }, async (_, i) => {
      for await (const event of client.stream('forever', { name: `left ${i}` })) if (event === i) return
    })
    const aborted = Array.from({ length: 10 }, (_, i) => failure(drain(client.stream('forever', { name: `aborted ${i}` }, { signal: controller.signal }))))
    await Promise.all(left)
    controller.abort()
    for (const error of await Promise.all(aborted)) expect(error.code).toBe('CANCELLED')
    for (const [i, { events, result }] of (await Promise.all(whole)).entries()) expect([events.length, result.sum]).toEqual([100 + i, ((100 + i) * (101 + i)) / 2])
    expect(await endedStreams(20)).toHaveLength(20)
  })

  it('makes nothing that a slow reader is far from, and goes on when it is read', async () => {
    const events = 1000
    const reader = client.stream('flood', { size: SIZE, events })
    for (let i = 0; i < 3; i++) await reader.next()
    expect(await settled(() => client.call('flooded', {}))).toBeLessThanOrEqual(3 + ahead + 1)
    for (let i = 3; i < 103; i++) expect((await reader.next()).value).toMatch(new RegExp(`^${i}\\.`))
    const later = await settled(() => client.call('flooded', {}))
    expect(later).toBeGreaterThanOrEqual(103)
    expect(later).toBeLessThanOrEqual(103 + ahead + 1)
    await reader.return()
    expect(await settled(() => client.call('flooded', {}))).toBeLessThanOrEqual(later + 1)
  })

  it('ends a stream that waits for its reader when the reader leaves', async () => {
    for await (const event of client.stream('forever', { name: 'full' })) {
      expect(event).toBe(0)
      await new Promise((resolve) => setTimeout(resolve, 2 * WINDOW))
      break
    }
    expect(await endedStreams(1)).toEqual(['full'])
  })

  it('rejects all that is under way when the other side dies, and whatever is asked later', async () => {
    const waiting = failure(client.call('wait', {}))
    const streaming = failure(drain(client.stream('forever', { name: 'dead' })))
    await client.call('nothing', {})
    const dying = failure(client.call('die', {}).then(() => client.call('wait', {})))
    expect((await waiting).code).toBe('ENGINE_CRASHED')
    expect((await streaming).code).toBe('ENGINE_CRASHED')
    expect((await dying).code).toBe('ENGINE_CRASHED')
    expect((await failure(client.call('nothing', {}))).code).toBe('ENGINE_CRASHED')
  })

  it('rejects what is under way when it is closed here', async () => {
    const waiting = failure(client.call('wait', {}))
    await client.call('nothing', {})
    client.close()
    expect((await waiting).code).toBe('ENGINE_CRASHED')
  })
})

describe('ports', () => {
  /** Electron's MessagePortMain: `on` alone, and a close that only the other side hears. */
  class MainPort extends EventEmitter {
    other: MainPort | null = null
    postMessage = (data: unknown): void => void setImmediate(() => this.other?.emit('message', { data: structuredClone(data), ports: [] }))
    start = (): void => {}
    close = (): void => void setImmediate(() => this.other?.emit('close'))
  }

  it('carries messages over ports as Electron has them, and ends with them', async () => {
    const [one, two] = [new MainPort(), new MainPort()]
    one.other = two
    two.other = one
    void serve(testApi, testHandlers(() => {}), messagePort(two))
    const client = createClient<typeof testApi>(messagePort(one))
    expect((await drain(client.stream('count', { to: 200 }))).result).toEqual({ sum: 20_100 })
    const waiting = failure(client.call('wait', {}))
    one.emit('close')
    expect((await waiting).code).toBe('ENGINE_CRASHED')
    expect((await failure(client.call('nothing', {}))).code).toBe('ENGINE_CRASHED')
  })

  it('tells of its end once, whoever asks later too', async () => {
    const { port1, port2 } = new MessageChannel()
    const port = messagePort(port1)
    const told: string[] = []
    port.onClose(() => told.push('early'))
    const other = new Promise<string>((resolve) => messagePort(port2).onClose(({ code }) => resolve(code)))
    port.close()
    port.close()
    port.post({ to: 'nobody' })
    port.onClose(() => told.push('late'))
    expect(await other).toBe('ENGINE_CRASHED')
    expect(told).toEqual(['early', 'late'])
  })

  it('says what ended a WebSocket: a wrong token, no host, a message that is too long', async () => {
    const url = (await host()).url.replace('http', 'ws') + 'engine'
    const ask = async (port: Port, text = ''): Promise<LabError> => failure(client(port).call('echo', { text }))
    expect(await ask(webSocketPort(new WebSocket(url), 'wrong'))).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('token') as unknown })
    expect(await ask(webSocketPort(new WebSocket('ws://127.0.0.1:9/engine'), TOKEN))).toMatchObject({ code: 'ENGINE_CRASHED' })
    expect(await ask(webSocketPort(new WebSocket(url), TOKEN), 'x'.repeat(2 ** 20))).toMatchObject({ code: 'ENGINE_CRASHED', message: expect.stringContaining('longer') as unknown })
  })
})

describe('messages', () => {
  it('serves nothing but well-formed requests', async () => {
    const [ours, theirs] = portPair()
    void serve(testApi, testHandlers(() => {}), theirs)
    const replies: unknown[] = []
    ours.onMessage((message) => void replies.push(message))
    for (const message of [null, 1, 'ask', [], {}, { type: 'ask' }, { type: 'ask', id: 1 }, { type: 'ask', id: '2', route: 'nothing' }, { type: 'cancel', id: 9 }]) ours.post(message)
    ours.post({ type: 'ask', id: 3, route: 'nothing', input: {} })
    ours.post({ type: 'ask', id: 4, route: 'nothing' })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(replies).toHaveLength(2)
    expect(replies).toContainEqual({ type: 'result', id: 3 })
    expect(replies).toContainEqual(expect.objectContaining({ type: 'error', id: 4, error: expect.objectContaining({ code: 'INVALID_INPUT' }) as unknown }))
  })

  it('waits for a reader that says nothing, and gives no credit for more than was sent', async () => {
    const [ours, theirs] = portPair()
    void serve(testApi, testHandlers(() => {}), theirs)
    const replies: unknown[] = []
    ours.onMessage((message) => void replies.push(message))
    ours.post({ type: 'ask', id: 1, route: 'flood', input: { size: 1, events: 1000 } })
    const received = (): Promise<number> => settled(async () => replies.length)
    expect(await received()).toBe(WINDOW)
    for (const count of [undefined, null, '9', NaN, -9, 0, {}]) ours.post({ type: 'taken', id: 1, count })
    ours.post({ type: 'taken', id: 2, count: 9 })
    expect(await received()).toBe(WINDOW)
    ours.post({ type: 'taken', id: 1, count: 5 })
    expect(await received()).toBe(WINDOW + 5)
    ours.post({ type: 'taken', id: 1, count: 1e9 })
    expect(await received()).toBe(2 * WINDOW + 5)
    ours.post({ type: 'cancel', id: 1 })
    expect(await received()).toBe(2 * WINDOW + 6)
    expect(replies.at(-1)).toMatchObject({ type: 'error', id: 1, error: { code: 'CANCELLED' } })
  })

  it('is not hurt by an engine that talks nonsense', async () => {
    const [ours, theirs] = portPair()
    const client = createClient<typeof testApi>(ours)
    theirs.onMessage((message) => {
      const { id, type } = message as { id: number; type: string }
      for (const nonsense of [null, 1, 'event', [], {}, { id }, { id, type: 'taken' }, { type: 'result' }, { id: '1', type: 'result' }, { id: 99, type: 'result' }]) theirs.post(nonsense)
      if (type === 'ask') theirs.post({ id, type: 'error', ...(id === 1 ? {} : { error: { code: 'NO_SUCH_CODE', message: id === 2 ? 7 : 'said' } }) })
    })
    const errors = [await failure(client.call('nothing', {})), await failure(client.call('nothing', {})), await failure(client.call('nothing', {}))]
    expect(errors.map(({ code }) => code)).toEqual(['INTERNAL', 'INTERNAL', 'INTERNAL'])
    expect(errors[2]?.message).toBe('said')
  })

  it('ends a stream whose engine does not wait, and tells it so', async () => {
    const [ours, theirs] = portPair()
    const client = createClient<typeof testApi>(ours)
    const heard: unknown[] = []
    theirs.onMessage((message) => {
      heard.push(message)
      if ((message as { type: string }).type === 'ask') for (let i = 0; i < 100 * WINDOW; i++) theirs.post({ type: 'event', id: 1, value: i })
    })
    const seen: number[] = []
    const error = await failure((async () => {
      for await (const event of client.stream('forever', { name: 'flood' })) {
        seen.push(event)
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })())
    expect(error.code).toBe('INTERNAL')
    expect(seen.length).toBeLessThanOrEqual(2 * WINDOW)
    await client.call('nothing', {}, { signal: AbortSignal.timeout(20) }).catch(() => {})
    expect(heard).toContainEqual({ type: 'cancel', id: 1 })
  })

  it('aborts the handlers of a closed port and ends when they have ended', async () => {
    const [ours, theirs] = portPair()
    const client = createClient<typeof testApi>(ours)
    let tidied = false
    const tidy = async function* (_: object, signal: AbortSignal): AsyncGenerator<number, void> {
      try {
        for (;;) {
          yield 0
          await new Promise((resolve) => setTimeout(resolve, 1))
          signal.throwIfAborted()
        }
      } finally {
        await new Promise((resolve) => setTimeout(resolve, 10))
        tidied = true
      }
    }
    const served = serve(testApi, { ...testHandlers(() => {}), forever: tidy }, theirs)
    const error = failure(drain(client.stream('forever', { name: 'x' })))
    await client.call('nothing', {})
    client.close()
    expect((await error).code).toBe('ENGINE_CRASHED')
    await served
    expect(tidied).toBe(true)
  })

  it('rejects at compile time what JSON cannot carry', () => {
    // @ts-expect-error a Date would arrive as a string
    call<{ at: Date }>()
    // @ts-expect-error typed arrays stay in the engine
    stream<Float32Array, void>()
    // @ts-expect-error a bigint is no JSON
    call<bigint>()
  })

  it('answers without a port: the events, then the result', async () => {
    const steps = answer(testApi, testHandlers(() => {}), 'count', { to: 2 }, new AbortController().signal)
    expect(await drain(steps)).toEqual({ events: [1, 2], result: { sum: 3 } })
  })
})
