import { readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Lab, NO_BROWSER, PATIENCE, SKIPPED } from './lab.ts'
import { measured, passesDone, startSweep, statusIs, tableOf } from './sweep.ts'

/** What people do, in a real browser against the real engine and the demo model. */
describe.skipIf(NO_BROWSER !== null)(`the lab in a browser${SKIPPED}`, { timeout: 2 * PATIENCE }, () => {
  let lab: Lab
  beforeAll(async () => {
    lab = await Lab.open()
  })
  afterAll(async () => {
    await lab.close()
  })

  it('leads from the first start over a live sweep to the table in a file', async () => {
    const page = await lab.page('/sweep')
    await page.getByRole('heading', { name: 'What does compressing a KV cache cost?' }).waitFor()
    await page.getByRole('button', { name: 'Run the demo sweep' }).click()
    await page.waitForURL(/#\/runs\//)
    await statusIs(page, 'running')
    await measured(page, 30)
    // Live: intervals of every method, a sentence, a rate and what is left.
    await page.getByText(/^So far/).waitFor()
    await page.getByText(/tokens\/s/).waitFor()
    await page.getByText(/ left$/).waitFor()
    expect((await tableOf(page))['int8:g64']).toContain('measuring')
    await statusIs(page, 'done')
    const table = await tableOf(page)
    expect(Object.keys(table)).toHaveLength(10)
    expect(table['int8:g64']).toContain('pass')
    expect(table['int2:g32:asym']).toContain('fail')
    await page.getByText(/is the smallest that passes the gate/).first().waitFor()
    expect(await page.getByRole('img', { name: /bits per value against mean KL/ }).locator('canvas').count()).toBe(1)

    // The drawer follows the selection, and each of its tabs shows something measured.
    await page.getByRole('grid', { name: 'Methods of the run' }).getByText('q8_0/q4_0', { exact: true }).click()
    await page.getByRole('region', { name: 'Selected: q8_0/q4_0' }).waitFor()
    for (const [tab, shown] of [['Layers', 'Error of each layer'], ['Depth', 'Drift by depth'], ['Bytes', 'order-0 bound'], ['Transfer', 'Break-even']] as const) {
      await page.getByRole('tab', { name: tab }).click()
      await page.getByRole('tabpanel').getByText(shown).first().waitFor()
    }
    await page.getByRole('tab', { name: 'Tokens' }).click()
    await page.getByText('10,230 of 10,230 scored tokens').waitFor()

    await page.getByRole('button', { name: 'Report' }).click()
    const download = page.waitForEvent('download')
    await page.getByRole('menuitem', { name: 'Report as CSV' }).click()
    const csv = await readFile(await (await download).path(), 'utf8')
    expect(csv.split('\n')[0]).toContain('method')
    expect(csv).toContain('int4:g64+lz4')
    await page.getByRole('button', { name: 'Report' }).click()
    await page.getByRole('menuitem', { name: 'Copy table as Markdown' }).click()
    expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^\| Method \| Bits/)
    for (const [item, end, begin] of [['Save as SVG', '.svg', '<svg'], ['Save data as CSV', '.csv', 'method,bits']] as const) {
      await page.getByRole('button', { name: 'Export: Size against damage' }).click()
      const saved = page.waitForEvent('download')
      await page.getByRole('menuitem', { name: item }).click()
      const file = await saved
      expect(file.suggestedFilename().endsWith(end)).toBe(true)
      expect(await readFile(await file.path(), 'utf8')).toContain(begin)
    }
    await page.getByRole('button', { name: 'Export: Size against damage' }).click()
    const picture = page.waitForEvent('download')
    await page.getByRole('menuitem', { name: 'Save as PNG' }).click()
    expect((await readFile(await (await picture).path())).subarray(1, 4).toString()).toBe('PNG')
  })

  it('loses nothing by a reload, shows the run in a second window, and keeps both in step', async () => {
    const page = await lab.page('/sweep')
    const id = await startSweep(page, { methods: ['int8:g64', 'int3:g32'], windows: 200 })
    await measured(page, 20)
    const before = await passesDone(page)
    await page.reload()
    await measured(page, before)
    const second = await lab.pageIn(page.context(), `/runs/${id}`)
    await measured(second, before)
    await page.getByRole('button', { name: 'Pause' }).click()
    await statusIs(second, 'paused')
    const held = await passesDone(second)
    await second.waitForTimeout(400)
    expect(await passesDone(second)).toBe(held)
    await second.getByRole('button', { name: 'Continue' }).click()
    await statusIs(page, 'running')
    await page.close()
    await statusIs(second, 'done')
    await second.goto(second.url().replace(/runs.*/, 'runs'))
    await second.getByRole('grid', { name: 'Runs' }).getByText('done').first().waitFor()
  })

  it('cancels honestly, keeps what was measured, and resumes to the same table', async () => {
    const page = await lab.page('/sweep')
    const sweep = { methods: ['int8:g64', 'int2:g32:asym'], windows: 120 }
    await startSweep(page, sweep)
    await statusIs(page, 'done')
    const whole = await tableOf(page)
    await startSweep(page, sweep)
    await measured(page, 15)
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Cancel the run' }).click()
    await statusIs(page, 'cancelled')
    await page.getByText(/The run was cancelled at/).waitFor()
    expect((await tableOf(page))['int8:g64']).toContain('partial')
    await page.getByRole('button', { name: 'Resume' }).click()
    await statusIs(page, 'done')
    // Speeds are measured anew; sizes, perplexity, KL and verdicts are the same.
    const same = (text: string | undefined): string | undefined => text?.replaceAll(/[\d.]+ [kMG]B\/s/g, '')
    const resumed = await tableOf(page)
    expect(Object.keys(resumed)).toEqual(Object.keys(whole))
    for (const [method, cells] of Object.entries(resumed)) expect(same(cells)).toBe(same(whole[method]))
  })

  it('survives the death of its engine: the window says so, a new engine comes, the run goes on', async () => {
    const page = await lab.page('/sweep')
    const id = await startSweep(page, { methods: ['int8:g64', 'int4:g64'], windows: 150 })
    await measured(page, 10)
    const other = await lab.pageIn(page.context(), '/settings')
    process.kill(await lab.enginePid(other), 'SIGKILL')
    await page.getByText(/This run was interrupted/).waitFor()
    await page.getByText('engine ready').waitFor({ state: 'attached' })
    await page.getByRole('button', { name: 'Resume' }).click()
    await statusIs(page, 'running')
    expect(page.url().endsWith(id)).toBe(true)
    await statusIs(page, 'done')
  })

  it('lets a second run wait for the first', async () => {
    const page = await lab.page('/sweep')
    await startSweep(page, { methods: ['int8:g64'], windows: 400 })
    await measured(page, 2)
    const first = page.url()
    const waiting = await lab.pageIn(page.context(), '/sweep')
    await startSweep(waiting, { methods: ['int4:g64'], windows: 20 })
    await statusIs(waiting, 'waiting for another run')
    await page.goto(first)
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Cancel the run' }).click()
    await statusIs(waiting, 'done')
  })

  it('inspects a file that was dropped on it, and says what is wrong with a broken one', async () => {
    const page = await lab.page('/inspect')
    const file = async (name: string, bytes: Uint8Array): Promise<void> => {
      const data = await page.evaluateHandle(([text, called]) => {
        const transfer = new DataTransfer()
        transfer.items.add(new File([Uint8Array.from(atob(text), (char) => char.charCodeAt(0))], called))
        return transfer
      }, [Buffer.from(bytes).toString('base64'), name] as const)
      await page.locator('.drop').dispatchEvent('drop', { dataTransfer: data })
    }
    const header = Buffer.from(JSON.stringify({ layer_0_key: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] } }).padEnd(80))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    const bytes = Buffer.concat([length, header, Buffer.from(Float32Array.of(1, -2, 3, 4).buffer)])
    await file('small.safetensors', bytes)
    await page.getByRole('heading', { name: 'small.safetensors' }).waitFor()
    await page.getByRole('grid', { name: 'Tensors' }).getByText('layer_0_key').waitFor()
    await page.getByRole('heading', { name: 'Values of layer_0_key' }).waitFor()
    await file('broken.safetensors', bytes.subarray(0, bytes.length - 3))
    await page.getByRole('alert').getByText('MALFORMED_FILE').waitFor()
    await file('text.safetensors', Buffer.from('no tensors at all'))
    await page.getByRole('alert').getByText('MALFORMED_FILE').waitFor()
  })

  it('compares runs of one protocol and refuses unlike ones, naming what differs', async () => {
    const page = await lab.page('/sweep')
    const a = await startSweep(page, { methods: ['int8:g64', 'int4:g64'], windows: 20 })
    await statusIs(page, 'done')
    const b = await startSweep(page, { methods: ['int4:g64', 'int2:g32:asym'], windows: 20 })
    await statusIs(page, 'done')
    const c = await startSweep(page, { methods: ['int4:g64'], windows: 20, context: 128 })
    await statusIs(page, 'done')
    const compare = (...ids: string[]): Promise<unknown> => page.goto(page.url().replace(/#.*/, `#/compare?ids=${ids.join(',')}`))
    await compare(a, b)
    const grid = page.getByRole('grid', { name: 'Methods of the runs' })
    await grid.getByText('int2:g32:asym').waitFor()
    expect(await grid.getByRole('row').count()).toBe(4)
    await compare(a, c)
    await page.getByRole('alert').getByText('RUN_MISMATCH').waitFor()
    expect(await page.getByRole('alert').innerText()).toMatch(/64.*128/)
    // As a person does it: ticked in the history.
    await page.goto(page.url().replace(/#.*/, '#/runs'))
    for (const id of [a, b]) await page.getByRole('checkbox', { name: `Compare ${id}` }).check()
    await page.getByRole('button', { name: 'Compare 2' }).click()
    await grid.getByText('int8:g64').waitFor()
  })

  it('opens the folder of a run, keeps tags and notes', async () => {
    const page = await lab.page('/runs')
    await page.getByRole('grid', { name: 'Runs' }).getByRole('row').nth(1).click()
    await page.getByLabel('Tags').fill('thesis, baseline')
    await page.getByLabel('Notes').fill('the one to cite')
    await page.getByRole('button', { name: 'Keep' }).click()
    await page.getByText('Notes kept').waitFor()
    await page.reload()
    await page.getByRole('searchbox').fill('cite')
    await page.getByRole('grid', { name: 'Runs' }).getByText('thesis, baseline').waitFor()
  })

  it('keeps what is being typed while the rest of the page changes', async () => {
    const page = await lab.page('/sweep')
    await page.locator('#windows').fill('77')
    // As by a list that arrives late: the field is not left.
    const choose = (value: string): Promise<void> =>
      page.locator('#model').evaluate((field: HTMLSelectElement, chosen) => {
        field.value = chosen
        field.dispatchEvent(new Event('change', { bubbles: true }))
      }, value)
    await choose('…')
    await page.getByRole('textbox', { name: 'Model folder' }).waitFor()
    expect(await page.locator('#windows').inputValue()).toBe('77')
    await choose('demo')
    await page.locator('#windows').press('Tab')
    await page.getByText('--windows 77').waitFor()
  })

  it('tells a wrong method, a wrong model and a text that is too short apart', async () => {
    const page = await lab.page('/sweep')
    const name = page.getByRole('textbox', { name: /Add a method/ })
    await name.fill('int4:gg64')
    await page.getByText(/Nearest:/).waitFor()
    await page.getByRole('button', { name: 'int4:g64', exact: true }).click()
    await name.press('Enter')
    const short = join(tmpdir(), `kvlab-e2e-short-${process.pid}.txt`)
    await writeFile(short, 'Too short.')
    try {
      await page.locator('#data').selectOption('…')
      await page.getByRole('textbox', { name: 'Text file' }).fill(short)
      await page.getByRole('textbox', { name: 'Text file' }).press('Tab')
      await page.getByRole('region', { name: 'Plan' }).getByText('TEXT_TOO_SHORT').waitFor()
      await page.getByRole('textbox', { name: 'Text file' }).fill('/no/such/text')
      await page.getByRole('textbox', { name: 'Text file' }).press('Tab')
      await page.getByRole('region', { name: 'Plan' }).getByText(/INVALID_INPUT|FILE_NOT_FOUND/).waitFor()
    } finally {
      await rm(short)
    }
  })

  it('asks for the token where it has none, and takes the address that was printed', async () => {
    const page = await lab.page('/sweep')
    await page.evaluate(() => localStorage.clear())
    await page.goto('about:blank')
    await page.goto(lab.url.replace(/#.*/, '#token=wrong'))
    await page.getByRole('alert').getByText(/token/i).first().waitFor()
    await page.getByRole('textbox', { name: 'Address or token' }).fill(lab.url)
    await page.getByRole('button', { name: 'Connect' }).click()
    await page.getByText('engine ready').waitFor({ state: 'attached' })
    expect(page.url()).not.toContain(new URL(lab.url).hash)
  })

  it('never broke its policy and no page threw', () => {
    expect(lab.violations).toEqual([])
  })
})
