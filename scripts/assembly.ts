import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vite'

const QUERY = '?assembly'
const CACHE = fileURLToPath(new URL('../node_modules/.cache/kvlab-assembly/', import.meta.url))
/** Memory of a fixed size: growing would detach its ArrayBuffer, after which V8 checks every typed array access of the process for that. */
const PAGES = '4'
const OPTIONS = ['-O3', '--converge', '--noAssert', '--runtime', 'stub', '--use', 'abort=', '--enable', 'simd', '--initialMemory', PAGES, '--maximumMemory', PAGES]

/**
 * Vite's and Vitest's way to AssemblyScript: `import { base64 } from './assembly/index.ts?assembly'` gives the WebAssembly that this file compiles to.
 * Compiled once for each state of the folder's sources and kept under node_modules/.cache.
 */
export function assembly(): Plugin {
  return {
    name: 'kvlab-assembly',
    enforce: 'pre',
    resolveId(source, importer) {
      return source.endsWith(QUERY) && importer ? join(dirname(importer), source) : null
    },
    async load(id) {
      if (!id.endsWith(QUERY)) return null
      const entry = id.slice(0, -QUERY.length)
      const sources = await sourcesOf(dirname(entry))
      for (const name of sources.keys()) this.addWatchFile(join(dirname(entry), name))
      const bytes = await compiled(basename(entry), sources)
      return { code: `export const base64 = '${bytes.toString('base64')}'`, moduleType: 'js', map: null }
    },
  }
}

async function sourcesOf(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.ts')).sort()
  return new Map(await Promise.all(names.map(async (name): Promise<[string, string]> => [name, await readFile(join(folder, name), 'utf8')])))
}

async function compiled(entry: string, sources: ReadonlyMap<string, string>): Promise<Buffer> {
  const manifest = await readFile(new URL('../node_modules/assemblyscript/package.json', import.meta.url), 'utf8')
  const state = createHash('sha256').update(JSON.stringify([manifest, OPTIONS, entry, [...sources]])).digest('hex')
  const kept = join(CACHE, `${state}.wasm`)
  const known = await readFile(kept).catch(() => null)
  if (known) return known
  const bytes = await compile(entry, sources)
  await mkdir(CACHE, { recursive: true })
  // Beside it and renamed: two builds may be at it at once.
  await writeFile(`${kept}.${process.pid}`, bytes)
  await rename(`${kept}.${process.pid}`, kept)
  return bytes
}

async function compile(entry: string, sources: ReadonlyMap<string, string>): Promise<Buffer> {
  const asc = await import('assemblyscript/asc')
  let bytes: Uint8Array | string | null = null
  const said: string[] = []
  const { error } = await asc.main([entry, '--outFile', 'out.wasm', ...OPTIONS], {
    readFile: (name) => sources.get(name) ?? null,
    writeFile: (name, contents) => void (name === 'out.wasm' && (bytes = contents)),
    listFiles: () => [],
    stderr: asc.createMemoryStream((chunk) => void said.push(Buffer.from(chunk).toString())),
  })
  if (error || bytes === null) throw new Error(`${entry}: ${error?.message ?? 'nothing was compiled'}\n${said.join('')}`)
  return Buffer.from(bytes)
}
