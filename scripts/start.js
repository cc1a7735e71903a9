// `npm start`: builds what is stale and opens the desktop window; where Electron's program is not installed, the same page in the browser.
// Options are passed on to whichever of the two it is.
import { spawn } from 'node:child_process'
import { utimesSync } from 'node:fs'
import { join } from 'node:path'
import { runBuilder } from './builder.js'
import { electronBinary } from './electron-binary.js'
import { buildPage } from './page.js'
import { isStale, root } from './stale.js'

const SOURCES = ['core', 'electron', 'scripts/assembly.ts', 'scripts/node-build.ts', 'electron.vite.config.ts', 'package.json', 'package-lock.json']
/** Its time is that at which its build began. */
const PROGRAM = join('out', 'main', 'index.js')

/** Build out/main and out/preload where they are stale; false where that fails. */
function buildDesktop() {
  if (!isStale(SOURCES, PROGRAM)) return true
  const began = new Date()
  if (!runBuilder('electron-vite/bin/electron-vite.js', ['--mode', 'shell', '--logLevel', 'error'], 'the build')) return false
  utimesSync(join(root, PROGRAM), began, began)
  return true
}

function openWindow(binary, args) {
  // The window is asked to end by the same Ctrl-C; this process only waits for it.
  process.on('SIGINT', () => {})
  const { ELECTRON_RUN_AS_NODE: _, ...env } = process.env
  const window = spawn(binary, [join(root, PROGRAM), ...args], { stdio: 'inherit', env })
  window.on('error', (error) => {
    process.stderr.write(`error INTERNAL: ${binary} does not start (${error.message}): npm run kvlab -- serve --open shows the same page in a browser\n`)
    process.exitCode = 2
  })
  window.on('exit', (code) => (process.exitCode = code ?? 1))
}

const args = process.argv.slice(2)
const binary = electronBinary()
if (binary === null) {
  process.stderr.write("Electron's program is not in node_modules (npx install-electron fetches it): the page opens in the browser instead\n")
  process.argv.splice(2, args.length, 'serve', '--open', ...args)
  await import('./kvlab.js')
} else if (buildPage() && buildDesktop()) openWindow(binary, args)
else process.exitCode = 2
