import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { axeFindings, Lab, NO_BROWSER, PATIENCE, SKIPPED } from './lab.ts'

/** Cards of methods: on their own page, and over the page of a sweep. */
describe.skipIf(NO_BROWSER !== null)(`cards of methods${SKIPPED}`, { timeout: PATIENCE }, () => {
  let lab: Lab
  beforeAll(async () => {
    lab = await Lab.open()
  })
  afterAll(async () => {
    await lab.close()
  })

  it('have a page that shows one after another, and any that is typed', async () => {
    const page = await lab.page('/methods')
    const card = page.getByRole('region', { name: 'Card' })
    await card.getByRole('heading', { name: 'quantizer none' }).waitFor()
    await page.getByRole('region', { name: 'Codecs' }).getByRole('link', { name: /^rans / }).click()
    await card.getByRole('heading', { name: 'Measured int4:g64+rans' }).waitFor()
    expect(await card.getByRole('rowheader', { name: 'key.codes' }).count()).toBe(1)
    await page.getByLabel('Card of').fill('kivi2/int4:g32')
    await page.keyboard.press('Enter')
    await card.getByRole('heading', { name: 'quantizer kivi2' }).waitFor()
    await card.getByText('cannot: it encodes tokens some time after they were read').waitFor()
    await page.getByLabel('Card of').fill('kivi3')
    await page.keyboard.press('Enter')
    await card.getByRole('alert').getByText('UNKNOWN_METHOD').waitFor()
    expect(lab.violations).toEqual([])
  })

  it.each(['light', 'dark'] as const)('lie over the sweep, close by Escape and give the focus back, %s', async (theme) => {
    const page = await lab.page('/sweep', { theme })
    const chip = page.getByRole('list', { name: 'Methods of this sweep' }).getByRole('button', { name: 'int4:g64+lz4', exact: true })
    await chip.focus()
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog', { name: 'int4:g64+lz4' })
    await dialog.getByRole('heading', { name: 'codec lz4' }).waitFor()
    expect(await axeFindings(page)).toEqual([])
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    expect(await chip.evaluate((button) => button === document.activeElement)).toBe(true)
  })
})
