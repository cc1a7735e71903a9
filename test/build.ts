import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { installNode24 } from './node24.ts'

/** Tests of the command line and of the engine process run the built program: build what is stale, once, and fetch the second Node before tests do it side by side. */
export function setup(): void {
  execFileSync(process.execPath, [fileURLToPath(new URL('../scripts/kvlab.js', import.meta.url)), '--build-only', '--with-page'], { stdio: 'inherit' })
  installNode24()
}
