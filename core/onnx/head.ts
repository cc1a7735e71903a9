import { value } from './build.ts'
import { elementType, namesRead, tensorHead, type ElementType, type OnnxModel } from './model.ts'
import { needed, producers, subgraph } from './wiring.ts'
import type { NodeProto } from './onnx_pb.ts'

/** Why an edit does not apply to a graph, in words that complete "cannot be split: …". */
export type Refusal = { readonly reason: string }

/**
 * A model cut before its LM head. `body`: everything but `logits`, and the last hidden states `[batch, tokens, width]` under the name `hidden`;
 * `head`: logits `[batch, tokens, vocab]` from hidden states, token by token.
 */
export type SplitModel = { readonly body: OnnxModel; readonly head: OnnxModel; readonly hidden: string; readonly hiddenType: 'F32' | 'F16' }

/** A cut is looked for no further than this many nodes before the logits: an LM head has a handful. */
const MAX_HEAD_NODES = 40

/**
 * Cut before the LM head: at the value nearest to `logits` behind which nothing but weights goes into them, the matrix of the vocabulary among these.
 * A prefill then runs the body alone, and the head runs on as many rows at a time as memory allows.
 */
export function splitHead(model: OnnxModel): SplitModel | Refusal {
  const logits = model.graph.output.find(({ name }) => name === 'logits')
  if (!logits) return { reason: 'it gives no logits' }
  const dependent = dependentValues(model)
  const weightBytes = new Map(model.graph.initializer.map((tensor) => tensorHead(tensor)).map(({ name, bytes }) => [name, bytes ?? 0]))
  const largest = Math.max(0, ...weightBytes.values())
  const behind = needed(model, ['logits']).nodes.filter(({ output }) => output.some((name) => dependent.has(name)))
  const candidates = behind.slice(-MAX_HEAD_NODES).reverse().flatMap(({ output }) => output.filter((name) => dependent.has(name) && name !== 'logits'))
  for (const hidden of candidates) {
    const { read } = needed(model, ['logits'], new Set([hidden]))
    if ([...read].some((name) => name !== hidden && model.graph.input.some((input) => input.name === name && !weightBytes.has(name)))) continue
    // Only constants besides the hidden states: a cut. The matrix of the vocabulary is among the largest weights of every model.
    if (![...read].some((name) => (weightBytes.get(name) ?? 0) * HEAD_SHARE >= largest)) continue
    const type = valueType(model, hidden)
    if (type !== 'F32' && type !== 'F16') return { reason: `the type of its hidden states ${hidden} cannot be told from the graph` }
    const info = value(hidden, type, ['batch', 'tokens', 'width'])
    const body = subgraph(model, model.graph.input, [info, ...model.graph.output.filter(({ name }) => name !== 'logits')])
    return { body, head: subgraph(model, [info], [logits]), hidden, hiddenType: type }
  }
  return { reason: 'nothing but the last hidden states and a weight matrix should go into its logits, and more does' }
}

/** Weights of the head are at least this part of the largest: enough to tell a vocabulary's matrix from a norm's vector. */
const HEAD_SHARE = 64

/** The values that depend on what is fed; nodes stand in the order in which they can run, as ONNX asks. */
function dependentValues(model: OnnxModel): Set<string> {
  const weights = new Set(model.graph.initializer.map((tensor) => tensorHead(tensor).name))
  const dependent = new Set(model.graph.input.flatMap(({ name = '' }) => (weights.has(name) ? [] : [name])))
  for (const node of model.graph.node) if (namesRead(node).some((name) => dependent.has(name))) for (const name of node.output) dependent.add(name)
  return dependent
}

/** Element type of a value: as declared, or followed through operators that keep the type of their first input. */
function valueType(model: OnnxModel, name: string): ElementType {
  const byOutput = producers(model)
  const declared = new Map([...model.graph.input, ...model.graph.output, ...model.graph.valueInfo].map((value) => [value.name ?? '', elementType(value.type?.tensorType?.elemType)]))
  for (const tensor of model.graph.initializer) {
    const { name: weight, dtype } = tensorHead(tensor)
    declared.set(weight, dtype)
  }
  const seen = new Set<string>()
  for (let at = name; !seen.has(at); ) {
    seen.add(at)
    const known = declared.get(at) ?? 'UNKNOWN'
    if (known !== 'UNKNOWN') return known
    const node = byOutput.get(at)
    if (!node) return 'UNKNOWN'
    if (node.opType === 'Cast') return elementType(Number(node.attribute.find((attribute) => attribute.name === 'to')?.i ?? 0))
    const next = typeSource(node)
    if (next === undefined) return 'UNKNOWN'
    at = next
  }
  return 'UNKNOWN'
}

/** Operators whose result has the type of one input, and which; their weights and scales are of the same type. */
const TYPE_FROM: Readonly<Record<string, number>> = {
  Mul: 1, Add: 1, Sub: 1, Div: 1, MatMul: 1, Gemm: 1, LayerNormalization: 1, SimplifiedLayerNormalization: 1, SkipLayerNormalization: 2,
  SkipSimplifiedLayerNormalization: 2, RMSNormalization: 1, MatMulNBits: 2, Identity: 0, Reshape: 0, Transpose: 0, Slice: 0, Gather: 0, DequantizeLinear: 1,
}

function typeSource({ opType = '', input }: NodeProto): string | undefined {
  const which = TYPE_FROM[opType]
  return which === undefined ? undefined : input[which]
}
