import { realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { Progress } from '#core/contract/api.ts'
import type { ModelEntry, Origin } from '#core/contract/library.ts'
import { usedModels } from './earlier-runs.ts'
import { absolutePath, searchFolders } from './folders.ts'
import { entryOf } from './model-entry.ts'
import { findModel, modelsIn, type ModelFolder } from './models.ts'
import { readSettings } from './settings.ts'

type Found = { readonly model: ModelFolder; readonly origin: Origin; readonly lacks: string | null }

/**
 * The demo model, those under `home/models` and the settings' folders, two levels deep, and those of earlier runs that are still there: one entry a graph,
 * whichever way it was found. What cannot be evaluated is listed with the reason. Throws LabError of `readSettings`.
 */
export async function* listModels(home: string, signal: AbortSignal): AsyncGenerator<Progress, ModelEntry[]> {
  const found: Found[] = [{ model: await findModel('demo'), origin: 'embedded', lacks: null }]
  const seen = new Set<string>()
  const roots = await modelRoots(home)
  for (const [done, root] of roots.entries()) {
    yield { phase: 'looking for models', done, total: roots.length }
    signal.throwIfAborted()
    for (const { path, files } of await searchFolders(root, seen)) if (files.includes('config.json')) found.push(...(await graphsIn(path, 'library')))
  }
  for (const { folder, file } of await usedModels(home)) found.push(...(await graphsIn(folder, 'used', file)).filter(({ model }) => model.onnxPath.endsWith(sep + file)))
  const entries = new Map<string, ModelEntry>()
  for (const [done, { model, origin, lacks }] of found.entries()) {
    yield { phase: 'reading models', done, total: found.length, unit: 'models' }
    signal.throwIfAborted()
    const real = await realpath(model.onnxPath).catch(() => null)
    if (real !== null && !entries.has(real)) entries.set(real, await entryOf(model, origin, lacks))
  }
  return [...entries.values()]
}

/** The model of a path that a person named, `demo`, a folder or an `.onnx` file, as the list has it. Throws LabError of `findModel` and `readSettings`. */
export async function modelEntry(home: string, typed: string): Promise<ModelEntry> {
  if (typed === 'demo') return entryOf(await findModel(typed), 'embedded', null)
  const model = await findModel(absolutePath(typed))
  const inside = (await modelRoots(home)).some((root) => model.onnxPath.startsWith(root + sep))
  return entryOf(model, inside ? 'library' : 'used', null)
}

async function modelRoots(home: string): Promise<string[]> {
  return [join(home, 'models'), ...(await readSettings(home)).modelFolders]
}

async function graphsIn(folder: string, origin: Origin, named: string | null = null): Promise<Found[]> {
  const { models, lacks } = await modelsIn(folder, named).catch(() => ({ models: [], lacks: null }))
  return models.map((model) => ({ model, origin, lacks }))
}
