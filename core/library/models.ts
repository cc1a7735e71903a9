import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Source } from '#core/contract/library.ts'
import type { ModelFacts } from '#core/contract/run.ts'
import { cachedSource } from '#core/hub/cache.ts'
import { graphFiles } from './graph-files.ts'
import { resourcesFolder } from './resources.ts'
import { recordedSource } from './source-record.ts'

/** A model in the Hugging Face ONNX layout; all paths are absolute. `onnxFiles` is the graph and its external data. */
export type ModelFolder = {
  readonly name: string
  readonly folder: string
  /** The repository and commit it came from; null where nobody knows. */
  readonly source: Source | null
  readonly onnxPath: string
  readonly onnxFiles: readonly string[]
  /** `q4` of `model_q4.onnx`; null for `model.onnx`, whose name says nothing. */
  readonly weights: string | null
  readonly configPath: string
  readonly tokenizerPath: string
}

/** What the opened graph and the model's configuration say of the facts of a run. */
export type GraphFacts = Pick<ModelFacts, 'kvDtype' | 'layers' | 'kvHeads' | 'headDim' | 'vocab' | 'rope'>

/**
 * The model of that name: `demo`, a folder, or one `.onnx` file in it; of a folder's graphs `model.onnx`, else the only one.
 * Throws LabError FILE_NOT_FOUND, INVALID_INPUT (several graphs to choose from) or MODEL_UNSUPPORTED (no graph).
 */
export async function findModel(name: string): Promise<ModelFolder> {
  const { folder, graph } = folderOf(name)
  const { models, graphsFolder, lacks } = await modelsIn(folder, graph)
  if (lacks !== null) throw new LabError('FILE_NOT_FOUND', lacks)
  return choose(graphsFolder, models, graph)
}

/** The folder of the model that is named so, and its graph's file name where the name says it. Neither need be there. */
export function folderOf(name: string): { folder: string; graph: string | null } {
  const path = name === 'demo' ? join(resourcesFolder(), 'models', 'kvlab-demo') : resolve(name)
  if (!path.endsWith('.onnx')) return { folder: path, graph: null }
  const parent = dirname(path)
  return { folder: basename(parent) === 'onnx' ? dirname(parent) : parent, graph: basename(path) }
}

/**
 * Every graph of a folder in the Hugging Face layout as a model, `model*.onnx` and the one `named`, by name; none where there is none. `lacks`: which file
 * beside them is missing that is needed, as a sentence. Throws LabError of file errors.
 */
export async function modelsIn(folder: string, named: string | null = null): Promise<{ models: ModelFolder[]; graphsFolder: string; lacks: string | null }> {
  const files = await list(folder)
  const missing = ['config.json', 'tokenizer.json', 'tokenizer_config.json'].find((file) => !files.includes(file))
  const lacks = missing === undefined ? null : `${folder} has no ${missing}: name a folder in the Hugging Face layout`
  const graphsFolder = files.includes('onnx') ? join(folder, 'onnx') : folder
  const snapshot = snapshotOf(folder)
  const source = snapshot ?? (await recordedSource(folder))
  const inside = await list(graphsFolder)
  const models = inside
    .filter((entry) => entry === named || /^model.*\.onnx$/.test(entry))
    .map((file) => ({
      name: snapshot?.repo ?? basename(folder),
      folder,
      source,
      onnxPath: join(graphsFolder, file),
      // External data is written beside the graph under its name: model.onnx_data, model.onnx_data_1, model.onnx.data.
      onnxFiles: inside.filter((entry) => entry.startsWith(file)).map((entry) => join(graphsFolder, entry)),
      weights: /^model_(.+)\.onnx$/.exec(file)?.[1] ?? null,
      configPath: join(folder, 'config.json'),
      tokenizerPath: join(folder, 'tokenizer.json'),
    }))
  return { models, graphsFolder, lacks }
}

/** The repository and commit that a folder is a snapshot of, by its place in a Hugging Face cache; null of any other folder. */
export function snapshotOf(folder: string): Source | null {
  const found = cachedSource(resolve(folder, '..', '..', '..'), join(folder, 'config.json'))
  return found && { repo: found.repo, commit: found.commit }
}

function choose(folder: string, models: readonly ModelFolder[], named: string | null): ModelFolder {
  const graphs = models.map(({ onnxPath }) => basename(onnxPath))
  if (graphs.length === 0) throw new LabError('MODEL_UNSUPPORTED', `${folder} has no model*.onnx: export the model to ONNX with its KV cache (Optimum: text-generation-with-past)`)
  if (named !== null && !graphs.includes(named)) throw new LabError('FILE_NOT_FOUND', `${folder} has no ${named}: it has ${graphs.join(', ')}`)
  const wanted = named ?? (graphs.includes('model.onnx') || graphs.length > 1 ? 'model.onnx' : graphs[0])
  const chosen = models[graphs.findIndex((graph) => graph === wanted)]
  if (chosen) return chosen
  throw new LabError('INVALID_INPUT', `${folder} has several models (${graphs.join(', ')}): choose one by its path, as in --model ${join(folder, graphs[0] ?? '')}`, { choices: graphs })
}

async function list(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    throw fileError(error, folder, 'read')
  }
}

/** The facts of a model that a result records, with the SHA-256 of every file that decides a number. Throws LabError of file errors. */
export async function modelFacts(model: ModelFolder, graph: GraphFacts): Promise<ModelFacts> {
  const files: ModelFacts['files'] = []
  for (const path of [model.configPath, ...(await graphFiles(model))]) {
    const { sha256, bytes } = await fileDigest(path)
    files.push({ path: relative(model.folder, path).replaceAll('\\', '/'), sha256, bytes })
  }
  const { kvDtype, layers, kvHeads, headDim, vocab, rope } = graph
  const tokenizerSha256 = (await fileDigest(model.tokenizerPath)).sha256
  return { name: model.name, folder: model.folder, revision: model.source?.commit ?? null, files, weights: model.weights, kvDtype, layers, kvHeads, headDim, vocab, rope, tokenizerSha256 }
}

/** Digests of this process by path, size and time of change: large weights are read once. */
const digests = new Map<string, string>()

/** SHA-256, in hex, and size of a file; remembered for as long as its size and time of change stay the same. Throws LabError of file errors. */
export async function fileDigest(path: string): Promise<{ sha256: string; bytes: number }> {
  try {
    const { size, mtimeMs } = await stat(path)
    const key = `${path}\n${size}\n${mtimeMs}`
    const known = digests.get(key)
    if (known !== undefined) return { sha256: known, bytes: size }
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
    const sha256 = hash.digest('hex')
    digests.set(key, sha256)
    return { sha256, bytes: size }
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}
