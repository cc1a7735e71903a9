/*
 * The few messages of onnx.proto that the graphs of tests need, by field number: a writer that owes nothing to core/onnx.
 */

const TYPES = { float32: 1, int8: 3, int64: 7, float16: 10, bfloat16: 16 }
export type TypeName = keyof typeof TYPES

/** A model of one graph. */
export function graphBytes(parts: { nodes: Uint8Array[]; initializers: Uint8Array[]; inputs: Uint8Array[]; outputs: Uint8Array[] }, opset: number): Uint8Array {
  const all = (number: number, messages: readonly Uint8Array[]): Uint8Array[] => messages.map((message) => bytes(number, message))
  const graph = join8([...all(1, parts.nodes), text(2, 'test'), ...all(5, parts.initializers), ...all(11, parts.inputs), ...all(12, parts.outputs)])
  return join8([varint(1, 8), bytes(7, graph), bytes(8, varint(2, opset))])
}

export function value(name: string, type: TypeName, shape: readonly (string | number)[]): Uint8Array {
  const dims = shape.map((size) => bytes(1, typeof size === 'number' ? varint(1, size) : text(2, size)))
  return join8([text(1, name), bytes(2, bytes(1, join8([varint(1, TYPES[type]), bytes(2, join8(dims))])))])
}

/** `external`: its values lie at that place of a file beside the model. */
export function tensor(name: string, type: TypeName, dims: readonly number[], values: readonly number[], external: { location: string; offset?: number; length?: number } | null = null): Uint8Array {
  const entry = (key: string, of: string | number): Uint8Array => bytes(13, join8([text(1, key), text(2, String(of))]))
  const content = external === null ? [bytes(9, raw(type, values))] : [...Object.entries(external).map(([key, of]) => entry(key, of)), varint(14, 1)]
  return join8([...dims.map((size) => varint(1, size)), varint(2, TYPES[type]), text(8, name), ...content])
}

export function node(type: string, inputs: readonly string[], outputs: readonly string[], ...attributes: Uint8Array[]): Uint8Array {
  return join8([...inputs.map((name) => text(1, name)), ...outputs.map((name) => text(2, name)), text(4, type), ...attributes.map((attribute) => bytes(5, attribute))])
}

export function integer(name: string, of: number): Uint8Array {
  return join8([text(1, name), varint(3, of), varint(20, 2)])
}

export function integers(name: string, of: readonly number[]): Uint8Array {
  return join8([text(1, name), ...of.map((item) => varint(8, item)), varint(20, 7)])
}

export function raw(type: TypeName, values: readonly number[]): Uint8Array {
  if (type === 'int64') return new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
  if (type === 'int8') return new Uint8Array(Int8Array.from(values, (item) => item * 16).buffer)
  const floats = new Uint32Array(Float32Array.from(values).buffer)
  if (type === 'float32') return new Uint8Array(floats.buffer)
  // The values are small multiples of a power of two, or NaN: exact in both 16-bit formats, no rounding to think of.
  const half = (bits: number): number => {
    const magnitude = bits & 0x7fffffff
    return ((bits >>> 16) & 0x8000) | (magnitude === 0 ? 0 : magnitude >= 0x7f800000 ? 0x7e00 : (magnitude >>> 13) - (112 << 10))
  }
  return new Uint8Array(Uint16Array.from(floats, (bits) => (type === 'float16' ? half(bits) : bits >>> 16)).buffer)
}

function varint(field: number, of: number): Uint8Array {
  return Uint8Array.from([...base128(field * 8), ...base128(of)])
}

function bytes(field: number, content: Uint8Array): Uint8Array {
  return join8([Uint8Array.from([...base128(field * 8 + 2), ...base128(content.length)]), content])
}

function text(field: number, content: string): Uint8Array {
  return bytes(field, new TextEncoder().encode(content))
}

/** A negative number takes the ten bytes of its 64-bit two's complement. */
function base128(of: number | bigint): number[] {
  const rest = BigInt.asUintN(64, BigInt(of))
  return rest < 128n ? [Number(rest)] : [Number(rest % 128n) + 128, ...base128(rest / 128n)]
}

function join8(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts))
}
