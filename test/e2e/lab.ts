import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { resourcesFolder } from '#core/library/resources.ts'

/** Debian's Chromium, or the one that is named. */
export const CHROMIUM = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))
/** Why these tests do not run, or null. */
export const NO_BROWSER = CHROMIUM === undefined ? 'no Chromium: apt-get install chromium, or name one in CHROMIUM' : null

/** For the names of tests that need a browser. */
export const SKIPPED = NO_BROWSER === null ? '' : ` (skipped: ${NO_BROWSER})`

const CLI = join(resourcesFolder(), '..', 'out', 'cli.js')

/** Longest that anything may take on a busy machine before a test gives up, in milliseconds. */
export const PATIENCE = 240_000

/** The lab as `kvlab serve` gives it, with a library of its own, and pages in a real browser that look at it. */
export class Lab {
  readonly home: string
  readonly url: string
  readonly #host: ChildProcess
  readonly #browser: Browser
  /** Violations of the page's policy, and errors that a page threw, in the order they came. */
  readonly violations: string[] = []

  private constructor(home: string, url: string, host: ChildProcess, browser: Browser) {
    this.home = home
    this.url = url
    this.#host = host
    this.#browser = browser
  }

  /** `env`: variables of its environment beside the test's own. */
  static async open(options: { home?: string; env?: Record<string, string> } = {}): Promise<Lab> {
    const home = options.home ?? (await mkdtemp(join(tmpdir(), 'kvlab-e2e-')))
    const host = spawn(process.execPath, [CLI, 'serve', '--json', '--port', '0', '--root', tmpdir()], { env: { ...process.env, ...options.env, KVLAB_HOME: home }, stdio: ['ignore', 'pipe', 'inherit'] })
    const url = await new Promise<string>((resolve, reject) => {
      let text = ''
      host.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        const found = /"url":\s*"([^"]+)"/.exec(text)
        if (found?.[1]) resolve(found[1])
      })
      host.once('exit', (code) => reject(new Error(`kvlab serve ended with ${code}: ${text}`)))
    })
    const browser = await chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox', '--force-color-profile=srgb'] })
    return new Lab(home, url, host, browser)
  }

  /** A page at a route, in a browser of its own. */
  async page(route = '/sweep', options: { width?: number; height?: number; theme?: 'light' | 'dark' } = {}): Promise<Page> {
    const context = await this.#browser.newContext({ viewport: { width: options.width ?? 1280, height: options.height ?? 860 }, colorScheme: options.theme ?? 'light', reducedMotion: 'reduce', acceptDownloads: true })
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    return this.pageIn(context, route)
  }

  /** Another page of the same browser. */
  async pageIn(context: BrowserContext, route: string): Promise<Page> {
    const page = await context.newPage()
    page.setDefaultTimeout(PATIENCE)
    page.on('pageerror', (error) => this.violations.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error' && /Content.Security.Policy|Refused to/i.test(message.text())) this.violations.push(message.text())
    })
    await page.goto(this.url)
    await page.getByText('engine ready').waitFor({ state: 'attached' })
    await page.goto(`${this.url.split('#')[0] ?? ''}#${route}`)
    return page
  }

  /** The engine's process, as the page's settings show it. */
  async enginePid(page: Page): Promise<number> {
    await page.goto(`${this.url.split('#')[0] ?? ''}#/settings`)
    return Number(await page.locator('dt:text-is("Process") + dd').innerText())
  }

  async close(): Promise<void> {
    await this.#browser.close()
    if (this.#host.exitCode === null) {
      const ended = new Promise((resolve) => this.#host.once('exit', resolve))
      this.#host.kill('SIGINT')
      await ended
    }
    await rm(this.home, { recursive: true, force: true })
  }
}

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/** What axe finds wrong on the page, a line a finding. Its script is run by the browser itself, so that the page's policy stays as it is. */
export async function axeFindings(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(axe, 'utf8'))
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }[] }> } }
    const { violations } = await axe.run()
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary?.split('\n').slice(1, 3).join(' ') ?? ''}`))
  })
}
