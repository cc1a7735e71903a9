import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileError, openFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { ModelEntry, Origin } from '#core/contract/library.ts'
import { describeModel } from '#core/onnx/describe.ts'
import { tensorHead, type OnnxModel } from '#core/onnx/model.ts'
import { readGraphHead } from './graph-head.ts'
import type { ModelFolder } from './models.ts'

/** What the files of a model say of it. */
type FileFacts = Omit<ModelEntry, 'name' | 'path' | 'origin' | 'weights'>

/** A model as the pages list it; `lacks`: what is known to be missing beside its files. Damaged files make it unusable; only defects are thrown. */
export async function entryOf(model: ModelFolder, origin: Origin, lacks: string | null): Promise<ModelEntry> {
  const facts = await knownFacts(model)
  return { name: model.name, path: origin === 'embedded' ? 'demo' : model.onnxPath, origin, weights: model.weights, ...facts, unusable: lacks ?? facts.unusable }
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
  const sizes = new Map<string, number>()
  for (const path of model.onnxFiles) sizes.set(path, (await sizeOf(path)) ?? 0)
  const facts: FileFacts = { bytes: 0, cache: null, kvBytesPerToken: null, contextLimit: null, family: null, unusable: null, edits: [], notes: [] }
  const faults: string[] = []
  try {
    const graph = await readHead(model.onnxPath)
    const { cache, unusable, edits, notes } = describeModel(graph, model.onnxPath, 0)
    Object.assign(facts, { cache, edits, notes, kvBytesPerToken: cache && 2 * cache.layers * cache.kvHeads * cache.headDim * (cache.dtype === 'F16' ? 2 : 4) })
    if (unusable !== null) faults.push(unusable)
    for (const { path, least } of externalData(graph, dirname(model.onnxPath))) {
      const size = await sizeOf(path)
      if (size !== null) sizes.set(path, size)
      if (size === null) faults.push(`its weights ${basename(path)} are missing: get the file and put it beside ${basename(model.onnxPath)}`)
      else if (size < least) faults.push(`its weights ${basename(path)} have ${size} of at least ${least} bytes: get the file again`)
    }
  } catch (error) {
    faults.push(messageOf(error))
  }
  try {
    Object.assign(facts, await readConfig(model.configPath))
  } catch (error) {
    faults.push(messageOf(error))
  }
  facts.bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  return { ...facts, unusable: faults[0] ?? null }
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

/** What the pages show of a model's config.json; null where it is silent. Throws LabError MODEL_BROKEN. */
async function readConfig(path: string): Promise<Pick<ModelEntry, 'contextLimit' | 'family'>> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  const { max_position_embeddings: limit, model_type: family } = parsed(text, path)
  return { contextLimit: typeof limit === 'number' && Number.isSafeInteger(limit) && limit > 0 ? limit : null, family: typeof family === 'string' ? family : null }
}

function parsed(text: string, path: string): Record<string, unknown> {
  try {
    const document: unknown = JSON.parse(text)
    if (typeof document === 'object' && document !== null) return document as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw new LabError('MODEL_BROKEN', `${path} is not a JSON object: get the file again`)
}

async function sizeOf(path: string): Promise<number | null> {
  return (await stat(path).catch(() => null))?.size ?? null
}

function messageOf(error: unknown): string {
  if (error instanceof LabError) return error.message
  throw error
}
