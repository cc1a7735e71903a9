import { existsSync, renameSync, rmSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { runBuilder } from './builder.js'
import { isStale, root } from './stale.js'

/** What the page is made of. */
export const PAGE_SOURCES = ['renderer', 'core/contract', 'core/reports', 'core/statistics', 'package-lock.json']
const BUILT = join(root, 'out', 'renderer')

/** Build the page, out/renderer, where it is stale: beside it and then in its place, so that whoever serves it never finds half of one. False where the build fails. */
export function buildPage() {
  if (!isStale(PAGE_SOURCES, join('out', 'renderer', 'index.html'))) return true
  const began = new Date()
  const id = `${began.getTime()}-${process.pid}`
  const fresh = join(root, 'out', `.page-${id}`)
  if (!runBuilder('vite/bin/vite.js', ['--config', join('renderer', 'vite.config.ts'), '--logLevel', 'warn', '--outDir', fresh], 'the build of the page')) {
    rmSync(fresh, { recursive: true, force: true })
    return false
  }
  utimesSync(join(fresh, 'index.html'), began, began)
  const old = join(root, 'out', `.page-${id}-old`)
  if (existsSync(BUILT)) renameSync(BUILT, old)
  renameSync(fresh, BUILT)
  rmSync(old, { recursive: true, force: true })
  return true
}
