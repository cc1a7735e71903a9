import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { EngineApi } from '#core/contract/api.ts'
import { httpClient } from '#core/contract/http-client.ts'
import { webSocketPort } from '#core/contract/ports.ts'
import { createClient, type Client } from '#core/contract/rpc.ts'
import type { RunEvent } from '#core/contract/run.ts'

// The built program as a person runs it: test/build.ts has built it.
const PROGRAM = fileURLToPath(new URL('../out/cli.js', import.meta.url))

let folder = ''
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'kvlab-serve-')))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const running = new Set<ChildProcess>()
afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
})

type Ended = { code: number | null; stdout: string; stderr: string }
type Address = { url: string; token: string; port: number; pid: number }

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended>; line: Promise<string> } {
  const { npm_lifecycle_event: _, ...env } = process.env
  const child = spawn(process.execPath, [PROGRAM, 'serve', ...args], { cwd: folder, env: { ...env, KVLAB_HOME: join(folder, 'home') }, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  let [stdout, stderr] = ['', '']
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const line = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
      if (stdout.includes('\n')) resolve(stdout.trimEnd())
    })
    child.once('close', () => reject(new Error(stderr)))
  })
  line.catch(() => {})
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => (running.delete(child), resolve({ code, stdout, stderr }))))
  return { child, ended, line }
}

async function serve(...args: string[]): Promise<{ address: Address; stop: () => Promise<Ended>; ask: Client<EngineApi>; connect: () => Client<EngineApi> }> {
  const { child, ended, line } = start('--port', '0', '--json', ...args)
  const address = JSON.parse(await line) as Address
  const stop = (): Promise<Ended> => (child.kill('SIGINT'), ended)
  const connect = (): Client<EngineApi> => createClient(webSocketPort(new WebSocket(`ws://127.0.0.1:${address.port}/engine`), address.token))
  return { address, stop, connect, ask: httpClient(address.url.replace(/#.*/, ''), { token: address.token }) }
}

describe('kvlab serve', () => {
  it('prints an address with a token of its own, answers there, and ends with 0 at Ctrl-C when nothing runs', async () => {
    const { child, ended, line } = start('--port', '0')
    const url = await line
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{43}$/)
    const [base = '', token = ''] = url.split('#token=')
    const { home, pid } = await httpClient<EngineApi>(base, { token }).call('engine.info', {})
    expect(home).toBe(join(folder, 'home'))
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0, stdout: `${url}\n` })
    expect(() => process.kill(pid, 0)).toThrow()
  })

  it('shows one run to two pages alike, keeps it when they leave, and ends with 130 after the pass in flight', async () => {
    const { ask, connect, stop } = await serve()
    const { spec } = await ask.call('spec.defaults', {})
    const pages = [connect(), connect()]
    const starting = ask.stream('run.start', { spec: { ...spec, model: 'demo', data: 'demo', contextLength: 64, prefixLength: 32, advance: 64, windows: 200, methods: ['int8:g64'], batch: 1, threads: 1 }, out: null })
    let step = await starting.next()
    while (!step.done) step = await starting.next()
    const { id, folder: run } = step.value
    const seen = await Promise.all(
      pages.map(async (page) => {
        const events: RunEvent[] = []
        for await (const event of page.stream('run.watch', { id })) {
          events.push(event)
          if (event.type === 'progress' && event.done > 0) break
        }
        return events
      }),
    )
    for (const events of seen) expect(events[0]).toMatchObject({ type: 'snapshot', snapshot: { id } })
    for (const page of pages) page.close()
    const { code, stderr } = await stop()
    expect(code).toBe(130)
    expect(stderr).toContain('error CANCELLED: stopped after the pass in flight')
    expect(JSON.parse(readFileSync(join(run, 'result.json'), 'utf8'))).toMatchObject({ id, status: 'cancelled' })
    expect(existsSync(join(run, 'lock'))).toBe(false)
  })

  it('goes on with a new engine where the engine is killed', async () => {
    const { ask, connect, stop } = await serve()
    const page = connect()
    const { pid } = await page.call('engine.info', {})
    process.kill(pid, 'SIGKILL')
    await expect.poll(() => page.call('engine.info', {}).then((info) => info.pid !== pid, () => false), { timeout: 20_000 }).toBe(true)
    expect((await ask.call('method.list', {})).quantizers.length).toBeGreaterThan(0)
    page.close()
    const { code, stderr } = await stop()
    expect(code).toBe(0)
    expect(stderr).toContain('SIGKILL')
  })

  it('opens only the folders of --root and the library', async () => {
    const [inside, other] = [join(folder, 'in'), join(folder, 'other')]
    for (const path of [inside, other]) {
      mkdirSync(path)
      writeFileSync(join(path, 'text.txt'), 'A text.')
    }
    const { ask, stop } = await serve('--root', inside)
    expect(await ask.call('folder.list', { path: null })).toMatchObject({ path: inside, parent: null })
    expect(await ask.call('data.inspect', { path: join(inside, 'text.txt') })).toMatchObject({ preview: 'A text.' })
    await expect(ask.call('data.inspect', { path: join(other, 'text.txt') })).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('--root') as unknown })
    await expect(ask.call('folder.list', { path: other })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect((await stop()).code).toBe(0)
  })

  it('keeps its token in a file, that only its owner may read', async () => {
    const file = join(folder, 'token')
    const first = await serve('--token-file', file)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, 'utf8').trim()).toBe(first.address.token)
    await first.stop()
    const second = await serve('--token-file', file)
    expect(second.address.token).toBe(first.address.token)
    await second.stop()
    chmodSync(file, 0o644)
    expect(await start('--token-file', file).ended).toMatchObject({ code: 2, stderr: expect.stringContaining('error INVALID_INPUT') as unknown })
    chmodSync(file, 0o600)
    writeFileSync(file, 'short\n')
    expect(await start('--token-file', file).ended).toMatchObject({ code: 2, stderr: expect.stringContaining('holds no token') as unknown })
  })

  it('says what is wrong with its flags', async () => {
    const { address, stop } = await serve()
    const wrong: [flags: string[], text: string][] = [
      [['--port', String(address.port)], 'is taken'],
      [['--port', '70000'], 'from 0 to 65535'],
      [['--port', '0', '--host', '0.0.0.0'], '--allow-remote'],
      [['--port', '0', '--host', '203.0.113.9', '--allow-remote'], 'cannot listen'],
      [['--port', '0', '--root', join(folder, 'none')], 'there is no such folder'],
    ]
    for (const [flags, text] of wrong) {
      const { code, stdout, stderr } = await start(...flags).ended
      expect([code, stdout]).toEqual([2, ''])
      expect(stderr).toMatch(/^error INVALID_INPUT|^error FILE_NOT_FOUND/)
      expect(stderr).toContain(text)
    }
    expect((await stop()).code).toBe(0)
  })
})
