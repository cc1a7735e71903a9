import { readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the checkout. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Whether any of the sources, files or folders named from the root, is newer than what was built of them. A file's time is that at which its build began. */
export function isStale(sources, built) {
  return Math.max(...sources.map((name) => changed(join(root, name)))) > changed(join(root, built))
}

/** Time of the last change in a file or folder, in milliseconds; 0 where there is none. A folder's own time tells of removals. */
export function changed(path) {
  const facts = statSync(path, { throwIfNoEntry: false })
  if (!facts?.isDirectory()) return facts?.mtimeMs ?? 0
  return Math.max(facts.mtimeMs, ...readdirSync(path).filter((name) => !name.endsWith('.test.ts')).map((name) => changed(join(path, name))))
}
