import { spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { MessagePortMain } from 'electron'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { engineApi, type EngineApi } from '#core/contract/api.ts'
import { messagePort } from '#core/contract/ports.ts'
import { createClient, serve, type Client, type Handlers } from '#core/contract/rpc.ts'
import { keepEngine, startEngine, type EngineParts, type KeptEngine } from '../../electron/main/engine.ts'
import { createPages, type Contents, type Frame, type Pages } from '../../electron/main/pages.ts'

type Child = ReturnType<EngineParts['fork']>

/** A utility process as main sees it: it serves on the ports it gets, until it exits and they close. */
class FakeChild extends EventEmitter {
  readonly pid = undefined
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  readonly ports: MessagePort[] = []
  killed = false
  closes = true
  readonly number: number

  constructor(number: number) {
    super()
    this.number = number
  }

  postMessage({ kind }: { kind: string }, [port]: MessagePortMain[] = []): void {
    if (kind === 'close' && this.closes) this.exit(0)
    if (kind !== 'port' || !port) return
    const channel = port as unknown as MessagePort
    this.ports.push(channel)
    const info = { version: '', node: '', onnxruntime: '', home: '', pid: this.number }
    void serve(engineApi, { 'engine.info': async () => info, 'method.list': () => new Promise(() => {}) } as unknown as Handlers<EngineApi>, messagePort(channel))
  }

  kill(): boolean {
    this.killed = true
    this.exit(143)
    return true
  }

  exit(code: number): void {
    for (const port of this.ports) port.close()
    this.emit('exit', code)
  }
}

let children: FakeChild[] = []
let closes = true
let gone: string | null = null
let later: (() => void)[] = []
let engine: KeptEngine
let opened: MessagePort[] = []

beforeEach(() => {
  children = []
  closes = true
  gone = null
  later = []
  opened = []
  engine = keepEngine({
    fork: () => {
      const child = new FakeChild(children.length + 1)
      child.closes = closes
      children.push(child)
      return child
    },
    channel: () => {
      const { port1, port2 } = new MessageChannel()
      opened.push(port1, port2)
      return { port1: port1 as unknown as MessagePortMain, port2: port2 as unknown as MessagePortMain }
    },
    gone: () => gone,
    clock: {
      now: () => 0,
      later: (_, work) => {
        later.push(work)
        return () => void (later = later.filter((other) => other !== work))
      },
    },
  })
})
afterEach(() => {
  for (const port of opened) port.close()
})

const ready = (): Promise<void> => expect.poll(() => engine.state().state).toBe('ready')
/** Let the time pass that a new start waits for. */
const passTime = (): void => {
  for (const work of later.splice(0)) work()
}
function clientOf(port: MessagePortMain | null): Client<EngineApi> {
  if (!port) throw new Error('there is no port')
  return createClient<EngineApi>(messagePort(port))
}

describe('the engine of the program', () => {
  it('is ready when it has answered; before that there is no port to it', async () => {
    expect(engine.state()).toEqual({ state: 'starting', reason: null })
    expect(engine.openPort()).toBeNull()
    await ready()
    expect((await clientOf(engine.openPort()).call('engine.info', {})).pid).toBe(1)
    expect((await engine.client.call('engine.info', {})).pid).toBe(1)
  })

  it('that dies says how, fails what was under way, and is started again', async () => {
    await ready()
    const page = clientOf(engine.openPort())
    const fault = (error: unknown): unknown => error
    const waiting = page.call('method.list', {}).catch(fault)
    const ours = engine.client.call('method.list', {}).catch(fault)
    await page.call('engine.info', {})
    children[0]?.stderr.write('last words')
    await new Promise((resolve) => setImmediate(resolve))
    gone = 'oom'
    children[0]?.exit(139)
    expect([await waiting, await ours]).toMatchObject([{ code: 'ENGINE_CRASHED' }, { code: 'ENGINE_CRASHED' }])
    expect(engine.state()).toEqual({
      state: 'restarting',
      reason: { code: 'ENGINE_CRASHED', message: 'the engine process was ended with exit code 139 (out of memory)', details: { code: 139, reason: 'oom', output: 'last words' } },
    })
    expect(engine.openPort()).toBeNull()
    passTime()
    await ready()
    expect((await clientOf(engine.openPort()).call('engine.info', {})).pid).toBe(2)
  })

  it('that dies again and again is given up, until someone retries', async () => {
    for (let deaths = 0; engine.state().state !== 'failed' && deaths < 20; deaths++) {
      children.at(-1)?.exit(1)
      await new Promise((resolve) => setImmediate(resolve))
      passTime()
    }
    expect(engine.state()).toMatchObject({ state: 'failed', reason: { code: 'ENGINE_CRASHED' } })
    const tries = children.length
    engine.retry()
    await ready()
    expect(children).toHaveLength(tries + 1)
  })

  it('tells listeners of each change, until they leave', async () => {
    const seen: string[] = []
    const leave = engine.onChange(() => seen.push(engine.state().state))
    await ready()
    children[0]?.exit(1)
    await expect.poll(() => engine.state().state).toBe('restarting')
    leave()
    passTime()
    await ready()
    expect(seen).toEqual(['ready', 'restarting'])
  })

  it('closes when it is asked to, and stays closed', async () => {
    await ready()
    await engine.close(60_000)
    expect([children[0]?.killed, later.length, children.length]).toEqual([false, 0, 1])
  })

  it('is killed where it does not close in time', async () => {
    await ready()
    for (const child of children) child.closes = false
    await engine.close(20)
    expect([children[0]?.killed, children.length]).toEqual([true, 1])
  })

  it('kills a process that does not hear polite signals', async () => {
    const deaf = spawn(process.execPath, ['-e', "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)"], { stdio: ['ignore', 'pipe', 'pipe'] })
    await new Promise((resolve) => deaf.stdout.once('data', resolve))
    const { port1, port2 } = new MessageChannel()
    opened.push(port1, port2)
    const child = Object.assign(deaf, { postMessage: () => {} }) as unknown as Child
    const process_ = startEngine({ fork: () => child, channel: () => ({ port1: port1 as unknown as MessagePortMain, port2: port2 as unknown as MessagePortMain }), gone: () => null })
    await process_.kill()
    expect(deaf.signalCode).toBe('SIGKILL')
  })
})

describe('pages', () => {
  let handed: { to: number; kind: unknown; port: MessagePortMain | undefined }[] = []
  let pages: Pages
  beforeEach(() => {
    handed = []
    pages = createPages({
      enginePort: () => engine.openPort(),
      shellPort: () => {
        const { port1, port2 } = new MessageChannel()
        opened.push(port1, port2)
        return port2 as unknown as MessagePortMain
      },
    })
    engine.onChange(() => {
      if (engine.state().state === 'ready') pages.engineStarted()
    })
  })

  const contents = (id: number): Contents & EventEmitter => Object.assign(new EventEmitter(), { id })
  const frame = (id: number, origin = 'app://lab', parent: object | null = null): Frame => ({
    origin,
    parent,
    postMessage: (channel, kind, [port]) => {
      expect(channel).toBe('port')
      handed.push({ to: id, kind, port })
    },
  })
  const kinds = (): unknown[] => handed.map(({ to, kind }) => `${to} ${String(kind)}`)

  it('get a port to the shell at once and one to the engine when it is ready', async () => {
    pages.connect({ sender: contents(1), senderFrame: frame(1) })
    expect(kinds()).toEqual(['1 shell'])
    await ready()
    expect(kinds()).toEqual(['1 shell', '1 engine'])
    expect((await clientOf(handed[1]?.port ?? null).call('engine.info', {})).pid).toBe(1)
    pages.connect({ sender: contents(2), senderFrame: frame(2) })
    expect(kinds().slice(2)).toEqual(['2 shell', '2 engine'])
  })

  it('get a new port to the engine when it was started again, each of them', async () => {
    pages.connect({ sender: contents(1), senderFrame: frame(1) })
    pages.connect({ sender: contents(2), senderFrame: frame(2) })
    await ready()
    handed = []
    children[0]?.exit(1)
    await expect.poll(() => engine.state().state).toBe('restarting')
    expect(handed).toEqual([])
    passTime()
    await ready()
    expect(kinds()).toEqual(['1 engine', '2 engine'])
    for (const { port } of handed) expect((await clientOf(port ?? null).call('engine.info', {})).pid).toBe(2)
  })

  it.each([
    ['no frame', null],
    ['a frame in the page', frame(1, 'app://lab', {})],
    ['another origin', frame(1, 'https://example.org')],
  ])('%s gets nothing', async (_, senderFrame) => {
    pages.connect({ sender: contents(1), senderFrame })
    await ready()
    expect(handed).toEqual([])
  })

  it('that are gone harm nobody, and leave no port behind', async () => {
    await ready()
    const before = children[0]?.ports.length ?? 0
    pages.connect({
      sender: contents(1),
      senderFrame: {
        ...frame(1),
        postMessage: () => {
          throw new Error('Render frame was disposed')
        },
      },
    })
    const second = contents(2)
    pages.connect({ sender: second, senderFrame: frame(2) })
    second.emit('destroyed')
    handed = []
    pages.engineStarted()
    expect(handed).toEqual([])
    expect(children[0]?.ports.length).toBe(before + 1)
  })
})
