// Runs the command line from a checkout: builds what is stale, quietly, then runs out/cli.js in this process, so that a
// Ctrl-C reaches the program itself. `--build-only` stops after the build.
// Every build gets a folder of its own, out/builds/ID, and out/*.js point to the newest: two builds at once, or a build while a
// program runs, cannot mix their files.
import { spawnSync } from 'node:child_process'
import { readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const out = join(root, 'out')
const builds = join(out, 'builds')
const SOURCES = ['core', 'bench', 'scripts/assembly.ts', 'vite.config.ts', 'package.json', 'package-lock.json']
/** Its time is that at which its build began. */
const PROGRAM = join(out, 'cli.js')
/** Older builds are removed; a program that still runs from one has long loaded what it needs. */
const KEPT_BUILDS = 5

/** Time of the last change in a file or folder, in milliseconds; 0 where there is none. A folder's own time tells of removals. */
function changed(path) {
  const facts = statSync(path, { throwIfNoEntry: false })
  if (!facts?.isDirectory()) return facts?.mtimeMs ?? 0
  return Math.max(facts.mtimeMs, ...readdirSync(path).filter((name) => !name.endsWith('.test.ts')).map((name) => changed(join(path, name))))
}

function build() {
  const began = new Date()
  const id = `${began.getTime()}-${process.pid}`
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [vite, 'build', '--logLevel', 'warn', '--outDir', join(builds, id)], { cwd: root, encoding: 'utf8' })
  if (status !== 0) {
    process.stderr.write(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}\nerror INTERNAL: the build failed; after npm ci it should not\n`)
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

const stale = Math.max(...SOURCES.map((name) => changed(join(root, name)))) > changed(PROGRAM)
if (stale && !build()) process.exitCode = 2
else if (process.argv[2] !== '--build-only') await import(pathToFileURL(PROGRAM).href)
