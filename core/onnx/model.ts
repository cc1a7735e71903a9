import { create, fromBinary, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf'
import { f16ToF32 } from '#core/bytes/float.ts'
import { LabError } from '#core/contract/errors.ts'
import { GraphProtoSchema, ModelProtoSchema, TensorProtoSchema, type GraphProto, type ModelProto, type NodeProto } from './onnx_pb.ts'

/** An ONNX model that has a graph. Its tensors are views of the bytes it was read from; edits share them and never change them. */
export type OnnxModel = ModelProto & { readonly graph: GraphProto }

/** ONNX's numbers of element types, by the names that safetensors and this program use where they have one. */
export const ELEMENT_TYPES = {
  1: 'F32', 2: 'U8', 3: 'I8', 4: 'U16', 5: 'I16', 6: 'I32', 7: 'I64', 8: 'STRING', 9: 'BOOL', 10: 'F16', 11: 'F64', 12: 'U32', 13: 'U64',
  16: 'BF16', 17: 'F8_E4M3', 18: 'F8_E4M3FNUZ', 19: 'F8_E5M2', 20: 'F8_E5M2FNUZ', 21: 'U4', 22: 'I4', 23: 'F4_E2M1',
} as const
export type ElementType = (typeof ELEMENT_TYPES)[keyof typeof ELEMENT_TYPES] | 'UNKNOWN'

export function elementType(number: number | undefined): ElementType {
  return (ELEMENT_TYPES as Record<number, ElementType>)[number ?? 0] ?? 'UNKNOWN'
}

/** Where a tensor's values lie outside the model: a file name beside it and a range of bytes; null where the model holds them itself. */
export type ExternalData = { readonly location: string; readonly offset: number; readonly length: number | null }

/** What a tensor says of itself. `bytes`: of its values, as the shape has it; null for types whose size is not fixed. */
export type TensorHead = { readonly name: string; readonly dtype: ElementType; readonly dims: readonly number[]; readonly bytes: number | null; readonly external: ExternalData | null }

const ELEMENT_BITS: Partial<Record<ElementType, number>> = {
  F32: 32, U8: 8, I8: 8, U16: 16, I16: 16, I32: 32, I64: 64, BOOL: 8, F16: 16, F64: 64, U32: 32, U64: 64, BF16: 16,
  F8_E4M3: 8, F8_E4M3FNUZ: 8, F8_E5M2: 8, F8_E5M2FNUZ: 8, U4: 4, I4: 4, F4_E2M1: 4,
}

/** Reads a model; weights stay views of `bytes`. Throws LabError MALFORMED_FILE where the bytes are no ONNX model. `name` is what errors call it. */
export function readModel(bytes: Uint8Array, name: string): OnnxModel {
  const model: ModelProto = parse(ModelProtoSchema, bytes, name)
  const { graph } = model
  if (!graph || graph.node.length === 0) throw malformed(name, 'it holds no graph')
  return Object.assign(model, { graph })
}

/** Header of one of the graph's initializers. Throws LabError MALFORMED_FILE. */
export function tensorHead(tensor: Uint8Array): TensorHead {
  const { name = '', dims, dataType, externalData, dataLocation } = parse(TensorProtoSchema, tensor, 'a tensor')
  const dtype = elementType(dataType)
  const sizes = dims.map(Number)
  const bits = ELEMENT_BITS[dtype]
  const bytes = bits === undefined ? null : Math.ceil((sizes.reduce((product, size) => product * size, 1) * bits) / 8)
  if (dataLocation !== EXTERNAL) return { name, dtype, dims: sizes, bytes, external: null }
  const entry = (key: string): string | undefined => externalData.find((pair) => pair.key === key)?.value
  const length = entry('length')
  return { name, dtype, dims: sizes, bytes, external: { location: entry('location') ?? '', offset: Number(entry('offset') ?? 0), length: length === undefined ? null : Number(length) } }
}

/** TensorProto.DataLocation.EXTERNAL. */
const EXTERNAL = 1

/** The number that a tensor of one value is; null for more values, other types, and values that lie elsewhere. Throws LabError MALFORMED_FILE. */
export function scalarOf(tensor: Uint8Array): number | null {
  const { dims, dataType, rawData } = parse(TensorProtoSchema, tensor, 'a tensor')
  const dtype = elementType(dataType)
  if (dims.some((size) => size !== 1n) || rawData?.byteLength !== (ELEMENT_BITS[dtype] ?? 0) / 8) return null
  return NUMBERS[dtype]?.(new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength)) ?? null
}

/** How a number of a type is read; the types that constants of a graph have. */
const NUMBERS: Partial<Record<ElementType, (view: DataView) => number>> = {
  F32: (view) => view.getFloat32(0, true),
  F16: (view) => f16ToF32(view.getUint16(0, true)),
  I64: (view) => Number(view.getBigInt64(0, true)),
  I32: (view) => view.getInt32(0, true),
}

/** A constant of a graph that an edit adds. */
export function constant(name: string, dtype: 'F32' | 'I64', dims: readonly number[], values: readonly number[]): Uint8Array {
  const raw = dtype === 'F32' ? new Uint8Array(Float32Array.from(values).buffer) : new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
  return toBinary(TensorProtoSchema, create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType: dtype === 'F32' ? 1 : 7, rawData: raw }))
}

/** The model with another graph; everything else of it, known to us or not, stays. */
export function withGraph(model: OnnxModel, change: Partial<GraphProto>): OnnxModel {
  return Object.assign(create(ModelProtoSchema), model, { graph: Object.assign(create(GraphProtoSchema), model.graph, change) })
}

/**
 * The bytes of a model, in pieces to write one after another: weights are not copied. A model with weights of 2 GiB or more in itself cannot be
 * written: protobuf's limit. Throws LabError MODEL_UNSUPPORTED for one.
 */
export function writeModel(model: OnnxModel): Uint8Array[] {
  const { initializer } = model.graph
  const graph = toBinary(GraphProtoSchema, Object.assign(create(GraphProtoSchema), model.graph, { initializer: [] }))
  const weights = initializer.flatMap((tensor) => [lengthPrefix(INITIALIZER_FIELD, tensor.length), tensor])
  const length = weights.reduce((sum, piece) => sum + piece.length, graph.length)
  if (length >= MAX_GRAPH_BYTES) throw new LabError('MODEL_UNSUPPORTED', 'a graph of 2 GiB or more with its weights cannot be written: export the model with external data')
  const { graph: _, ...rest } = model
  return [toBinary(ModelProtoSchema, create(ModelProtoSchema, rest)), lengthPrefix(GRAPH_FIELD, length), graph, ...weights]
}

const INITIALIZER_FIELD = 5
const GRAPH_FIELD = 7
/** Protobuf counts a message's bytes in 31 bits: no graph is this large or larger; more weights lie in files of their own. */
export const MAX_GRAPH_BYTES = 2 ** 31

/** Key and length of a length-delimited field, as base-128 numbers. */
function lengthPrefix(field: number, length: number): Uint8Array {
  const bytes = [field * 8 + 2]
  let rest = length
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return Uint8Array.from([...bytes, rest])
}

/** Version of the default operator set. Throws LabError MALFORMED_FILE where the model names none. */
export function opsetOf(model: OnnxModel): number {
  const version = model.opsetImport.find(({ domain = '' }) => domain === '' || domain === 'ai.onnx')?.version
  if (version === undefined) throw malformed('the model', 'it does not say which operator set it uses')
  return Number(version)
}

/** Names that a node reads: its inputs and, of a control-flow node, what its subgraphs take from outside. */
export function namesRead(node: NodeProto): string[] {
  const inner = node.attribute.flatMap(({ g, graphs }) => [...(g ? [g] : []), ...graphs])
  return [...node.input.filter((name) => name !== ''), ...inner.flatMap((graph) => graph.node.flatMap(namesRead))]
}

function parse<S extends DescMessage>(schema: S, bytes: Uint8Array, name: string): MessageShape<S> {
  try {
    return fromBinary(schema, bytes)
  } catch (error) {
    throw malformed(name, error instanceof Error ? error.message : String(error))
  }
}

function malformed(name: string, reason: string): LabError {
  return new LabError('MALFORMED_FILE', `${name} is not an ONNX model that can be read: ${reason}`, { format: 'onnx', reason, at: 0 })
}

