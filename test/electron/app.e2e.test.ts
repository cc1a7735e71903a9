import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { _electron, type ElectronApplication, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
// @ts-expect-error plain JavaScript, shared with scripts/start.js
import { electronBinary } from '../../scripts/electron-binary.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const binary = (electronBinary)()
/** Chromium's sandbox refuses to run as root, as a container does. */
const flags = process.getuid?.() === 0 ? ['--no-sandbox'] : []
const patience = { timeout: 30_000 }

describe.skipIf(binary === null)(`the desktop program${binary === null ? " (skipped: Electron's program is not in node_modules; npx install-electron fetches it)" : ''}`, () => {
  let out = ''
  let home = ''
  let app: ElectronApplication
  let page: Page
  const main = (): string[] => [...flags, join(out, 'main', 'index.js')]
  const env = (): Record<string, string> => ({ ...(process.env as Record<string, string>), KVLAB_HOME: home })

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'kvlab-desktop-'))
    mkdirSync(join(root, 'out'), { recursive: true })
    out = mkdtempSync(join(root, 'out', 'desktop-test-'))
    execFileSync(process.execPath, [join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js'), 'build', '--outDir', out, '--logLevel', 'error'], { cwd: root, stdio: 'pipe' })
    app = await _electron.launch({ executablePath: binary ?? '', args: main(), env: env() })
    page = await app.firstWindow()
    // From the first line of the page on, keep what it is handed.
    await page.addInitScript("window.kinds = []; window.addEventListener('message', ({ data, ports }) => window.kinds.push(`${data.kind} ${ports.length}`))")
    await page.reload()
  })
  afterAll(async () => {
    await app?.close()
    for (const folder of [out, home]) rmSync(folder, { recursive: true, force: true })
  })

  const kinds = (): Promise<string[]> => page.evaluate('window.kinds')
  const enginePid = (): Promise<number | undefined> => app.evaluate((electron) => electron.app.getAppMetrics().find(({ name }) => name === 'KV Lab engine')?.pid)

  it('opens a window with the page, which has nothing of Node', async () => {
    expect(page.url()).toMatch(/^app:\/\/lab\//)
    expect(await page.title()).toBe('KV Lab')
    expect(await page.evaluate('[Object.keys(window.kvlab), typeof require, typeof process]')).toEqual([['connect', 'pathOf'], 'undefined', 'undefined'])
  })

  it('gives the page a port to the shell and one to the engine', async () => {
    await expect.poll(kinds, patience).toEqual(expect.arrayContaining(['shell 1', 'engine 1']))
  })

  it('starts the engine again when it is killed, and gives the page a new port', async () => {
    await expect.poll(kinds, patience).toContain('engine 1')
    const before = (await kinds()).filter((kind) => kind === 'engine 1').length
    const pid = await enginePid()
    expect(pid).toBeTypeOf('number')
    process.kill(pid ?? 0, 'SIGKILL')
    await expect.poll(async () => (await kinds()).filter((kind) => kind === 'engine 1').length, patience).toBe(before + 1)
    expect(await enginePid()).not.toBe(pid)
  })

  it('a second start brings the window back and ends', async () => {
    await app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.hide())
    const second = spawn(binary ?? '', main(), { env: env(), stdio: 'ignore' })
    expect(await new Promise((resolve) => second.once('exit', resolve))).toBe(0)
    await expect.poll(() => app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows().map((window) => window.isVisible())), patience).toEqual([true])
  })
})
