// Runs the command line from a checkout: builds what is stale, quietly, then runs out/cli.js in this process, so that a
// Ctrl-C reaches the program itself. `--build-only` stops after the build; the page is built where `serve` or `--with-page` is given.
// Every build gets a folder of its own, out/builds/ID, and out/*.js point to the newest: two builds at once, or a build while a
// program runs, cannot mix their files.
import { readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { runBuilder } from './builder.js'
import { buildPage } from './page.js'
import { isStale, root } from './stale.js'

const out = join(root, 'out')
const builds = join(out, 'builds')
const SOURCES = ['core', 'bench', 'test/e2e', 'test/sample-result.ts', 'scripts/assembly.ts', 'scripts/node-build.ts', 'vite.config.ts', 'package.json', 'package-lock.json']
/** Its time is that at which its build began. */
const PROGRAM = join(out, 'cli.js')
/** Older builds are removed; a program that still runs from one has long loaded what it needs. */
const KEPT_BUILDS = 5

function build() {
  const began = new Date()
  const id = `${began.getTime()}-${process.pid}`
  if (!runBuilder('vite/bin/vite.js', ['--logLevel', 'warn', '--outDir', join(builds, id)], 'the build')) {
    rmSync(join(builds, id), { recursive: true, force: true })
    return false
  }
  for (const name of readdirSync(join(builds, id)).filter((entry) => entry.endsWith('.js'))) {
    const pointer = join(out, `.${name}.${id}`)
    writeFileSync(pointer, `#!/usr/bin/env node\nimport './builds/${id}/${name}'\n`)
    utimesSync(pointer, began, began)
    renameSync(pointer, join(out, name))
  }
  for (const old of readdirSync(builds).sort().slice(0, -KEPT_BUILDS)) rmSync(join(builds, old), { recursive: true, force: true })
  return true
}

const [first] = process.argv.slice(2)
const withPage = first === 'serve' || process.argv.includes('--with-page')
const built = (!isStale(SOURCES, join('out', 'cli.js')) || build()) && (!withPage || buildPage())
if (!built) process.exitCode = 2
else if (first !== '--build-only') await import(pathToFileURL(PROGRAM).href)
