import { lstat, realpath } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import type { z } from 'zod'
import { engineApi, type EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Handlers } from '#core/contract/rpc.ts'

type Input<K extends keyof EngineApi> = z.output<EngineApi[K]['input']>
type Given = string | null
/** What of an input is a path, and what is the id of a run, which is the name of a folder in the library. */
type Bearing<I> = { paths?: (input: I) => readonly Given[]; run?: (input: I) => readonly string[] }

/** A model or text by its path; the words for what is built in are none. */
const named = (name: string): Given => (name === 'demo' ? null : name)
const ofSpec = ({ model, data }: { model: string; data: string }): Given[] => [named(model), named(data)]
const ofRun = { run: ({ id }: { id: string }): string[] => [id] }

/** For each route what in its input leads to a file. A new route does not compile until it stands here. */
const BEARING: { [K in keyof EngineApi]: Bearing<Input<K>> } = {
  'engine.info': {},
  'method.list': {},
  'settings.read': {},
  'settings.write': { paths: ({ modelFolders, dataFolders }) => [...modelFolders, ...dataFolders] },
  'spec.defaults': {},
  'folder.list': { paths: ({ path }) => [path] },
  'file.inspect': { paths: ({ path }) => [path] },
  'file.histogram': { paths: ({ path }) => [path] },
  'file.metrics': { paths: ({ before, after }) => [before, after] },
  'model.list': {},
  'model.inspect': { paths: ({ path }) => [named(path)] },
  'data.list': {},
  'data.inspect': { paths: ({ path }) => [named(path)] },
  'kv.extract': { paths: (input) => [...ofSpec(input), input.output] },
  'kv.compress': { paths: ({ input, output }) => [input, output] },
  'kv.decompress': { paths: ({ input, output }) => [input, output] },
  'perplexity.measure': { paths: ofSpec },
  'run.plan': { paths: ofSpec },
  'run.start': { paths: ({ spec, out }) => [...ofSpec(spec), out] },
  'run.resume': { paths: (input) => ('folder' in input ? [input.folder] : []), run: (input) => ('id' in input ? [input.id] : []) },
  'run.open': { paths: ({ folder }) => [folder] },
  'run.list': {},
  'run.activity': {},
  'run.watch': ofRun,
  'run.pause': ofRun,
  'run.continue': ofRun,
  'run.cancel': ofRun,
  'run.notes': ofRun,
  'run.compare': { run: ({ ids }) => ids },
  'run.tokens': ofRun,
  'run.validate': { paths: ({ spec, out, baseline }) => [...ofSpec(spec), out, baseline] },
  'report.render': { paths: ({ folder }) => [folder] },
  'doctor.run': {},
}

/**
 * The same handlers, that refuse every path outside the `roots` with LabError INVALID_INPUT before anything is read. Links are followed first. The library's
 * `home` is a root too. A chooser begins at the first root and does not climb out of one. Relative paths are those of this process, and the engine's
 * must be the same.
 */
export async function confine(handlers: Handlers<EngineApi>, roots: readonly string[], home: string): Promise<Handlers<EngineApi>> {
  const inside = await fence([...roots, home])
  const first = resolve(roots[0] ?? home)

  async function check(route: keyof EngineApi, input: unknown): Promise<void> {
    const { paths, run } = BEARING[route] as Bearing<unknown>
    for (const id of run?.(input) ?? []) {
      if (/[/\\\0]|^\.\.?$/.test(id)) throw new LabError('INVALID_INPUT', `${route}: ${id} is no id of a run: name one that run.list gives`)
    }
    for (const path of paths?.(input) ?? []) {
      if (path === null || (await inside(path))) continue
      throw new LabError('INVALID_INPUT', `${route}: ${path} lies outside the folders that are open here: start kvlab serve with --root FOLDER for it, and name it without ..`)
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
      return listing.parent !== null && (await inside(listing.parent)) ? listing : { ...listing, parent: null }
    },
  }
}

/** Whether a path lies in one of the folders. Throws LabError where a root does not exist. */
async function fence(folders: readonly string[]): Promise<(path: string) => Promise<boolean>> {
  const roots = await Promise.all(
    folders.map(async (folder) => {
      const real = await realpath(resolve(folder)).catch(() => null)
      if (real === null) throw new LabError('FILE_NOT_FOUND', `--root ${folder}: there is no such folder: name one that exists`)
      return real
    }),
  )
  return async (path) => {
    // Before and behind a link `..` means two different folders: nobody needs to guess which one is meant.
    if (path.includes('\0') || path.split(/[/\\]/).includes('..')) return false
    const real = await realPath(resolve(path))
    return real !== null && roots.some((root) => contains(root, real))
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
