import { spawnSync } from 'node:child_process'
import { existsSync, renameSync, rmSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
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
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [vite, 'build', '--config', join('renderer', 'vite.config.ts'), '--logLevel', 'warn', '--outDir', fresh], { cwd: root, encoding: 'utf8' })
  if (status !== 0) {
    process.stderr.write(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}\nerror INTERNAL: the build of the page failed; after npm ci it should not\n`)
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
