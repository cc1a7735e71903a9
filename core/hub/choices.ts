import type { HubChoice, HubFile } from '#core/contract/hub.ts'
import { choiceOf, folderOf, nameOf } from './choice.ts'

/** More graphs than any repository has; each choice names all its files. */
const MAX_CHOICES = 500
/** What the weights become in memory, with what is computed beside them, over their size on disk: at the least. */
const MEMORY_OVER_WEIGHTS = 1.3

/** What a run reads beside a graph. */
const NEEDED = ['config.json', 'tokenizer.json', 'tokenizer_config.json']
/** Small files that belong to a model: what other programs read of it, its licence and its card. */
const BESIDE = /^(config|generation_config|genai_config|quantize_config|tokenizer.*|special_tokens_map|added_tokens|vocab|preprocessor_config|processor_config|chat_template.*)\.json$|^(vocab|merges)\.txt$|^.+\.model$|^chat_template.*\.jinja$|^(licen[cs]e|notice|use_policy).*$|^readme\.md$/i
/** Larger files are weights under another name. */
const MAX_BESIDE_BYTES = 200_000_000

/** Graphs that are part of a model only, by the beginning of their names, and why they cannot be run alone. */
const PARTS: readonly [RegExp, string][] = [
  [/^decoder_model_merged/, 'it wants to be told by use_cache_branch which of its two halves to run, which is not done here: take a model.onnx'],
  [/^decoder_with_past/, 'it is one half of a pair and cannot begin a text: take a model.onnx'],
  [/^(decoder_model|model_without_past)/, 'it has no KV cache to go on from: take a model.onnx'],
  [/^(encoder|decoder|embed|vision|audio|text_(encoder|model)|image|lm_head|prepare|vae|unet|vocoder|speech|codec)/, 'it is one part of a model that is made of several graphs'],
]

/** What weights are by what their files are called, in the order to begin with: small first, but what changes a model least among the small; floats last, being large. */
const WEIGHTS: readonly [RegExp, string][] = [
  [/^q4$/, 'int4 weights'],
  [/^q4f16$/, 'int4 weights, float16 else'],
  [/^fp16$/, 'float16 weights'],
  [/^bf16$/, 'bfloat16 weights'],
  [/^(int8|q8|quantized)$/, 'int8 weights'],
  [/^uint8$/, 'uint8 weights'],
  [/^q8f16$/, 'int8 weights, float16 else'],
  [/^bnb4$/, '4-bit weights of bitsandbytes'],
  [/^fp32$/, 'weights as exported, float32 mostly'],
]

/** Every graph of a model's repository with all that a run of it reads, the one to begin with first. `memoryBytes`: what this machine has in all. */
export function modelChoices(files: readonly HubFile[], memoryBytes: number): HubChoice[] {
  const graphs = files.filter(({ path }) => path.endsWith('.onnx'))
  const names = namesOf(graphs.map(({ path }) => path))
  return graphs
    .map((graph, i) => ({ choice: choiceFor(graph, names[i] ?? graph.path, files, memoryBytes), rank: rankOf(graph.path) }))
    .sort((a, b) => Number(a.choice.unusable !== null) - Number(b.choice.unusable !== null) || a.rank - b.rank || a.choice.bytes - b.choice.bytes)
    .slice(0, MAX_CHOICES)
    .map(({ choice }) => choice)
}

function choiceFor(graph: HubFile, name: string, files: readonly HubFile[], memoryBytes: number): HubChoice {
  const folder = folderOf(graph.path)
  // The layout of Hugging Face: graphs in `onnx`, all else above it.
  const home = nameOf(folder) === 'onnx' ? folderOf(folder) : folder
  const weights = files.filter(({ path }) => path === graph.path || isDataOf(path, graph.path))
  const beside = files.filter(({ path, bytes }) => folderOf(path) === home && BESIDE.test(nameOf(path)) && bytes <= MAX_BESIDE_BYTES)
  const part = PARTS.find(([pattern]) => pattern.test(nameOf(graph.path)))
  const missing = NEEDED.find((needed) => !beside.some(({ path }) => nameOf(path) === needed))
  const unusable = part?.[1] ?? (missing === undefined ? memoryLack(weights, memoryBytes) : `the repository has no ${missing} ${home === '' ? 'at its top' : `in ${home}`}, which a run needs`)
  return choiceOf({ name, main: graph.path, files: [...weights, ...beside], type: typeOf(graph.path), unusable })
}

function memoryLack(weights: readonly HubFile[], memoryBytes: number): string | null {
  const needs = weights.reduce((sum, { bytes }) => sum + bytes, 0) * MEMORY_OVER_WEIGHTS
  return needs > memoryBytes ? `it needs about ${gigabytes(needs)} GB of memory and this machine has ${gigabytes(memoryBytes)} GB` : null
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1)
}

/** External data is written beside the graph under its name: model.onnx_data, model.onnx_data_1, model.onnx.data. */
function isDataOf(path: string, graph: string): boolean {
  return path.startsWith(graph) && /^[._]data([._]\d+)?$/.test(path.slice(graph.length))
}

/** The weights of `model_q4.onnx`, `q4`, and of `model.onnx`, `fp32`; null of any other name. */
function weightsOf(path: string): string | null {
  const match = /^model(?:_(.+))?\.onnx$/.exec(nameOf(path))
  return match ? (match[1] ?? 'fp32') : null
}

/** Names that tell all graphs apart: their weights where they lie at the top or in `onnx`, as nearly all do, else their paths. */
function namesOf(graphs: readonly string[]): string[] {
  const short = graphs.map((path) => (['', 'onnx'].includes(folderOf(path)) ? weightsOf(path) : null))
  return graphs.map((path, i) => {
    const name = short[i] ?? null
    return name !== null && short.indexOf(name) === short.lastIndexOf(name) ? name : path.slice(0, -'.onnx'.length)
  })
}

function rankOf(path: string): number {
  const weights = weightsOf(path) ?? ''
  const rank = WEIGHTS.findIndex(([pattern]) => pattern.test(weights))
  return rank === -1 ? WEIGHTS.length : rank
}

function typeOf(path: string): string {
  const weights = weightsOf(path)
  const known = WEIGHTS.find(([pattern]) => pattern.test(weights ?? ''))
  // Of a name that says more: `cpu-int4-rtn-block-32`.
  const bits = /(?:^|[-_/.])(?:u?int|q)(\d)(?=[-_/.f]|$)/.exec(weights === null || weights === 'fp32' ? path : weights)?.[1]
  if (bits !== undefined && (known === undefined || weights === 'fp32')) return `int${bits} weights`
  return known?.[1] ?? 'weights of unknown type'
}
