import { lstat, realpath } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import type { z } from 'zod'
import { engineApi, type EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Handlers } from '#core/contract/rpc.ts'
import { absolutePath } from '#core/library/folders.ts'
import { parseName } from '#core/library/locate.ts'

type Input<K extends keyof EngineApi> = z.output<EngineApi[K]['input']>
type Given = string | null
/** What leads to a file: a path that is read, one that is written to, or what may be a name of the library instead of a path. */
type Bearing<I> = { reads?: (input: I) => readonly Given[]; writes?: (input: I) => readonly Given[]; names?: (input: I) => readonly string[]; run?: (input: I) => readonly string[] }

const ofSpec = ({ model, data, calibration }: { model: string; data: string; calibration?: { data: string } | null }): string[] => [model, data, ...(calibration ? [calibration.data] : [])]
const ofRun = { run: ({ id }: { id: string }): string[] => [id] }
const ofShelf = { names: ({ path }: { path: string }): string[] => [path] }

/** For each route what in its input leads to a file. A new route does not compile until it stands here. */
const BEARING: { [K in keyof EngineApi]: Bearing<Input<K>> } = {
  'engine.info': {},
  'method.list': {},
  'method.card': {},
  'settings.read': {},
  'settings.write': { reads: ({ modelFolders, dataFolders, hub }) => [...modelFolders, ...dataFolders, hub.cache] },
  'spec.defaults': {},
  'spec.preset': { names: ({ model }) => [model] },
  'folder.list': { reads: ({ path }) => [path] },
  'file.inspect': { reads: ({ path }) => [path] },
  'file.histogram': { reads: ({ path }) => [path] },
  'file.metrics': { reads: ({ before, after }) => [before, after] },
  'model.list': {},
  'model.inspect': ofShelf,
  'data.list': {},
  'data.inspect': ofShelf,
  'data.known': {},
  'data.count': { names: ofSpec },
  'data.overlap': { names: ({ calibration, evaluation }) => [calibration.data, evaluation.data] },
  'shelf.import': { reads: ({ path }) => [path] },
  'shelf.verify': ofShelf,
  'shelf.export': { ...ofShelf, writes: ({ output }) => [output] },
  'shelf.removal': ofShelf,
  'shelf.remove': ofShelf,
  'hub.state': {},
  'hub.authorize': {},
  'hub.search': {},
  'hub.inspect': {},
  'download.start': {},
  'download.watch': {},
  'download.pause': {},
  'download.continue': {},
  'download.cancel': {},
  'kv.extract': { names: ofSpec, writes: ({ output }) => [output] },
  'kv.compress': { reads: ({ input }) => [input], writes: ({ output }) => [output] },
  'kv.decompress': { reads: ({ input }) => [input], writes: ({ output }) => [output] },
  'perplexity.measure': { names: ofSpec },
  'run.plan': { names: ofSpec },
  'run.start': { names: ({ spec }) => ofSpec(spec), writes: ({ out }) => [out] },
  'run.resume': { writes: (input) => ('folder' in input ? [input.folder] : []), run: (input) => ('id' in input ? [input.id] : []) },
  'run.open': { writes: ({ folder }) => [folder] },
  'run.list': {},
  'run.activity': {},
  'run.watch': ofRun,
  'run.pause': ofRun,
  'run.continue': ofRun,
  'run.cancel': ofRun,
  'run.notes': ofRun,
  'run.compare': { run: ({ ids }) => ids },
  'run.tokens': ofRun,
  'run.validate': { names: ({ spec }) => ofSpec(spec), reads: ({ baseline }) => [baseline], writes: ({ out }) => [out] },
  'report.render': { reads: ({ folder }) => [folder] },
  'doctor.run': {},
}

/**
 * The same handlers, that refuse every path outside the `roots` with LabError INVALID_INPUT before anything is read. Links are followed first. The library's
 * `home` is a root too, and the Hugging Face `cache`, which need not be there yet and is null where nobody knows it, one to read from. A name of the library passes where no file has it: it means
 * something in those two alone. A chooser begins at the first root and does not climb out of one. Relative paths are those of this process, and the engine's
 * must be the same.
 */
export async function confine(handlers: Handlers<EngineApi>, roots: readonly string[], { home, cache }: { home: string; cache: string | null }): Promise<Handlers<EngineApi>> {
  const open = await Promise.all([...roots, home].map(rootOf))
  const cached = cache === null ? null : await realPath(resolve(cache))
  const writable = fence(open)
  const readable = fence(cached === null ? open : [...open, cached])
  const first = resolve(roots[0] ?? home)

  /** Whether a model or text may be used: what is built in, a name of the library, or a path that may be read. */
  async function usable(name: string): Promise<boolean> {
    if (name === 'demo') return true
    const library = (await lstat(resolve(name)).catch(() => null)) === null ? parseName(name) : null
    if (library === null) return readable(name)
    // In the library's own folder there may be links to anywhere.
    const paths = [join(home, 'models'), join(home, 'data')].map((shelf) => join(shelf, library.repo))
    return (await Promise.all([...paths, ...paths.map((path) => join(path, library.part ?? ''))].map(readable))).every((inside) => inside)
  }

  async function check(route: keyof EngineApi, input: unknown): Promise<void> {
    const { reads, writes, names, run } = BEARING[route] as Bearing<unknown>
    for (const id of run?.(input) ?? []) {
      if (/[/\\\0]|^\.\.?$/.test(id)) throw new LabError('INVALID_INPUT', `${route}: ${id} is no id of a run: name one that run.list gives`)
    }
    for (const [given, allowed] of [[reads, readable], [writes, writable], [names, usable]] as const) {
      for (const path of given?.(input) ?? []) {
        if (path === null || (await allowed(path))) continue
        throw new LabError('INVALID_INPUT', `${route}: ${path} lies outside the folders that are open here: start kvlab serve with --root FOLDER for it, and name it without ..`)
      }
    }
  }

  const confined = Object.keys(engineApi).map((name) => {
    const route = name as keyof EngineApi
    const handler = handlers[route] as (input: unknown, signal: AbortSignal) => Promise<unknown> | AsyncGenerator<unknown, unknown, void>
    const call = async (input: unknown, signal: AbortSignal): Promise<unknown> => {
      await check(route, input)
      return handler(input, signal)
    }
    const stream = async function* (input: unknown, signal: AbortSignal): AsyncGenerator<unknown, unknown, void> {
      await check(route, input)
      return yield* handler(input, signal) as AsyncGenerator<unknown, unknown, void>
    }
    return [route, engineApi[route].kind === 'call' ? call : stream]
  })
  const all = Object.fromEntries(confined) as Handlers<EngineApi>
  return {
    ...all,
    'folder.list': async ({ path }, signal) => {
      const listing = await all['folder.list']({ path: path ?? first }, signal)
      return listing.parent !== null && (await readable(listing.parent)) ? listing : { ...listing, parent: null }
    },
  }
}

/** The real path of a root. Throws LabError FILE_NOT_FOUND where it does not exist. */
async function rootOf(folder: string): Promise<string> {
  const real = await realpath(resolve(folder)).catch(() => null)
  if (real === null) throw new LabError('FILE_NOT_FOUND', `--root ${folder}: there is no such folder: name one that exists`)
  return real
}

/** Whether a path lies in one of the folders, which are real paths. */
function fence(roots: readonly string[]): (path: string) => Promise<boolean> {
  return async (path) => {
    // Before and behind a link `..` means two different folders: nobody needs to guess which one is meant.
    if (path.includes('\0') || path.split(/[/\\]/).includes('..')) return false
    // Some routes take `~` for the person's home folder, others for a name: it must lead to nothing outside either way.
    const places = await Promise.all([...new Set([resolve(path), absolutePath(path)])].map(realPath))
    return places.every((real) => real !== null && roots.some((root) => contains(root, real)))
  }
}

function contains(root: string, path: string): boolean {
  const way = relative(root, path)
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

/** Where a path leads when all links are followed, of what does not exist yet the part that does; null where that cannot be known. */
async function realPath(path: string): Promise<string | null> {
  try {
    return await realpath(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code !== 'ENOENT' && code !== 'ENOTDIR') return null
    // A link into the void: what is written through it would appear where it points to.
    if ((await lstat(path).catch(() => null)) !== null) return null
    const parent = dirname(path)
    if (parent === path) return null
    const above = await realPath(parent)
    return above === null ? null : join(above, basename(path))
  }
}
