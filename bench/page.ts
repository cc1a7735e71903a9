import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Lab, NO_BROWSER } from '../test/e2e/lab.ts'
import { makeLargeRun } from './large-run.ts'
import { measured } from '../test/e2e/sweep.ts'
import { median, printTable } from './measure.ts'

/** What the page itself takes, in Debian's Chromium: a start, a very large run, a hundred thousand rows, and interactions while the engine measures. */
export async function benchPage(): Promise<void> {
  if (NO_BROWSER !== null) return console.log(`\npage left out: ${NO_BROWSER}`)
  const home = await mkdtemp(join(tmpdir(), 'kvlab-bench-page-'))
  await makeLargeRun(home, 'large', { methods: 200, layers: 30, windows: 3226 })
  const lab = await Lab.open({ home })
  const rows: string[][] = [['', 'time']]
  const add = (name: string, milliseconds: number): void => void rows.push([name, `${milliseconds.toFixed(0)} ms`])
  try {
    const page = await lab.page('/sweep')
    const starts: number[] = []
    for (let i = 0; i < 5; i++) {
      const began = performance.now()
      await page.reload()
      await page.locator('#windows').waitFor()
      starts.push(performance.now() - began)
    }
    add('from a reload to the form of a sweep, filled in', median(starts))

    const opened: { waited: number; drawn: number }[] = []
    for (let i = 0; i < 5; i++) {
      await page.goto(page.url().replace(/#.*/, '#/settings'))
      await page.getByRole('heading', { level: 1 }).waitFor()
      opened.push(JSON.parse(await page.evaluate(OPEN_LARGE)) as { waited: number; drawn: number })
    }
    add('a run of 200 methods and 30 layers: from the click to its data', median(opened.map(({ waited }) => waited)))
    add('… from its data to the table and the chart', median(opened.map(({ drawn }) => drawn)))
    await page.getByRole('tab', { name: 'Layers' }).click()
    await page.getByRole('grid', { name: 'Methods of the run' }).getByText('int2:g64', { exact: true }).click()
    await page.getByRole('tab', { name: 'Tokens' }).click()
    await page.getByRole('grid', { name: 'Tokens by KL' }).waitFor()
    const frames = JSON.parse(await page.evaluate(SCROLL_TOKENS)) as { rows: number; shown: number; gaps: number[] }
    add(`scrolling ${frames.rows.toLocaleString('en-US')} token rows (${frames.shown} in the document): median frame`, median(frames.gaps))
    add('… the longest of 200 frames', Math.max(...frames.gaps))

    await page.goto(page.url().replace(/#.*/, '#/sweep'))
    await page.getByRole('button', { name: 'Start', exact: true }).click()
    await measured(page, 10)
    await page.evaluate(OBSERVE)
    const grid = page.getByRole('grid', { name: 'Methods of the run' })
    for (let i = 0; i < 30; i++) {
      await grid.getByRole('row').nth(1 + (i % 8)).click()
      await page.getByRole('tab', { name: i % 2 === 0 ? 'Layers' : 'Quality' }).click()
      await page.keyboard.press('j')
    }
    await page.getByRole('searchbox').pressSequentially('int4')
    await page.waitForTimeout(300)
    const interactions = JSON.parse(await page.evaluate(OBSERVED)) as number[]
    add(`${interactions.length} interactions while the engine measures, from the key or click to the next frame: median`, median(interactions))
    add('… the longest', Math.max(...interactions))
  } finally {
    await lab.close()
  }
  printTable('page', rows)
}

/** These run in the page; as text, because this program knows no document. */
const OPEN_LARGE = `new Promise((resolve) => {
  const began = performance.now()
  const parse = JSON.parse
  let came = 0
  JSON.parse = (text) => {
    if (text.length > 500000) came = performance.now()
    return parse(text)
  }
  location.hash = '#/runs/large'
  const look = () => {
    const drawn = document.querySelector('.chart canvas') && document.querySelectorAll('[aria-label="Methods of the run"] [role=row]').length > 10
    requestAnimationFrame(drawn ? () => setTimeout(() => {
      JSON.parse = parse
      resolve(JSON.stringify({ waited: came - began, drawn: performance.now() - came }))
    }) : look)
  }
  look()
})`

const SCROLL_TOKENS = `new Promise((resolve) => {
  const grid = document.querySelector('[aria-label="Tokens by KL"]')
  const gaps = []
  let last = performance.now()
  const step = (now) => {
    gaps.push(now - last)
    last = now
    grid.scrollTop += grid.scrollHeight / 200
    if (gaps.length < 200) requestAnimationFrame(step)
    else resolve(JSON.stringify({ rows: Number(grid.getAttribute('aria-rowcount')) - 1, shown: grid.querySelectorAll('[role=row]').length, gaps: gaps.slice(1) }))
  }
  requestAnimationFrame(step)
})`

const OBSERVE = `window.seen = []; new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (entry.interactionId) window.seen.push(entry.duration) }).observe({ type: 'event', durationThreshold: 16 })`
const OBSERVED = `JSON.stringify(window.seen)`
