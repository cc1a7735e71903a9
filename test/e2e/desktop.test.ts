import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Page } from 'playwright-core'
import { Lab, NO_BROWSER, PATIENCE, SKIPPED } from './lab.ts'
import { startSweep, statusIs } from './sweep.ts'

type Asked = { id: number; route: string; input: Record<string, string> }
/** What the script below puts into the page beside what the preload script would. */
type Inside = { asked: Asked[]; hand(): void; tell(state: string): void }

/** Stands in for preload and main: ports that come as messages, the engine behind a WebSocket, a shell that notes what it is asked. */
const DESKTOP = (token: string): string => `{
  const inside = (window.inside = { asked: [] })
  let shell, watcher
  inside.hand = () => {
    const { port1, port2 } = new MessageChannel()
    const socket = new WebSocket('ws://' + location.host + '/engine')
    const early = []
    let welcome = false
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', token: ${JSON.stringify(token)} }))
    socket.onmessage = ({ data }) => {
      if (welcome) return port2.postMessage(JSON.parse(data))
      welcome = true
      for (const text of early) socket.send(text)
    }
    port2.onmessage = ({ data }) => (welcome ? socket.send(JSON.stringify(data)) : early.push(JSON.stringify(data)))
    window.postMessage({ kind: 'engine' }, location.origin, [port1])
  }
  inside.tell = (state) => shell.postMessage({ type: 'event', id: watcher, value: { state, reason: { code: 'ENGINE_CRASHED', message: 'it died' } } })
  window.kvlab = {
    pathOf: (file) => '/where/it/lies/' + file.name,
    connect() {
      inside.hand()
      const { port1, port2 } = new MessageChannel()
      shell = port2
      port2.onmessage = ({ data }) => {
        inside.asked.push(data)
        if (data.route === 'engine.state') watcher = data.id
        else if (data.type === 'ask') port2.postMessage({ type: 'result', id: data.id, value: data.route === 'dialog.save' ? '/chosen/' + data.input.name : data.route === 'shell.info' ? { platform: 'linux', versions: { electron: '45.4.1' } } : data.route.startsWith('token.') ? { kept: data.input.token !== undefined && data.input.token !== null, available: true } : null })
      }
      window.postMessage({ kind: 'shell' }, location.origin, [port1])
    },
  }
}`

describe.skipIf(NO_BROWSER !== null)(`the page in a desktop window${SKIPPED}`, { timeout: 2 * PATIENCE }, () => {
  let lab: Lab
  let page: Page
  beforeAll(async () => {
    lab = await Lab.open()
    const token = /token=([\w-]+)/.exec(lab.url)?.[1] ?? ''
    page = await lab.page('/sweep')
    await page.evaluate(() => localStorage.clear())
    await page.addInitScript(DESKTOP(token))
    await page.goto('about:blank')
    await page.goto(lab.url.replace(/#.*/, '#/sweep'))
    await page.getByText('engine ready').waitFor({ state: 'attached' })
  })
  afterAll(async () => {
    await lab.close()
  })

  const asked = (route: string): Promise<Asked[]> => page.evaluate((name) => (globalThis as unknown as { inside: Inside }).inside.asked.filter((each) => each.route === name), route)
  const hand = (): Promise<void> => page.evaluate(() => (globalThis as unknown as { inside: Inside }).inside.hand())
  const tell = (state: string): Promise<void> => page.evaluate((now) => (globalThis as unknown as { inside: Inside }).inside.tell(now), state)

  it('measures over the port it was handed, and saves by the dialog of the system', async () => {
    // The plan first: its spec is what the form holds.
    await page.getByRole('region', { name: 'Plan' }).getByText('Can tell', { exact: true }).waitFor()
    await startSweep(page, { methods: ['q8_0/q4_0'], windows: 20 })
    await statusIs(page, 'done')
    await page.getByRole('button', { name: 'Report' }).click()
    await page.getByRole('menuitem', { name: 'Report as Markdown' }).click()
    await page.getByText(/Saved \/chosen\/.*\.md/).waitFor()
    await page.getByRole('tab', { name: 'Depth' }).click()
    await page.getByRole('button', { name: 'Export: Drift by depth' }).click()
    await page.getByRole('menuitem', { name: 'Save as PNG' }).click()
    await page.getByText('Saved /chosen/q8_0_q4_0-depth.png').waitFor()
    const [report, picture] = (await asked('dialog.save')).map(({ input }) => input)
    expect(report?.text).toContain('q8_0/q4_0')
    expect(Buffer.from(picture?.base64 ?? '', 'base64').subarray(1, 4).toString()).toBe('PNG')
    await page.getByRole('button', { name: 'Report' }).click()
    await page.getByRole('menuitem', { name: 'Show the folder' }).click()
    await expect.poll(async () => (await asked('path.reveal')).length).toBe(1)
  })

  it('says that the engine is away, and goes on with the next port', async () => {
    await tell('restarting')
    await page.getByRole('alert').getByText(/it died. It is being started again/).waitFor()
    await hand()
    await page.getByText('engine ready').waitFor({ state: 'attached' })
    await page.getByRole('navigation').getByRole('link', { name: 'Settings' }).click()
    await page.getByText('electron 45.4.1, linux').waitFor()
  })

  it('lets a person try again where main has given the engine up', async () => {
    await tell('failed')
    await page.getByRole('alert').getByText(/died each time: it died/).waitFor()
    await page.getByRole('button', { name: 'Try again' }).click()
    await expect.poll(async () => (await asked('engine.retry')).length).toBe(1)
    await hand()
    await page.getByText('engine ready').waitFor({ state: 'attached' })
  })

  it('gives a token to the program, which keeps it, and takes it away again', async () => {
    await page.getByText("encrypted with the system's key store").waitFor()
    await page.getByLabel(/Give one/).fill('hf_secret')
    await page.getByRole('button', { name: 'Use it' }).click()
    await page.getByRole('button', { name: 'Forget it' }).click()
    await page.getByRole('button', { name: 'Forget it' }).waitFor({ state: 'detached' })
    expect((await asked('token.keep')).map(({ input }) => input)).toEqual([{ token: 'hf_secret' }, { token: null }])
    expect(await asked('hub.authorize')).toEqual([])
  })

  it('reads a dropped file where it lies', async () => {
    await page.getByRole('navigation').getByRole('link', { name: 'Inspect' }).click()
    const data = await page.evaluateHandle(() => {
      const transfer = new DataTransfer()
      transfer.items.add(new File(['x'], 'cache.safetensors'))
      return transfer
    })
    await page.locator('.drop').dispatchEvent('drop', { dataTransfer: data })
    await page.getByRole('alert').getByText('/where/it/lies/cache.safetensors').waitFor()
  })

  it('never broke its policy and no page threw', () => expect(lab.violations).toEqual([]))
})
