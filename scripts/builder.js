import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { root } from './stale.js'

/** Run a builder of node_modules, named by its path there, quietly; what it printed is shown where it fails, and `what` names the build. Whether it came to its end. */
export function runBuilder(builder, args, what) {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [join(root, 'node_modules', builder), 'build', ...args], { cwd: root, encoding: 'utf8' })
  if (status !== 0) process.stderr.write(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}\nerror INTERNAL: ${what} failed; after npm ci it should not\n`)
  return status === 0
}
