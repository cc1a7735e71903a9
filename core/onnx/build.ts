import { create } from '@bufbuild/protobuf'
import type { OnnxModel } from './model.ts'
import { AttributeProtoSchema, GraphProtoSchema, ModelProtoSchema, NodeProtoSchema, OperatorSetIdSchema, ValueInfoProtoSchema, type NodeProto, type ValueInfoProto } from './onnx_pb.ts'

/** AttributeProto.AttributeType. */
const INT = 2
const INTS = 7
/** TensorProto.DataType. */
const NUMBERS = { F32: 1, I64: 7, F16: 10 } as const

/** A node with one output, which is its name too. */
export function node(opType: string, input: readonly string[], output: string, attributes: Readonly<Record<string, number | readonly number[]>> = {}): NodeProto {
  const attribute = Object.entries(attributes).map(([name, of]) =>
    create(AttributeProtoSchema, typeof of === 'number' ? { name, i: BigInt(of), type: INT } : { name, ints: of.map(BigInt), type: INTS }),
  )
  return create(NodeProtoSchema, { opType, name: output, input: [...input], output: [output], attribute })
}

/** An input or output of a graph; a dimension that is left open has a name. */
export function value(name: string, type: keyof typeof NUMBERS, shape: readonly (number | string)[]): ValueInfoProto {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: BigInt(size) } : { dimParam: `kvlab_${size}` }))
  return create(ValueInfoProtoSchema, { name, type: { tensorType: { elemType: NUMBERS[type], shape: { dim } } } })
}

/** IR version and operator set of graphs that are not a model's own: old enough for every ONNX Runtime of these years. */
const IR_VERSION = 8n
const OPSET = 17n

/** A model of its own. */
export function newModel(nodes: NodeProto[], initializer: Uint8Array[], input: ValueInfoProto[], output: ValueInfoProto[]): OnnxModel {
  const graph = create(GraphProtoSchema, { name: 'kvlab', node: nodes, initializer, input, output })
  return Object.assign(create(ModelProtoSchema, { irVersion: IR_VERSION, opsetImport: [create(OperatorSetIdSchema, { version: OPSET })] }), { graph })
}
