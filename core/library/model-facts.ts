import type { OnnxInfo } from '#core/contract/files.ts'
import type { ModelEntry } from '#core/contract/library.ts'
import { attentionOf, hasSoftCap, hasWindow } from '#core/onnx/attention.ts'
import type { OnnxModel } from '#core/onnx/model.ts'
import type { ModelConfig } from './model-config.ts'

type GraphFacts = Pick<ModelEntry, 'cache' | 'kvBytesPerToken' | 'weightsType' | 'vocab' | 'queryHeads' | 'attention' | 'slidingWindow' | 'edits' | 'notes'>

/**
 * What a graph and its configuration say together; either is null where it cannot be read. A sliding window is one that the graph has: numbers are of the graph,
 * and where it does otherwise than the model's own configuration, a note says so.
 */
export function graphFacts(graph: { model: OnnxModel; info: OnnxInfo } | null, config: ModelConfig | null): GraphFacts {
  if (!graph) return { cache: null, kvBytesPerToken: null, weightsType: null, vocab: config?.vocab ?? null, queryHeads: config?.queryHeads ?? null, attention: null, slidingWindow: null, edits: [], notes: [] }
  const { cache, weightsType, attention, edits, notes, outputs } = graph.info
  const width = outputs.find(({ name }) => name === 'logits')?.shape.at(-1)
  const { queryHeads, windows } = attentionOf(graph.model)
  const known = cache && config ? differences(graph.model, config) : { window: null, notes: [] }
  return {
    cache,
    kvBytesPerToken: cache && 2 * cache.layers * cache.kvHeads * cache.headDim * (cache.dtype === 'F16' ? 2 : 4),
    weightsType,
    vocab: typeof width === 'number' ? width : (config?.vocab ?? null),
    queryHeads: queryHeads ?? config?.queryHeads ?? null,
    attention,
    slidingWindow: known.window ?? windows.find((size) => size !== null) ?? null,
    edits,
    notes: [...notes, ...known.notes],
  }
}

/** The window of the configuration where the graph has it, and what the graph lacks or does otherwise. */
function differences(model: OnnxModel, config: ModelConfig): { window: number | null; notes: string[] } {
  const { window, windowed, softCaps, ropeSwitch } = config
  const notes: string[] = []
  const there = window !== null && hasWindow(model, window)
  if (window !== null && !there) notes.push(`config.json gives some layers a window of ${window} tokens, which was not found in the graph: beyond it, numbers are of this graph, which looks back to the first token`)
  const { windows } = attentionOf(model)
  const elsewhere = windowed?.length === windows.length && windows.some((size, layer) => (size !== null) !== windowed[layer])
  if (there && elsewhere) notes.push(`other layers have the window of ${window} tokens in this graph than in config.json: beyond it, numbers are of this graph`)
  for (const [what, cap] of [['attention scores', softCaps.attention], ['logits', softCaps.logits]] as const) {
    if (cap !== null && !hasSoftCap(model, cap)) notes.push(`config.json bounds its ${what} by ${cap} (soft cap), which was not found in the graph: its numbers are those of a model without that bound`)
  }
  if (ropeSwitch !== null) {
    notes.push(
      model.graph.node.some(({ opType }) => opType === 'If')
        ? `from ${ropeSwitch} tokens on it rotates keys by other factors (longrope): a cache made below does not fit a longer context, so keep --context within ${ropeSwitch}`
        : `the model rotates keys by other factors from ${ropeSwitch} tokens on (longrope), this graph does not: beyond, numbers are of this graph`,
    )
  }
  return { window: there ? window : null, notes }
}

/** What a model can be measured in. A model that cannot be evaluated at all has that as its reason. */
export function modesOf(attention: ModelEntry['attention'], unusable: string | null): ModelEntry['modes'] {
  const fused = attention === 'fused' ? 'its attention is one fused operator, inside which keys and values cannot be edited' : null
  return [
    { mode: 'handoff', reason: unusable },
    { mode: 'streaming', reason: unusable },
    { mode: 'in-pass', reason: unusable ?? fused },
  ]
}
