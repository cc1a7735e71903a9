import { LabError } from '#core/contract/errors.ts'

/** A graph's input or output as ONNX Runtime describes it; symbolic dimensions are strings, what is no tensor has the type `none`. */
export type GraphValue = { readonly name: string; readonly type: string; readonly shape: readonly (number | string)[] }

/** A causal language model with a KV cache, as its graph describes itself: names of one key and one value per layer, in and out. */
export type KvGraph = {
  readonly layers: number
  readonly kvHeads: number
  readonly headDim: number
  readonly kvDtype: 'F32' | 'F16'
  /** null where the graph names the dimension instead of giving it. */
  readonly vocab: number | null
  readonly hasPositionIds: boolean
  /** An input that says of how many last tokens logits are wanted, 0 for all, and its shape; null where there is none. */
  readonly logitsToKeep: { readonly name: string; readonly shape: readonly number[] } | null
  readonly past: readonly LayerNames[]
  readonly present: readonly LayerNames[]
}
export type LayerNames = { readonly key: string; readonly value: string }

const DTYPES: Record<string, 'F32' | 'F16'> = { float32: 'F32', float16: 'F16' }

/**
 * Read a graph's inputs and outputs: `input_ids`, `attention_mask`, optionally `position_ids`, `past….N.key|value` in, `logits` and `present….N.key|value` out.
 * Throws LabError MODEL_UNSUPPORTED naming what `path` lacks or has too much.
 */
export function readGraph(path: string, inputs: readonly GraphValue[], outputs: readonly GraphValue[]): KvGraph {
  const refuse = (reason: string): LabError => new LabError('MODEL_UNSUPPORTED', `${path} cannot be evaluated: ${reason}`, { reason })
  const past = byLayer('past', inputs)
  const present = byLayer('present', outputs)
  if (past.length === 0) throw refuse('it takes no KV cache (no past_key_values inputs); export it with one (Optimum: text-generation-with-past)')
  if (present.length === 0) throw refuse('it gives no KV cache (no present outputs); export it with one (Optimum: text-generation-with-past)')
  const names = (layers: readonly Partial<Record<string, GraphValue>>[]): LayerNames[] =>
    layers.map(({ key, value }, layer) => {
      if (!key || !value) throw refuse(`layer ${layer} has no key or no value in its KV cache`)
      return { key: key.name, value: value.name }
    })
  const pastNames = names(past)
  const presentNames = names(present)
  if (past.length !== present.length) throw refuse(`it takes the KV cache of ${past.length} layers and gives that of ${present.length}`)

  if (inputs.some(({ name }) => name === 'use_cache_branch')) throw refuse('it is two graphs in one, with and without a cache (use_cache_branch): take an export with one, model.onnx')
  const taken = new Set([...TOKEN_INPUTS, ...LOGITS_TO_KEEP, ...pastNames.flatMap(({ key, value }) => [key, value])])
  const unknown = inputs.filter(({ name }) => !taken.has(name))
  if (unknown.length > 0) throw refuse(`what to feed to its input ${unknown.map(({ name }) => name).join(', ')} is not known`)
  if (!inputs.some(({ name }) => name === 'input_ids')) throw refuse('it has no input_ids')
  for (const { name, type } of inputs) if ([...TOKEN_INPUTS, ...LOGITS_TO_KEEP].includes(name) && type !== 'int64') throw refuse(`its ${name} are ${type}, not int64`)
  const logits = outputs.find(({ name }) => name === 'logits')
  if (!logits) throw refuse('it gives no logits')
  if (DTYPES[logits.type] === undefined) throw refuse(`its logits are ${logits.type}; float32 and float16 are supported`)

  const values = [...past, ...present].flatMap(({ key, value }) => (key && value ? [key, value] : []))
  const { type, heads, dim } = sameShape(values, refuse)
  const kvDtype = DTYPES[type]
  if (kvDtype === undefined) throw refuse(`its KV cache is ${type}; float32 and float16 are supported`)
  const width = logits.shape.at(-1)
  return {
    layers: past.length,
    kvHeads: heads,
    headDim: dim,
    kvDtype,
    vocab: typeof width === 'number' ? width : null,
    hasPositionIds: inputs.some(({ name }) => name === 'position_ids'),
    logitsToKeep: logitsToKeep(inputs, refuse),
    past: pastNames,
    present: presentNames,
  }
}

/** What every token has one of. */
const TOKEN_INPUTS = ['input_ids', 'attention_mask', 'position_ids']
/** Names by which exports of transformers.js and of transformers ask for the logits of the last tokens alone. */
const LOGITS_TO_KEEP = ['num_logits_to_keep', 'logits_to_keep']

function logitsToKeep(inputs: readonly GraphValue[], refuse: (reason: string) => LabError): KvGraph['logitsToKeep'] {
  const input = inputs.find(({ name }) => LOGITS_TO_KEEP.includes(name))
  if (!input) return null
  if (input.shape.length > 1 || input.shape.some((size) => typeof size === 'number' && size !== 1)) throw refuse(`its ${input.name} is [${input.shape.join(', ')}], not one number`)
  return { name: input.name, shape: input.shape.length === 0 ? [] : [1] }
}

/** Values named like `past_key_values.3.key`, by layer; the word before the number may vary with the exporter. */
function byLayer(word: string, values: readonly GraphValue[]): Partial<Record<string, GraphValue>>[] {
  const layers: Partial<Record<string, GraphValue>>[] = []
  for (const value of values) {
    const [, layer, side] = new RegExp(`^${word}[a-z_]*\\.(\\d{1,4})\\.(key|value)$`).exec(value.name) ?? []
    if (layer === undefined || side === undefined) continue
    while (layers.length <= Number(layer)) layers.push({})
    Object.assign(layers[Number(layer)] ?? {}, { [side]: value })
  }
  return layers
}

/** The dtype, heads and head size that all parts of the cache share. An output may leave heads and head size open. */
function sameShape(values: readonly GraphValue[], refuse: (reason: string) => LabError): { type: string; heads: number; dim: number } {
  const [first] = values
  const [, heads, , dim] = first?.shape ?? []
  if (!first || typeof heads !== 'number' || typeof dim !== 'number' || first.shape.length !== 4) {
    throw refuse(`its ${first?.name ?? 'KV cache'} is not [batch, heads, tokens, head size] with fixed heads and head size`)
  }
  for (const { name, type, shape } of values) {
    const differs = (size: number | string | undefined, expected: number): boolean => typeof size === 'number' && size !== expected
    if (shape.length !== 4 || differs(shape[1], heads) || differs(shape[3], dim)) throw refuse(`${name} has another shape than ${first.name}; layers must be alike`)
    if (type !== first.type) throw refuse(`${name} is ${type} and ${first.name} ${first.type}; the KV cache must have one dtype`)
  }
  return { type: first.type, heads, dim }
}
