import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Page } from 'playwright-core'
import { axeFindings, Lab, NO_BROWSER, PATIENCE, SKIPPED } from './lab.ts'
import { startSweep, statusIs } from './sweep.ts'

const ROUTES = ['/sweep', '/runs', '/models', '/datasets', '/inspect', '/methods', '/methods?name=kivi2%2Bauto', '/settings', '/compare', '/nowhere']

/** Every page as such: sound for assistive technology, at home at three widths and in two themes, usable by keys alone. */
describe.skipIf(NO_BROWSER !== null)(`the pages${SKIPPED}`, { timeout: 2 * PATIENCE }, () => {
  let lab: Lab
  let run = ''
  beforeAll(async () => {
    lab = await Lab.open()
    const page = await lab.page('/sweep')
    run = await startSweep(page, { methods: ['int8:g64', 'q8_0/q4_0', 'int2:g32:asym'], windows: 30 })
    await statusIs(page, 'done')
    await page.context().close()
  })
  afterAll(async () => {
    await lab.close()
  })

  /** Go to a route and wait until it has asked all it wanted to know. */
  async function at(page: Page, route: string): Promise<void> {
    await page.goto(page.url().replace(/#.*/, `#${route}`))
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.waitForTimeout(700)
  }

  it.each(['light', 'dark'] as const)('have no findings of axe, %s', async (theme) => {
    const page = await lab.page('/sweep', { theme })
    const findings: string[] = []
    for (const route of [...ROUTES, `/runs/${run}`]) {
      await at(page, route)
      findings.push(...(await axeFindings(page)).map((finding) => `${route} ${finding}`))
    }
    for (const tab of ['Layers', 'Depth', 'Tokens', 'Bytes', 'Transfer']) {
      await page.getByRole('tab', { name: tab }).click()
      await page.waitForTimeout(700)
      findings.push(...(await axeFindings(page)).map((finding) => `${tab} ${finding}`))
    }
    await page.keyboard.press('Control+k')
    await page.getByRole('dialog').waitFor()
    findings.push(...(await axeFindings(page)).map((finding) => `palette ${finding}`))
    expect(findings).toEqual([])
  })

  it.each([900, 1280, 1600])('fit into %i pixels', async (width) => {
    const page = await lab.page('/sweep', { width })
    for (const route of [...ROUTES, `/runs/${run}`]) {
      await at(page, route)
      const over = await page.evaluate(() => {
        const main = document.querySelector('main')
        return [document.documentElement.scrollWidth - document.documentElement.clientWidth, main ? main.scrollWidth - main.clientWidth : 0]
      })
      expect([route, ...over]).toEqual([route, 0, 0])
    }
  })

  it('can be used by keys alone', async () => {
    const page = await lab.page('/sweep')
    await page.locator('#windows').waitFor()
    await page.keyboard.press('Alt+2')
    await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor()
    await page.keyboard.press('Control+k')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.type('go to insp')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Inspect' }).waitFor()
    await at(page, `/runs/${run}`)
    const grid = page.getByRole('grid', { name: 'Methods of the run' })
    await grid.focus()
    await page.keyboard.press('Home')
    await page.keyboard.press('ArrowDown')
    await page.getByRole('region', { name: 'Selected: q8_0/q4_0' }).waitFor()
    await page.keyboard.press('j')
    await page.getByRole('region', { name: 'Selected: int2:g32:asym' }).waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('int8')
    expect(await grid.getByRole('row').count()).toBe(2)
    await page.keyboard.press('Tab')
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineStyle)
    expect(outline).not.toBe('none')
    await grid.focus()
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  })

  it('never broke their policy, and the host sends it with every answer', async () => {
    expect(lab.violations).toEqual([])
    const response = await fetch(lab.url)
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(response.headers.get('content-security-policy')).not.toContain('unsafe')
  })
})
