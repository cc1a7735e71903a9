import { scalarOf, tensorHead, type OnnxModel } from './model.ts'
import type { NodeProto } from './onnx_pb.ts'
import { producers } from './wiring.ts'

/** How a graph attends. Of fused nodes alone is known: `queryHeads`, and `windows`, the tokens that each node looks back, in the graph's order; null: all. */
export type GraphAttention = { readonly kind: 'plain' | 'fused'; readonly queryHeads: number | null; readonly windows: readonly (number | null)[] }

/** Operators that compute a whole attention, softmax and all. */
const FUSED = new Set(['GroupQueryAttention', 'MultiHeadAttention', 'Attention', 'DecoderMaskedMultiHeadAttention', 'PagedAttention', 'SparseAttention'])

export function attentionOf(model: OnnxModel): GraphAttention {
  const nodes = model.graph.node.filter(({ opType = '' }) => FUSED.has(opType))
  const first = nodes[0]
  if (!first) return { kind: 'plain', queryHeads: null, windows: [] }
  const windows = nodes.map((node) => {
    const size = integer(node, 'local_window_size')
    return size !== null && size > 0 ? size : null
  })
  return { kind: 'fused', queryHeads: integer(first, 'num_heads') ?? integer(first, 'q_num_heads'), windows }
}

/** Comparisons that make a mask of positions. */
const COMPARISONS = new Set(['Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'])
/** What lies between a position and its comparison without changing it. */
const SHAPING = new Set(['Unsqueeze', 'Reshape', 'Cast', 'Expand', 'Identity', 'Squeeze', 'Transpose'])

/** Whether the graph masks what is `window` or more tokens back: by an attribute of fused nodes, or a comparison of positions that lie so far apart. */
export function hasWindow(model: OnnxModel, window: number): boolean {
  if (attentionOf(model).windows.includes(window)) return true
  const made = producers(model)
  const numbers = scalars(model)
  return model.graph.node.filter(({ opType = '' }) => COMPARISONS.has(opType)).some(({ input }) =>
    input.some((name) => {
      let node = made.get(name)
      while (node && SHAPING.has(node.opType ?? '')) node = made.get(node.input[0] ?? '')
      return (node?.opType === 'Sub' || node?.opType === 'Add') && node.input.some((side) => Math.abs(numbers.get(side) ?? 0) === window)
    }),
  )
}

/** Whether the graph bounds values by `cap`: cap · tanh(x / cap), or the attribute of fused attention. */
export function hasSoftCap(model: OnnxModel, cap: number): boolean {
  const made = producers(model)
  const numbers = scalars(model)
  const same = (value: number | undefined): boolean => value !== undefined && Math.abs(value - cap) <= cap / 1000
  return model.graph.node.some((node) => {
    if (node.opType === 'Tanh') {
      const inner = made.get(node.input[0] ?? '')
      const factor = numbers.get(inner?.input[1] ?? '')
      return (inner?.opType === 'Div' && same(factor)) || (inner?.opType === 'Mul' && same(factor && 1 / factor))
    }
    return FUSED.has(node.opType ?? '') && same(node.attribute.find(({ name }) => name === 'softcap')?.f)
  })
}

/** The graph's constants of one number, by name. */
function scalars(model: OnnxModel): Map<string, number> {
  const found = new Map<string, number>()
  const add = (name: string, tensor: Uint8Array): void => {
    const value = scalarOf(tensor)
    if (value !== null) found.set(name, value)
  }
  for (const tensor of model.graph.initializer) add(tensorHead(tensor).name, tensor)
  for (const { opType, attribute, output } of model.graph.node) {
    const value = opType === 'Constant' ? attribute.find(({ name }) => name === 'value')?.t : undefined
    if (value) add(output[0] ?? '', value)
  }
  return found
}

function integer(node: NodeProto, name: string): number | null {
  const value = node.attribute.find((attribute) => attribute.name === name)?.i
  return value === undefined ? null : Number(value)
}
