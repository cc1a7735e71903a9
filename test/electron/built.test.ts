import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installNode24 } from '../node24.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

// In the checkout, so that native packages and package.json are found from it.
let out = ''
beforeAll(() => {
  mkdirSync(join(root, 'out'), { recursive: true })
  out = mkdtempSync(join(root, 'out', 'desktop-test-'))
  const builder = join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js')
  execFileSync(process.execPath, [builder, 'build', '--mode', 'shell', '--outDir', out, '--logLevel', 'error'], { cwd: root, stdio: 'pipe' })
  writeFileSync(join(out, 'parent.mjs'), PARENT)
  writeFileSync(join(out, 'redirect.mjs'), REDIRECT)
})
afterAll(() => rmSync(out, { recursive: true, force: true }))

/** What main is to the engine, in one process with it: asks for two routes over a port of its own, prints the answers, and then `end`s. */
const PARENT = `
import { EventEmitter } from 'node:events'
import { MessageChannel } from 'node:worker_threads'
const [engine, end] = process.argv.slice(2)
process.parentPort = new EventEmitter()
await import(engine)
const answers = []
for (const route of ['engine.info', 'method.list']) {
  const { port1, port2 } = new MessageChannel()
  process.parentPort.emit('message', { data: { kind: 'port' }, ports: [port1] })
  port2.postMessage({ type: 'ask', id: 7, route, input: {} })
  answers.push(await new Promise((resolve) => port2.once('message', resolve)))
  port2.close()
}
console.log(JSON.stringify({ answers, float16: typeof Float16Array }))
if (end === 'close') process.parentPort.emit('message', { data: { kind: 'close' }, ports: [] })
else Promise.reject(new Error('a stray rejection'))
setTimeout(() => process.exit(9), 30_000)
`

/** Makes the package `electron` the stand-in. */
const REDIRECT = `
import { register } from 'node:module'
const hook = "export const resolve = (name, context, next) => name === 'electron' ? { url: '${new URL('./fake-electron.mjs', import.meta.url).href}', shortCircuit: true } : next(name, context)"
register('data:text/javascript,' + encodeURIComponent(hook))
`

type Ended = { code: number | null; stdout: string; stderr: string }
function runEngine(node: string, end: 'close' | 'reject', env: NodeJS.ProcessEnv = { KVLAB_HOME: join(out, 'home') }): Ended {
  const { status, stdout, stderr } = spawnSync(node, [join(out, 'parent.mjs'), pathToFileURL(join(out, 'main', 'engine.js')).href, end], { encoding: 'utf8', env: { PATH: process.env.PATH, ...env } })
  return { code: status, stdout, stderr }
}

const node24 = installNode24()
const nodes = [
  { name: 'this Node', path: process.execPath, missing: null },
  { name: "the Node of Electron's major", path: 'path' in node24 ? node24.path : '', missing: 'missing' in node24 ? node24.missing : null },
]

describe.each(nodes)('the built engine process under $name', ({ path, missing }) => {
  it.skipIf(missing !== null)(`answers on each port and closes when asked${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
    const { code, stdout, stderr } = runEngine(path, 'close')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { answers, float16 } = JSON.parse(stdout) as { answers: unknown[]; float16: string }
    expect(answers).toEqual([
      { type: 'result', id: 7, value: expect.objectContaining({ home: join(out, 'home'), onnxruntime: expect.stringMatching(/^\d+\.\d+\.\d+$/) as unknown }) as unknown },
      { type: 'result', id: 7, value: expect.objectContaining({ quantizers: expect.any(Array) as unknown }) as unknown },
    ])
    expect(float16).toBe('undefined')
  })

  it.skipIf(missing !== null)(`ends on a rejection that nobody handles${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
    const { code, stderr } = runEngine(path, 'reject')
    expect(code).toBe(1)
    expect(stderr).toContain('a stray rejection')
  })
})

it('the engine process is started by the program only', () => {
  const { code, stderr } = runEngine(process.execPath, 'close', {})
  expect(code).toBe(1)
  expect(stderr).toContain('started by the program')
})

describe('the built main process', () => {
  /** Files that are loaded with `entry`, and the packages they need. */
  function closure(entry: string): { files: string[]; packages: string[] } {
    const files = [entry]
    const packages = new Set<string>()
    for (const file of files) {
      for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/^(?:import|export)\b[^'";]*?(?:from)?\s*["']([^"']+)["'];?$/gm)) {
        if (!specifier.startsWith('.')) packages.add(specifier)
        else if (!files.includes(join(dirname(file), specifier))) files.push(join(dirname(file), specifier))
      }
    }
    return { files, packages: [...packages].filter((name) => !name.startsWith('node:')) }
  }

  it('loads Electron and nothing native: a fault there would end the windows', () => {
    const { files, packages } = closure(join(out, 'main', 'index.js'))
    expect(files.length).toBeGreaterThan(1)
    expect(packages).toEqual(['electron'])
  })
})

it('the built main process puts its parts together, with a stand-in for Electron', () => {
  const home = join(out, 'home')
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--no-warnings', '--import', pathToFileURL(join(out, 'redirect.mjs')).href, join(out, 'main', 'index.js')], { encoding: 'utf8', env: { PATH: process.env.PATH, KVLAB_HOME: home } })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const seen = JSON.parse(stdout) as { windows: { webPreferences: { preload: string } }[]; served: unknown[]; [name: string]: unknown }
  expect(seen).toMatchObject({
    name: 'KV Lab',
    userData: join(home, 'desktop'),
    sandboxed: true,
    schemes: ['app'],
    served: ['app', 404],
    denied: ['request', 'check', 'device'],
    confined: true,
    loaded: ['app://lab/'],
    forked: { path: join(out, 'main', 'engine.js'), serviceName: 'KV Lab engine' },
    answers: { shell: 'result', engine: 'result' },
  })
  expect(seen.menus).toHaveLength(1)
  expect(seen.windows).toHaveLength(1)
  expect(existsSync(seen.windows[0]?.webPreferences.preload ?? '')).toBe(true)
})

describe('the preload script', () => {
  const source = readFileSync(join(root, 'electron', 'preload', 'index.ts'), 'utf8')

  function load(): { asked: string[]; sent: unknown[]; posted: unknown[]; exposed: Map<string, Record<string, (...given: unknown[]) => unknown>>; receive: (event: object, kind: string) => void } {
    const asked: string[] = []
    const sent: unknown[] = []
    const posted: unknown[] = []
    const exposed = new Map<string, Record<string, (...given: unknown[]) => unknown>>()
    const listeners = new Map<string, (event: object, kind: string) => void>()
    const electron = {
      contextBridge: { exposeInMainWorld: (name: string, api: Record<string, () => unknown>) => void exposed.set(name, api) },
      ipcRenderer: { send: (...given: unknown[]) => void sent.push(given), on: (channel: string, listener: () => void) => void listeners.set(channel, listener) },
      webUtils: { getPathForFile: (file: { path: string }) => file.path },
    }
    const require = (name: string): unknown => {
      asked.push(name)
      return name === 'electron' ? electron : undefined
    }
    const window = { postMessage: (...given: unknown[]) => void posted.push(given) }
    runInNewContext(readFileSync(join(out, 'preload', 'index.cjs'), 'utf8'), { require, window, module: { exports: {} }, exports: {} })
    expect([...listeners.keys()]).toEqual(['port'])
    return { asked, sent, posted, exposed, receive: (event, kind) => listeners.get('port')?.(event, kind) }
  }

  it('gives the page two functions and nothing else', () => {
    const { asked, exposed } = load()
    expect(asked).toEqual(['electron'])
    expect([...exposed.keys()]).toEqual(['kvlab'])
    expect(Object.entries(exposed.get('kvlab') ?? {}).map(([name, value]) => `${name} ${typeof value}`)).toEqual(['connect function', 'pathOf function'])
  })

  it('asks main for the ports once, when the page does', () => {
    const { sent, exposed } = load()
    expect(sent).toEqual([])
    exposed.get('kvlab')?.connect?.()
    exposed.get('kvlab')?.connect?.('with', 'anything')
    expect(sent).toEqual([['connect']])
  })

  it('hands ports to our page only', () => {
    const { posted, receive } = load()
    const port = {}
    receive({ ports: [port] }, 'engine')
    expect(posted).toEqual([[{ kind: 'engine' }, 'app://lab', [port]]])
  })

  it('tells the path of a dropped file', () => expect(load().exposed.get('kvlab')?.pathOf?.({ path: '/models/a.onnx' })).toBe('/models/a.onnx'))

  it('stays under twenty lines', () => expect(source.trim().split('\n').length).toBeLessThan(20))
})
