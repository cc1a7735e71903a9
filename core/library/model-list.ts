import { realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { Progress } from '#core/contract/api.ts'
import type { ModelEntry, Origin } from '#core/contract/library.ts'
import { cachedRevisions, cachedSource } from '#core/hub/cache.ts'
import { usedModels } from './earlier-runs.ts'
import { searchFolders } from './folders.ts'
import { locateModel } from './locate.ts'
import { entryOf } from './model-entry.ts'
import { findModel, modelsIn, type ModelFolder } from './models.ts'
import { readSettings } from './settings.ts'
import type { Places } from './shelf.ts'

type Found = { readonly model: ModelFolder; readonly origin: Origin; readonly lacks: string | null }

/**
 * The demo model, those under `home/models`, in the Hugging Face cache and in the settings' folders, two levels deep, and those of earlier runs that are still there: one
 * entry a graph, whichever way it was found. What cannot be evaluated is listed with the reason. Throws LabError of `readSettings`.
 */
export async function* listModels(places: Places, signal: AbortSignal): AsyncGenerator<Progress, ModelEntry[], void> {
  const { home, cache } = places
  const found: Found[] = [{ model: await findModel('demo'), origin: 'embedded', lacks: null }]
  const { modelFolders } = await readSettings(home)
  const seen = new Set<string>()
  const search = async (root: string, origin: Origin): Promise<void> => {
    for (const { path, files } of await searchFolders(root, seen)) if (files.includes('config.json')) found.push(...(await graphsIn(path, origin)))
  }
  const steps = [
    () => search(join(home, 'models'), 'library'),
    async () => {
      const revisions = (await cachedRevisions(cache)).filter(({ kind }) => kind === 'model')
      // Of two commits with the same graph the one that a branch means is listed.
      for (const { folder } of revisions.sort((a, b) => b.refs.length - a.refs.length)) found.push(...(await graphsIn(folder, 'hub')))
    },
    ...modelFolders.map((root) => () => search(root, 'shared')),
    async () => {
      for (const { folder, file } of await usedModels(home)) found.push(...(await graphsIn(folder, 'used', file)).filter(({ model }) => model.onnxPath.endsWith(sep + file)))
    },
  ]
  for (const [done, step] of steps.entries()) {
    yield { phase: 'looking for models', done, total: steps.length }
    signal.throwIfAborted()
    await step()
  }
  const entries = new Map<string, ModelEntry>()
  for (const [done, { model, origin, lacks }] of found.entries()) {
    yield { phase: 'reading models', done, total: found.length, unit: 'models' }
    signal.throwIfAborted()
    const real = await realpath(model.onnxPath).catch(() => null)
    if (real !== null && !entries.has(real)) entries.set(real, await entryOf(model, origin, lacks))
  }
  return [...entries.values()]
}

/** The model that a person named by a path or a name of the library, `demo`, a folder or an `.onnx` file, as the list has it. Throws LabError of `locateModel`, `findModel` and `readSettings`. */
export async function modelEntry(places: Places, typed: string): Promise<ModelEntry> {
  if (typed === 'demo') return demoModel()
  const model = await findModel(await locateModel(places, typed))
  return entryOf(model, await originOf(places, model.onnxPath), null)
}

/** The embedded model, which is there whatever became of the library. */
export async function demoModel(): Promise<ModelEntry> {
  return entryOf(await findModel('demo'), 'embedded', null)
}

async function originOf({ home, cache }: Places, path: string): Promise<Origin> {
  if (path.startsWith(join(home, 'models') + sep)) return 'library'
  if (cachedSource(cache, path) !== null) return 'hub'
  return (await readSettings(home)).modelFolders.some((root) => path.startsWith(root + sep)) ? 'shared' : 'used'
}

async function graphsIn(folder: string, origin: Origin, named: string | null = null): Promise<Found[]> {
  const { models, lacks } = await modelsIn(folder, named).catch(() => ({ models: [], lacks: null }))
  return models.map((model) => ({ model, origin, lacks }))
}
