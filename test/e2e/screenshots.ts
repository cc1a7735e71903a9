import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { resourcesFolder } from '#core/library/resources.ts'
import { Lab, NO_BROWSER } from './lab.ts'
import { measured, statusIs } from './sweep.ts'

/** `npm run screenshots`: the pictures of the README, of the demo sweep as anyone gets it. */
const folder = join(resourcesFolder(), '..', 'docs', 'images')

async function take(page: Page, name: string): Promise<void> {
  await page.waitForTimeout(900)
  await page.screenshot({ path: join(folder, `${name}.png`) })
  console.log(`docs/images/${name}.png`)
}

if (NO_BROWSER !== null) {
  console.error(`no screenshots: ${NO_BROWSER}`)
  process.exitCode = 2
} else {
  await mkdir(folder, { recursive: true })
  const lab = await Lab.open()
  try {
    const page = await lab.page('/sweep')
    await page.getByRole('region', { name: 'Plan' }).getByText('Can tell', { exact: true }).waitFor()
    await take(page, 'sweep')
    await page.getByRole('button', { name: 'Run the demo sweep' }).click()
    await measured(page, 600)
    await take(page, 'run-live')
    await statusIs(page, 'done')
    await take(page, 'run')
    const dark = await lab.page(page.url().replace(/^[^#]*#/, ''), { theme: 'dark' })
    await statusIs(dark, 'done')
    await dark.getByRole('tab', { name: 'Layers' }).click()
    await take(dark, 'run-dark')
  } finally {
    await lab.close()
  }
}
