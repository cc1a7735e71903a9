import type { Page } from 'playwright-core'

/** Set up a sweep of the demo model on the page, as a person does, and start it; gives the run's id. */
export async function startSweep(page: Page, { methods, windows, context }: { methods: readonly string[]; windows: number; context?: number }): Promise<string> {
  if (!page.url().endsWith('/sweep')) await page.getByRole('navigation').getByRole('link', { name: 'Sweep' }).click()
  await page.locator('#windows').waitFor()
  if (context !== undefined) {
    await page.locator('#context').fill(String(context))
    await page.locator('#context').press('Tab')
  }
  await page.locator('#windows').fill(String(windows))
  await page.locator('#windows').press('Tab')
  await page.getByRole('button', { name: 'Remove all' }).click()
  const name = page.getByRole('textbox', { name: /Add a method/ })
  for (const method of methods) {
    await name.fill(method)
    await name.press('Enter')
    await page.getByRole('button', { name: `Remove ${method}` }).waitFor()
  }
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.waitForURL(/#\/runs\/[^/]+$/)
  return page.url().split('/').at(-1) ?? ''
}

/** Wait until the page says how the run stands. */
export async function statusIs(page: Page, status: string): Promise<void> {
  await page.locator('header .badge', { hasText: new RegExp(`^${status}`) }).waitFor()
}

/** How many passes the page says are done. */
export async function passesDone(page: Page): Promise<number> {
  const text = await page.getByText(/of [\d,]+ passes/).innerText()
  return Number(/^([\d,]+) of/.exec(text)?.[1]?.replaceAll(',', ''))
}

/** Wait until some passes are done. */
export async function measured(page: Page, passes: number): Promise<void> {
  for (;;) {
    await page.getByText(/of [\d,]+ passes/).waitFor()
    if ((await passesDone(page)) >= passes) return
    await page.waitForTimeout(50)
  }
}

/** The verdict of each method as the table shows it. */
export async function tableOf(page: Page): Promise<Record<string, string>> {
  const rows = await page.getByRole('grid', { name: 'Methods of the run' }).getByRole('row').all()
  const cells = await Promise.all(rows.slice(1).map((row) => row.getByRole('gridcell').allInnerTexts()))
  return Object.fromEntries(cells.map((row) => [row[0]?.trim() ?? '', row.slice(1).join(' | ').trim()]))
}
