import { LabError } from '#core/contract/errors.ts'
import { namesRead, tensorHead, withGraph, type OnnxModel } from './model.ts'
import type { NodeProto, ValueInfoProto } from './onnx_pb.ts'

/** Which node makes each value of a graph. */
export function producers(model: OnnxModel): Map<string, NodeProto> {
  return new Map(model.graph.node.flatMap((node) => node.output.filter((name) => name !== '').map((name) => [name, node] as const)))
}

/** The nodes that `names` need, in the graph's order, where the values in `given` need nothing; and the other values those nodes read. */
export function needed(model: OnnxModel, names: readonly string[], given: ReadonlySet<string> = new Set()): { nodes: NodeProto[]; read: Set<string> } {
  const byOutput = producers(model)
  const nodes = new Set<NodeProto>()
  const read = new Set<string>()
  const open = [...names]
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (read.has(name)) continue
    read.add(name)
    const node = given.has(name) ? undefined : byOutput.get(name)
    if (!node || nodes.has(node)) continue
    nodes.add(node)
    open.push(...namesRead(node))
  }
  return { nodes: model.graph.node.filter((node) => nodes.has(node)), read }
}

/**
 * The part of a graph that computes `outputs` from `inputs`: nodes, weights and descriptions that nothing needs are dropped.
 * Throws LabError INTERNAL where the outputs need a graph input that is not among `inputs`.
 */
export function subgraph(model: OnnxModel, inputs: readonly ValueInfoProto[], outputs: readonly ValueInfoProto[]): OnnxModel {
  const names = (values: readonly ValueInfoProto[]): string[] => values.map(({ name = '' }) => name)
  const given = new Set(names(inputs))
  const { nodes, read } = needed(model, names(outputs), given)
  const weights = new Map(model.graph.initializer.map((tensor) => [tensorHead(tensor).name, tensor]))
  const missing = names(model.graph.input).find((name) => read.has(name) && !given.has(name) && !weights.has(name))
  if (missing !== undefined) throw new LabError('INTERNAL', `the part of the graph needs ${missing}, which is not given to it`)
  const made = new Set(nodes.flatMap((node) => node.output))
  return withGraph(model, {
    node: nodes,
    initializer: [...weights].filter(([name]) => read.has(name)).map(([, tensor]) => tensor),
    input: [...inputs],
    output: [...outputs],
    valueInfo: model.graph.valueInfo.filter(({ name = '' }) => made.has(name) && !names(outputs).includes(name)),
  })
}
