import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Tests of the command line and of the engine process run the built program: build what is stale, once. */
export function setup(): void {
  execFileSync(process.execPath, [fileURLToPath(new URL('../scripts/kvlab.js', import.meta.url)), '--build-only'], { stdio: 'inherit' })
}
