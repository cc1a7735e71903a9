import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { openFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { ModelEntry, Origin } from '#core/contract/library.ts'
import { describeModel } from '#core/onnx/describe.ts'
import { tensorHead, type OnnxModel } from '#core/onnx/model.ts'
import { readGraphHead } from './graph-head.ts'
import { readConfig } from './model-config.ts'
import { graphFacts, modesOf } from './model-facts.ts'
import type { ModelFolder } from './models.ts'

/** What the files of a model say of it. */
type FileFacts = Omit<ModelEntry, 'name' | 'path' | 'origin' | 'source' | 'weights' | 'modes'>

/** A model as the pages list it; `lacks`: what is known to be missing beside its files. Damaged files make it unusable; only defects are thrown. */
export async function entryOf(model: ModelFolder, origin: Origin, lacks: string | null): Promise<ModelEntry> {
  const facts = await knownFacts(model)
  const unusable = lacks ?? facts.unusable
  return { name: model.name, path: origin === 'embedded' ? 'demo' : model.onnxPath, origin, source: model.source, weights: model.weights, ...facts, unusable, modes: modesOf(facts.attention, unusable) }
}

/** Facts of this process by graph, with sizes and times of change of the files that they came from. */
const known = new Map<string, { stamp: string; facts: FileFacts }>()

async function knownFacts(model: ModelFolder): Promise<FileFacts> {
  const stamps = await Promise.all([model.configPath, ...model.onnxFiles].map(stampOf))
  const stamp = stamps.join('\n')
  const before = known.get(model.onnxPath)
  if (before?.stamp === stamp) return before.facts
  const facts = await readFacts(model)
  // Weights that lie under another name are not in the stamp: whether they are there is looked at anew until they are.
  if (facts.unusable === null) known.set(model.onnxPath, { stamp, facts })
  return facts
}

async function stampOf(path: string): Promise<string> {
  const facts = await stat(path).catch(() => null)
  return `${path} ${facts?.size ?? 'missing'} ${facts?.mtimeMs ?? ''}`
}

async function readFacts(model: ModelFolder): Promise<FileFacts> {
  const path = model.onnxPath
  const sizes = new Map<string, number>()
  for (const path of model.onnxFiles) sizes.set(path, (await sizeOf(path)) ?? 0)
  const faults: string[] = []
  const attempt = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work()
    } catch (error) {
      faults.push(messageOf(error))
      return null
    }
  }
  const graph = await attempt(async () => {
    const model = await readHead(path)
    return { model, info: describeModel(model, path, 0) }
  })
  if (graph?.info.unusable) faults.push(graph.info.unusable)
  for (const { path: data, least } of graph ? externalData(graph.model, dirname(path)) : []) {
    const size = await sizeOf(data)
    if (size !== null) sizes.set(data, size)
    if (size === null) faults.push(`its weights ${basename(data)} are missing: get the file and put it beside ${basename(path)}`)
    else if (size < least) faults.push(`its weights ${basename(data)} have ${size} of at least ${least} bytes: get the file again`)
  }
  const config = await attempt(() => readConfig(model.configPath))
  return {
    bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0),
    ...graphFacts(graph, config),
    contextLimit: config?.maxPositions ?? null,
    family: config?.family ?? null,
    rope: config?.ropeWords ?? null,
    unusable: faults[0] ?? null,
  }
}

async function readHead(path: string): Promise<OnnxModel> {
  const source = await openFile(path)
  try {
    return await readGraphHead(source, path)
  } finally {
    await source.close()
  }
}

/** The files beside a graph that hold its weights, and how many bytes each must have. */
function externalData(graph: OnnxModel, folder: string): { path: string; least: number }[] {
  const files = new Map<string, number>()
  for (const tensor of graph.graph.initializer) {
    const { external, bytes } = tensorHead(tensor)
    if (external) files.set(external.location, Math.max(files.get(external.location) ?? 0, external.offset + (external.length ?? bytes ?? 0)))
  }
  return [...files].map(([location, least]) => ({ path: join(folder, location), least }))
}

async function sizeOf(path: string): Promise<number | null> {
  return (await stat(path).catch(() => null))?.size ?? null
}

function messageOf(error: unknown): string {
  if (error instanceof LabError) return error.message
  throw error
}
