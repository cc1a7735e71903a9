import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './stale.js'

/** Path of Electron's program, null where it was not fetched. Asking the package for it would fetch it, unasked. */
export function electronBinary() {
  const folder = join(root, 'node_modules', 'electron')
  const named = join(folder, 'path.txt')
  const program = existsSync(named) ? join(folder, 'dist', readFileSync(named, 'utf8').trim()) : null
  return program !== null && existsSync(program) ? program : null
}
