import type { Refusal } from './head.ts'
import type { KvGraph } from './kv-graph.ts'
import { namesRead, scalarOf, tensorHead, type OnnxModel } from './model.ts'
import type { NodeProto } from './onnx_pb.ts'
import { needed, producers } from './wiring.ts'

/** Operators through which keys pass on their way to the product with the queries. */
const ON_THE_WAY = new Set(['Transpose', 'Unsqueeze', 'Squeeze', 'Expand', 'Reshape', 'Cast', 'Identity', 'Mul', 'Div'])

/**
 * By layer the name of the queries as its attention multiplies them with the present keys: after the rotation of positions, before a number that scales them, with headDim as their last axis where a
 * graph's keys are transposed for the product. A refusal, with the reason, where a graph has no such product or something else reads its queries too.
 */
export function queriesOf(model: OnnxModel, present: KvGraph['present']): string[] | Refusal {
  const made = producers(model)
  const readers = new Map<string, NodeProto[]>()
  for (const node of model.graph.node) for (const name of namesRead(node)) readers.set(name, [...(readers.get(name) ?? []), node])
  const isScalar = scalars(model)
  const names: string[] = []
  for (const { key } of present) {
    const products = productsOf(key, readers)
    let query = products.size === 1 ? ([...products][0] ?? '') : ''
    for (let node = made.get(query); node?.opType === 'Mul' || node?.opType === 'Div'; node = made.get(query)) {
      const [left = '', right = ''] = node.input
      if (isScalar(right)) query = left
      else if (node.opType === 'Mul' && isScalar(left)) query = right
      else break
    }
    if (!made.has(query)) return { reason: `no one product of queries with ${key} was found` }
    const others = (readers.get(query) ?? []).filter(({ opType }) => opType !== 'Shape')
    if (others.length !== 1) return { reason: `${query} is read by more than the product with ${key}` }
    names.push(query)
  }
  return names
}

/** What is multiplied from the left with what keys become. */
function productsOf(key: string, readers: ReadonlyMap<string, readonly NodeProto[]>): Set<string> {
  const products = new Set<string>()
  const seen = new Set<string>([key])
  for (const name of seen) {
    for (const { opType = '', input, output } of readers.get(name) ?? []) {
      if (opType === 'MatMul' && input[1] === name) products.add(input[0] ?? '')
      else if (ON_THE_WAY.has(opType)) for (const made of output) seen.add(made)
    }
  }
  return products
}

/** Whether a value is one number that does not depend on what is fed but by its shape, as the root of a head's size may. */
function scalars(model: OnnxModel): (name: string) => boolean {
  const weights = new Map(model.graph.initializer.map((tensor) => [tensorHead(tensor).name, tensor]))
  const inputs = new Set(model.graph.input.map(({ name = '' }) => name).filter((name) => !weights.has(name)))
  const shapes = new Set(model.graph.node.flatMap(({ opType, output }) => (opType === 'Shape' ? output : [])))
  return (name) => {
    const { nodes, read } = needed(model, [name], shapes)
    const constants = [...[...read].flatMap((of) => weights.get(of) ?? []), ...nodes.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? []))]
    return ![...read].some((of) => inputs.has(of)) && constants.every((tensor) => scalarOf(tensor) !== null)
  }
}
