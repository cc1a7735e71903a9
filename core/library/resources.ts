import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LabError } from '#core/contract/errors.ts'

/** Absolute path of the program's `resources` folder, from the sources and from the bundle alike. Throws LabError INTERNAL when it is not installed whole. */
export function resourcesFolder(): string {
  const start = dirname(fileURLToPath(import.meta.url))
  for (let folder = start; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown }).name === 'kvlab') return join(folder, 'resources')
    if (folder === dirname(folder)) throw new LabError('INTERNAL', `no folder above ${start} holds the package.json of kvlab: install the program again`)
  }
}
