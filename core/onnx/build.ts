import { create } from '@bufbuild/protobuf'
import { AttributeProtoSchema, NodeProtoSchema, ValueInfoProtoSchema, type NodeProto, type ValueInfoProto } from './onnx_pb.ts'

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
