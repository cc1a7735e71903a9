/** One length-delimited field of a protobuf message: where its payload lies. */
type Field = { number: number; begin: number; end: number }

/** The length-delimited fields of the message in [begin, end); other wire types are stepped over. */
function* fields(bytes: Uint8Array, begin: number, end: number): Generator<Field> {
  let at = begin
  const varint = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
  }
  while (at < end) {
    const key = varint()
    const wire = key % 8
    if (wire === 0) varint()
    else if (wire === 1) at += 8
    else if (wire === 5) at += 4
    else {
      const length = varint()
      yield { number: Math.floor(key / 8), begin: at, end: at + length }
      at += length
    }
  }
}

/**
 * The raw bytes of a named initializer inside an ONNX file (ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto.name = 8,
 * raw_data = 9), as a view that tests change in place to make broken models.
 */
export function initializerBytes(model: Uint8Array, name: string): Uint8Array {
  for (const graph of fields(model, 0, model.length)) {
    if (graph.number !== 7) continue
    for (const tensor of fields(model, graph.begin, graph.end)) {
      if (tensor.number !== 5) continue
      const parts = [...fields(model, tensor.begin, tensor.end)]
      const nameField = parts.find((part) => part.number === 8)
      const raw = parts.find((part) => part.number === 9)
      if (nameField && raw && new TextDecoder().decode(model.subarray(nameField.begin, nameField.end)) === name) return model.subarray(raw.begin, raw.end)
    }
  }
  throw new Error(`no initializer ${name}`)
}
