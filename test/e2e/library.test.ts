import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, open, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Locator, Page } from 'playwright-core'
import { GATED, MODEL, openHubLab, tarOfModel, TOKEN, WIKITEXT, type HubLab } from './hub-lab.ts'
import { axeFindings, NO_BROWSER, PATIENCE, SKIPPED } from './lab.ts'

const SLOW = { kind: 'trickle', bytesPerChunk: 65_536, msBetween: 30 } as const

/** What axe finds in a state of a page, in both themes. */
async function look(page: Page, state: string): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    expect(await axeFindings(page), `${state}, ${colorScheme}`).toEqual([])
  }
}

async function go(page: Page, route: string): Promise<void> {
  await page.goto(page.url().replace(/#.*/, `#${route}`))
}

async function find(page: Page, words: string): Promise<void> {
  await page.getByLabel(/^Name, address of its page/).fill(words)
  await page.getByRole('button', { name: 'Find' }).click()
}

const row = (page: Page, grid: string, text: string): Locator => page.getByRole('grid', { name: grid }).getByRole('row').filter({ hasText: text })
const item = (page: Page, label: string): Locator => page.getByRole('listitem', { name: `Download of ${label}` })

async function dropFile(page: Page, name: string, bytes: Uint8Array): Promise<void> {
  const data = await page.evaluateHandle(([text, called]) => {
    const transfer = new DataTransfer()
    transfer.items.add(new File([Uint8Array.from(atob(text), (char) => char.charCodeAt(0))], called))
    return transfer
  }, [Buffer.from(bytes).toString('base64'), name] as const)
  await page.locator('.drop').dispatchEvent('drop', { dataTransfer: data })
}

describe.skipIf(NO_BROWSER !== null)(`models and texts in a browser, from a hub of the tests${SKIPPED}`, { timeout: 2 * PATIENCE }, () => {
  let opened: HubLab
  let page: Page
  beforeAll(async () => {
    opened = await openHubLab()
    page = await opened.lab.page('/models')
  })
  afterEach(() => void (opened.hub.fault = () => null))
  afterAll(() => opened.close())

  it('leads a newcomer from the demo model to what a hub has', async () => {
    await page.getByText(/Only the built-in demo model is here/).waitFor()
    await look(page, 'first start')
    await find(page, 'no such thing')
    await page.getByText(/finds nothing for/).waitFor()
    await look(page, 'nothing found')
    await find(page, 'tiny')
    await row(page, 'Found repositories', GATED).getByText('gated', { exact: true }).waitFor()
    await row(page, 'Found repositories', MODEL).click()
    await page.getByText('apache-2.0').waitFor()
    // What can be run comes first and is chosen; what cannot says why when it is looked at.
    const choices = page.getByRole('grid', { name: 'What can be fetched' })
    expect(await choices.locator('[aria-selected="true"]').innerText()).toContain('fp32')
    await choices.getByRole('row').filter({ hasText: 'decoder_model_merged' }).click()
    await page.getByText(/It cannot be evaluated here/).waitFor()
    await choices.getByRole('row').filter({ hasText: 'fp32' }).click()
    await look(page, 'choices')
  })

  it('downloads, holds, survives a reload, goes on where it was, and tells when it is here', async () => {
    opened.hub.fault = ({ server }) => (server === 'cdn' ? SLOW : null)
    await page.getByRole('button', { name: /^Download fp32/ }).click()
    const label = `${MODEL} fp32`
    await item(page, label).getByText(/ of 11\.\d MB · .*\/s/).waitFor()
    await item(page, label).getByRole('button', { name: /files$/ }).click()
    await item(page, label).getByText('onnx/model.onnx').waitFor()
    await page.getByRole('navigation').getByText(/downloading, \d+ %/).waitFor()
    await look(page, 'downloading')
    await item(page, label).getByRole('button', { name: 'Pause' }).click()
    await item(page, label).getByText('paused').waitFor()
    await look(page, 'paused')
    await page.reload()
    await item(page, label).getByText('paused').waitFor()
    const before = opened.hub.requests.length
    opened.hub.fault = () => null
    await item(page, label).getByRole('button', { name: 'Continue' }).click()
    await item(page, label).getByText('here', { exact: true }).waitFor()
    const after = opened.hub.requests.slice(before).filter(({ server, body }) => server === 'cdn' && body)
    expect(after.some(({ from }) => from > 0)).toBe(true)
    expect(opened.hub.requests.some(({ server, headers }) => server === 'cdn' && headers.authorization !== undefined)).toBe(false)
    // Nobody looked at another one: what came is shown, with what the check says of it.
    await page.getByRole('region', { name: `Model ${MODEL}` }).getByText(/6 layers, 2 KV heads of 64/).waitFor()
    await page.getByLabel('Memory at').fill('1024')
    await page.getByText(/its KV cache 6\.29 MB/).waitFor()
    await look(page, 'done')
  })

  it('verifies what came, and names the file that is damaged', async () => {
    await page.getByRole('button', { name: 'Verify' }).click()
    await page.getByText(/All \d+ files, 11\.\d MB, are as they were/).waitFor()
    const blobs = join(opened.folder, 'hub', `models--${MODEL.replace('/', '--')}`, 'blobs')
    const sizes = await Promise.all((await readdir(blobs)).map(async (name) => ({ name, size: (await stat(join(blobs, name))).size })))
    const blob = await open(join(blobs, sizes.sort((a, b) => b.size - a.size)[0]?.name ?? ''), 'r+')
    const { buffer } = await blob.read(Buffer.alloc(1), 0, 1, 5_000_000)
    await blob.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 5_000_000)
    await page.getByRole('button', { name: 'Verify' }).click()
    await page.getByText(/Damaged: 1 of \d+ files/).waitFor()
    await page.getByRole('cell', { name: 'onnx/model.onnx' }).waitFor()
    await look(page, 'damaged')
    await blob.write(buffer, 0, 1, 5_000_000)
    await blob.close()
  })

  it('exports it, sets a sweep up with it, and removes it after saying what goes', async () => {
    const out = join(opened.folder, 'exported')
    await mkdir(out)
    await page.getByRole('button', { name: 'Export…' }).click()
    await page.getByRole('textbox', { name: 'Folder to write to' }).fill(out)
    await page.getByRole('button', { name: 'Write', exact: true }).click()
    await page.getByText('tiny-llama.tar', { exact: false }).last().waitFor()
    await page.getByText('written', { exact: true }).waitFor()
    expect(await readdir(out)).toEqual(['tiny-llama.tar'])
    await look(page, 'exported')
    await page.getByRole('region', { name: `Model ${MODEL}` }).getByRole('button', { name: 'Use in a sweep' }).click()
    await page.waitForURL(/#\/sweep\?model=/)
    await expect.poll(() => page.locator('#model').inputValue()).toContain('onnx/model.onnx')
    await page.getByRole('region', { name: 'Plan' }).getByText('Can tell', { exact: true }).waitFor()
    await go(page, '/models')
    await row(page, 'Models', MODEL).click()
    await page.getByRole('button', { name: 'Remove…' }).click()
    await page.getByRole('alertdialog').getByText('onnx/model.onnx').waitFor()
    await look(page, 'removal')
    await page.getByRole('alertdialog').getByRole('button', { name: 'Remove' }).click()
    await page.getByText(/is removed, 11\.\d MB freed/).waitFor()
    await row(page, 'Models', MODEL).waitFor({ state: 'detached' })
  })

  it('says what a failing hub says, and tries again', async () => {
    opened.hub.fault = ({ server }) => (server === 'hub' ? { kind: 'status', status: 503 } : null)
    await find(page, MODEL)
    await page.getByRole('alert').getByText('NETWORK_FAILED').waitFor()
    await look(page, 'hub fails')
    opened.hub.fault = () => null
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('button', { name: /^Download fp32/ }).waitFor()
  })

  it('shows a download that failed, and goes on with it', async () => {
    opened.hub.fault = ({ server, file }) => (server === 'cdn' && file?.endsWith('.onnx') ? { kind: 'corrupt', atByte: 9_000_000 } : null)
    await page.getByRole('button', { name: /^Download fp32/ }).click()
    await item(page, `${MODEL} fp32`).getByText('CHECKSUM_MISMATCH').waitFor()
    await look(page, 'failed')
    opened.hub.fault = () => null
    await item(page, `${MODEL} fp32`).getByRole('button', { name: 'Try again' }).click()
    await item(page, `${MODEL} fp32`).getByRole('button', { name: 'Use in a sweep' }).waitFor()
    await item(page, `${MODEL} fp32`).getByRole('button', { name: /off this list/ }).click()
    await item(page, `${MODEL} fp32`).waitFor({ state: 'detached' })
  })

  it('asks for a token where the authors do, takes one, never shows it, and forgets it', async () => {
    await find(page, GATED)
    await page.getByText(/Its authors ask you to accept terms/).waitFor()
    await look(page, 'gated')
    await page.getByRole('button', { name: /^(Download|Add) fp32/ }).click()
    await item(page, `${GATED} fp32`).getByText('ACCESS_DENIED').waitFor()
    await go(page, '/settings')
    await page.getByLabel(/Give one/).fill(TOKEN)
    await page.getByRole('button', { name: 'Use it' }).click()
    await page.getByText('given for this session').waitFor()
    expect(await page.getByLabel(/Give another/).inputValue()).toBe('')
    await look(page, 'token')
    await go(page, '/models')
    await item(page, `${GATED} fp32`).getByRole('button', { name: 'Try again' }).click()
    await item(page, `${GATED} fp32`).getByRole('button', { name: 'Use in a sweep' }).waitFor()
    await go(page, '/settings')
    await page.getByRole('button', { name: 'Forget it' }).click()
    await page.getByText('none: what is public can be fetched').waitFor()
    expect(await page.content()).not.toContain(TOKEN)
  })

  it('shows what the environment has chosen, and does not let it be changed here', async () => {
    await page.getByText('set by the environment, HF_ENDPOINT').waitFor()
    expect(await page.getByLabel('Address of the hub').getAttribute('readonly')).not.toBeNull()
    expect(await page.getByLabel('Cache folder').inputValue()).toBe(join(opened.folder, 'hub'))
  })

  it('asks nothing of the network while the settings say offline', async () => {
    await page.getByRole('checkbox', { name: /Offline/ }).check()
    await page.getByRole('button', { name: 'Keep' }).click()
    await page.getByText('Settings kept').waitFor()
    await go(page, '/models')
    await page.getByText(/The lab is offline, as the settings say/).waitFor()
    expect(await page.getByLabel(/^Name, address of its page/).isDisabled()).toBe(true)
    await look(page, 'offline')
    await page.getByRole('link', { name: /Switch it on/ }).click()
    await page.getByRole('checkbox', { name: /Offline/ }).uncheck()
    await page.getByRole('button', { name: 'Keep' }).click()
    await go(page, '/models')
    await expect.poll(() => page.getByLabel(/^Name, address of its page/).isDisabled()).toBe(false)
  })

  it('imports an archive that is dropped, and asks for another name where the first is taken', async () => {
    const archive = await tarOfModel('brought')
    await dropFile(page, 'brought.tar', archive)
    await row(page, 'Models', 'brought').waitFor()
    await page.getByRole('region', { name: 'Model brought' }).waitFor()
    await dropFile(page, 'brought.tar', archive)
    await page.getByRole('alert').getByText('FILE_EXISTS').waitFor()
    await page.getByLabel(/Another name/).fill('brought-again')
    await look(page, 'name taken')
    await page.getByRole('button', { name: 'Import under this name' }).click()
    await row(page, 'Models', 'brought-again').waitFor()
    await dropFile(page, 'nothing.tar', Buffer.from('no archive at all'))
    await page.getByRole('alert').getByText(/MALFORMED_FILE|MODEL_UNSUPPORTED/).waitFor()
  })

  it('gets a known text, counts it, and sets a sweep up with its column and join', async () => {
    await go(page, '/datasets')
    await look(page, 'datasets')
    await page.getByRole('button', { name: 'Get WikiText-2 raw, test' }).click()
    await row(page, 'Texts', `${WIKITEXT} wikitext-2-raw-v1/test`).click()
    await page.getByText('Tokens SHA-256').waitFor()
    expect(await page.getByLabel('Read as').inputValue()).toBe('hf-rows')
    const region = page.getByRole('region', { name: /^Text Salesforce/ })
    await region.getByText(/in 1 document,/).waitFor()
    await page.getByLabel('Read as').selectOption('documents')
    await region.getByText(/in 200 documents,/).waitFor()
    await page.getByLabel('Read as').selectOption('hf-rows')
    await look(page, 'counted')
    await region.getByRole('button', { name: 'Use in a sweep' }).click()
    await page.waitForURL(/#\/sweep\?data=/)
    await expect.poll(() => page.locator('#column').inputValue()).toBe('text')
    expect(await page.locator('#join').inputValue()).toBe('hf-rows')
  })

  it('finds what two texts share', async () => {
    await go(page, '/datasets')
    await page.getByRole('button', { name: 'Get WikiText-2 raw, validation' }).click()
    await row(page, 'Texts', 'wikitext-2-raw-v1/validation').waitFor()
    const choose = async (side: string, text: string): Promise<void> => void (await page.getByLabel(side).selectOption({ label: `${WIKITEXT} wikitext-2-raw-v1/${text}` }))
    await choose('Calibrated on', 'test')
    await choose('Evaluated on', 'validation')
    await page.getByRole('button', { name: 'Compare' }).click()
    await page.getByText('no overlap').waitFor()
    await choose('Evaluated on', 'test')
    await page.getByRole('button', { name: 'Compare' }).click()
    await page.getByText(/100 of 100 longer paragraphs/).waitFor()
    await look(page, 'overlap')
  })

  it.each([900, 1280, 1720])('fits into %i pixels', async (width) => {
    await page.setViewportSize({ width, height: 860 })
    for (const route of ['/models', '/datasets', '/settings']) {
      await go(page, route)
      await page.waitForTimeout(500)
      const over = await page.evaluate(() => {
        const main = document.querySelector('main')
        return [document.documentElement.scrollWidth - document.documentElement.clientWidth, main ? main.scrollWidth - main.clientWidth : 0]
      })
      expect([route, ...over]).toEqual([route, 0, 0])
    }
  })

  it('never broke its policy and no page threw', () => expect(opened.lab.violations).toEqual([]))
})

const mounts = process.platform === 'linux' && spawnSync('sh', ['-c', 'd=$(mktemp -d) && mount -t tmpfs none "$d" && umount "$d"; status=$?; rmdir "$d"; exit $status']).status === 0

describe.skipIf(NO_BROWSER !== null)(`a lab whose surroundings are hard${SKIPPED}`, { timeout: PATIENCE }, () => {
  it('says who has switched it offline, where that is the environment', async () => {
    const { lab, close } = await openHubLab({ HF_HUB_OFFLINE: '1' })
    try {
      const page = await lab.page('/models')
      await page.getByText(/HF_HUB_OFFLINE is set in the environment/).waitFor()
      await go(page, '/datasets')
      expect(await page.getByRole('button', { name: 'Get WikiText-2 raw, test' }).isDisabled()).toBe(true)
      await look(page, 'offline by the environment')
    } finally {
      await close()
    }
  })

  it.skipIf(!mounts)('says before and after that the disk is too full (skipped where tmpfs cannot be mounted)', async () => {
    const small = await mkdtemp(join(tmpdir(), 'kvlab-small-'))
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', small]).status).toBe(0)
    const { lab, close } = await openHubLab({ HF_HOME: small })
    try {
      const page = await lab.page('/models')
      await find(page, MODEL)
      await page.getByText(/The disk is too full for it/).waitFor()
      await page.getByRole('button', { name: /^Download fp32/ }).click()
      await item(page, `${MODEL} fp32`).getByText('DISK_FULL').waitFor()
      await look(page, 'disk full')
    } finally {
      await close()
      spawnSync('umount', [small])
      await rm(small, { recursive: true, force: true })
    }
  })
})
