import { readdir, rm, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeFolder, openFile, replaceFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { fileDigest, type ModelFolder } from '#core/library/models.ts'
import { splitHead, type Refusal } from '#core/onnx/head.ts'
import { withMetrics } from '#core/onnx/metrics.ts'
import { MAX_GRAPH_BYTES, readModel, tensorHead, writeModel } from '#core/onnx/model.ts'
import type { GraphSource } from './runtime.ts'

/** The two parts of an edited model: everything up to the last hidden states, and the LM head with its metrics. `kept`: the folder of an earlier start that they come from, null where they were made just now. */
export type SplitSources = { readonly body: GraphSource; readonly head: GraphSource; readonly kept: string | null }

/** Changes with the edits: a folder of edited graphs holds what one version of them made of one graph. */
const EDITS = 'split-1'
/** Edited graphs of so many models are kept; a graph that holds its own weights is as large as the model. */
const KEPT_MODELS = 8

/**
 * A model's graph cut before its LM head. `folder` keeps the edited graphs of models by the hash of their graph (null: edited anew, in memory);
 * the model's own folder is never written. A reason where the cut cannot be made: the graph must then run whole.
 */
export async function splitSources(model: ModelFolder, vocab: number | null, folder: string | null): Promise<SplitSources | Refusal> {
  const at = folder === null ? null : join(folder, `${(await fileDigest(model.onnxPath)).sha256.slice(0, 24)}-${EDITS}`)
  if (at !== null && (await isThere(at))) return { ...sources(model, at, null), kept: at }
  const parts = await edit(model, vocab)
  if ('reason' in parts) return parts
  const inMemory = (): SplitSources => ({ ...sources(model, null, parts), kept: null })
  if (at === null || parts.external) return inMemory()
  try {
    await makeFolder(at)
    await replaceFile(join(at, 'body.onnx'), parts.body)
    // Last: where it is, the other is whole.
    await replaceFile(join(at, 'head.onnx'), parts.head)
    await dropOldest(dirname(at))
    return { ...sources(model, at, null), kept: null }
  } catch (error) {
    // A full or read-only disk costs time at the next start and nothing else.
    if (error instanceof LabError) return inMemory()
    throw error
  }
}

type Parts = { readonly body: Uint8Array[]; readonly head: Uint8Array[] }

/** Both parts; `external` where weights lie beside the graph: the parts then are small, and must be opened from memory to find those weights. */
async function edit(model: ModelFolder, vocab: number | null): Promise<(Parts & { external: boolean }) | Refusal> {
  const source = await openFile(model.onnxPath)
  try {
    if (source.size >= MAX_GRAPH_BYTES) return { reason: 'its file is larger than a graph can be' }
    const graph = readModel(await source.read(0, source.size), model.onnxPath)
    const split = splitHead(graph)
    if ('reason' in split) return split
    const width = Number(split.head.graph.output[0]?.type?.tensorType?.shape?.dim.at(-1)?.dimValue ?? vocab ?? 0)
    if (width === 0) return { reason: 'neither it nor config.json says how many tokens its vocabulary has' }
    const head = withMetrics(split.head, width)
    if ('reason' in head) return head
    return { body: writeModel(split.body), head: writeModel(head), external: graph.graph.initializer.some((tensor) => tensorHead(tensor).external !== null) }
  } catch (error) {
    // ONNX Runtime will say what is wrong with a file that cannot be read.
    if (error instanceof LabError) return { reason: error.message }
    throw error
  } finally {
    await source.close()
  }
}

function sources(model: ModelFolder, at: string | null, parts: Parts | null): Pick<SplitSources, 'body' | 'head'> {
  const part = (name: 'body' | 'head'): GraphSource => {
    if (parts) return { name: model.onnxPath, bytes: Buffer.concat(parts[name]), folder: dirname(model.onnxPath) }
    return { name: model.onnxPath, path: join(at ?? '', `${name}.onnx`) }
  }
  return { body: part('body'), head: part('head') }
}

/** Whether the edited graphs are there; looking at them keeps them from being the oldest. */
async function isThere(at: string): Promise<boolean> {
  const head = join(at, 'head.onnx')
  if (!(await stat(head).catch(() => null))) return false
  await utimes(head, new Date(), new Date()).catch(() => undefined)
  return true
}

async function dropOldest(folder: string): Promise<void> {
  const entries = await readdir(folder)
  const times = await Promise.all(entries.map(async (name) => ({ name, time: (await stat(join(folder, name, 'head.onnx')).catch(() => null))?.mtimeMs ?? Date.now() })))
  for (const { name } of times.sort((a, b) => b.time - a.time).slice(KEPT_MODELS)) await rm(join(folder, name), { recursive: true, force: true })
}
