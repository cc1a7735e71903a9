import { create } from '@bufbuild/protobuf'
import { LabError } from '#core/contract/errors.ts'
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

/** ONNX's numbers of element types, by the names that ONNX Runtime gives them; of types that pass between parts of a language model's graph. */
const RUNTIME_TYPES: Readonly<Record<string, number>> = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10, float64: 11 }

/** An input of a type by ONNX Runtime's name, of any shape. Throws LabError MODEL_UNSUPPORTED for a type that cannot be fed. */
export function typedValue(name: string, type: string): ValueInfoProto {
  const elemType = RUNTIME_TYPES[type]
  if (elemType === undefined) throw new LabError('MODEL_UNSUPPORTED', `${name} is ${type}, which cannot be handed from one part of a graph to the next`)
  return create(ValueInfoProtoSchema, { name, type: { tensorType: { elemType } } })
}

/** An output whose type ONNX Runtime works out. */
export function untypedValue(name: string): ValueInfoProto {
  return create(ValueInfoProtoSchema, { name })
}

/** IR version and operator set of graphs that are not a model's own: old enough for every ONNX Runtime of these years. */
const IR_VERSION = 8n
const OPSET = 17n

/** A model of its own. */
export function newModel(nodes: NodeProto[], initializer: Uint8Array[], input: ValueInfoProto[], output: ValueInfoProto[]): OnnxModel {
  const graph = create(GraphProtoSchema, { name: 'kvlab', node: nodes, initializer, input, output })
  return Object.assign(create(ModelProtoSchema, { irVersion: IR_VERSION, opsetImport: [create(OperatorSetIdSchema, { version: OPSET })] }), { graph })
}
