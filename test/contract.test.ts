import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { portPair, type Port } from '#core/contract/ports.ts'
import { answer, call, createClient, serve, stream, type Client } from '#core/contract/rpc.ts'
import { processPort } from '#core/host/process-port.ts'
import { testApi, testHandlers } from './contract-api.ts'

type Transport = { name: string; open: () => Port }

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

const transports: Transport[] = [
  {
    name: 'in memory',
    open: () => {
      const [ours, theirs] = portPair()
      void serve(testApi, testHandlers(() => theirs.close()), theirs)
      return ours
    },
  },
  { name: 'between processes', open: () => processPort(fork(join(folder, 'child.mjs'), { serialization: 'advanced' })) },
]

/** The LabError that `work` ends in. */
async function failure(work: Promise<unknown>): Promise<LabError> {
  const error = await work.then(() => new Error('it did not fail'), (reason: unknown) => reason)
  if (error instanceof LabError) return error
  throw error
}

async function drain<E, R>(steps: AsyncGenerator<E, R, void>): Promise<{ events: E[]; result: R }> {
  const events: E[] = []
  for (;;) {
    const step = await steps.next()
    if (step.done) return { events, result: step.value }
    events.push(step.value)
  }
}

describe.each(transports)('the contract $name', ({ open }) => {
  let port: Port
  let client: Client<typeof testApi>
  beforeEach(() => {
    port = open()
    client = createClient(port)
  })
  afterEach(() => port.close())

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
