import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a tiny model is to be like; the default is a sound float32 model. */
export type TinyModel = {
  kv?: 'float32' | 'float16' | 'int8' | 'bfloat16'
  /** Outputs of the KV cache under this word, null for none. */
  present?: string | null
  positionIds?: boolean
  /** One more input that no one feeds. */
  extraInput?: string
  /** Tables of the KV cache in `model.onnx_data`, which is not written. */
  external?: boolean
  /** This token's logits hold a NaN. */
  poisoned?: number
}

export const TINY = { vocab: 8, layers: 2, kvHeads: 2, headDim: 4 }

const TYPES = { float32: 1, int8: 3, int64: 7, float16: 10, bfloat16: 16 }
type TypeName = keyof typeof TYPES

/**
 * A folder with a two-layer model of ONNX operators: each token's keys and values come from tables, present = past + new, and the logits
 * are a table's row plus the sum over all values of the cache. No attention, but every input and output of a language model.
 */
export async function tinyModel(options: TinyModel = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kvlab-tiny-'))
  await mkdir(join(folder, 'onnx'))
  await writeFile(join(folder, 'onnx', 'model.onnx'), tinyOnnx(options))
  await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: 'llama', vocab_size: TINY.vocab, max_position_embeddings: 16, rope_theta: 10000 }))
  const tokens = Object.fromEntries([...'abcdefgh'].map((letter, id) => [letter, id]))
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ version: '1.0', added_tokens: [], model: { type: 'BPE', vocab: tokens, merges: [] } }))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast' }))
  return folder
}

function tinyOnnx({ kv = 'float32', present = 'present', positionIds = true, extraInput, external = false, poisoned }: TinyModel): Uint8Array {
  const { vocab, layers, kvHeads, headDim } = TINY
  const summed = kv === 'float32' || kv === 'float16'
  const logitsType: TypeName = summed ? kv : 'float32'
  const cache = ['batch', kvHeads, 'past', headDim] as const
  const nodes: Uint8Array[] = []
  const inputs = [value('input_ids', 'int64', ['batch', 'tokens']), value('attention_mask', 'int64', ['batch', 'all'])]
  if (positionIds) inputs.push(value('position_ids', 'int64', ['batch', 'tokens']))
  if (extraInput !== undefined) inputs.push(value(extraInput, 'int64', ['batch']))
  const outputs = [value('logits', logitsType, ['batch', 'tokens', vocab])]
  const table = Array.from({ length: vocab * vocab }, (_, i) => (Math.floor(i / vocab) === poisoned ? NaN : ((i * 5) % 11) / 4))
  const initializers = [tensor('table', logitsType, [vocab, vocab], table), tensor('token_axis', 'int64', [1], [2]), tensor('row', 'int64', [3], [0, 1, vocab])]
  let logits = 'looked_up'
  nodes.push(node('Gather', ['table', 'input_ids'], [logits]))
  for (let layer = 0; layer < layers; layer++) {
    for (const side of ['key', 'value']) {
      const name = `${layer}.${side}`
      const output = `${present ?? 'hidden'}.${name}`
      inputs.push(value(`past_key_values.${name}`, kv, cache))
      if (present !== null) outputs.push(value(output, kv, ['batch', kvHeads, 'all', headDim]))
      const rows = Array.from({ length: vocab * kvHeads * headDim }, (_, i) => ((i * 7 + layer) % 13) / 16)
      initializers.push(tensor(`rows.${name}`, kv, [vocab, kvHeads, headDim], rows, external ? 'model.onnx_data' : null))
      nodes.push(node('Gather', [`rows.${name}`, 'input_ids'], [`new.${name}`]))
      nodes.push(node('Transpose', [`new.${name}`], [`turned.${name}`], integers('perm', [0, 2, 1, 3])))
      nodes.push(node('Concat', [`past_key_values.${name}`, `turned.${name}`], [output], integer('axis', 2)))
      if (!summed || side === 'key') continue
      nodes.push(node('ReduceSum', [output, 'token_axis'], [`sum.${name}`]))
      nodes.push(node('Reshape', [`sum.${name}`, 'row'], [`flat.${name}`]))
      nodes.push(node('Add', [logits, `flat.${name}`], [layer === layers - 1 ? 'logits' : `added.${name}`]))
      logits = `added.${name}`
    }
  }
  if (!summed) nodes.push(node('Identity', ['looked_up'], ['logits']))
  const all = (number: number, parts: readonly Uint8Array[]): Uint8Array[] => parts.map((part) => bytes(number, part))
  const graph = join8([...all(1, nodes), text(2, 'tiny'), ...all(5, initializers), ...all(11, inputs), ...all(12, outputs)])
  return join8([varint(1, 8), bytes(7, graph), bytes(8, varint(2, 17))])
}

// The few messages of onnx.proto that the graph above needs, by field number.

function value(name: string, type: TypeName, shape: readonly (string | number)[]): Uint8Array {
  const dims = shape.map((size) => bytes(1, typeof size === 'number' ? varint(1, size) : text(2, size)))
  return join8([text(1, name), bytes(2, bytes(1, join8([varint(1, TYPES[type]), bytes(2, join8(dims))])))])
}

function tensor(name: string, type: TypeName, dims: readonly number[], values: readonly number[], location: string | null = null): Uint8Array {
  const content = location === null ? [bytes(9, raw(type, values))] : [bytes(13, join8([text(1, 'location'), text(2, location)])), varint(14, 1)]
  return join8([...dims.map((size) => varint(1, size)), varint(2, TYPES[type]), text(8, name), ...content])
}

function node(type: string, inputs: readonly string[], outputs: readonly string[], attribute?: Uint8Array): Uint8Array {
  return join8([...inputs.map((name) => text(1, name)), ...outputs.map((name) => text(2, name)), text(4, type), ...(attribute ? [bytes(5, attribute)] : [])])
}

function integer(name: string, of: number): Uint8Array {
  return join8([text(1, name), varint(3, of), varint(20, 2)])
}

function integers(name: string, of: readonly number[]): Uint8Array {
  return join8([text(1, name), ...of.map((item) => varint(8, item)), varint(20, 7)])
}

function raw(type: TypeName, values: readonly number[]): Uint8Array {
  if (type === 'int64') return new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
  if (type === 'int8') return new Uint8Array(Int8Array.from(values, (item) => item * 16).buffer)
  const floats = new Uint32Array(Float32Array.from(values).buffer)
  if (type === 'float32') return new Uint8Array(floats.buffer)
  // The values here are small multiples of 1/16 or 1/4, or NaN: exact in both 16-bit formats, no rounding to think of.
  const half = (bits: number): number => ((bits & 0x7fffffff) === 0 ? 0 : (bits & 0x7f800000) === 0x7f800000 ? 0x7e00 : (bits >>> 13) - (112 << 10))
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

function base128(of: number): number[] {
  return of < 128 ? [of] : [(of % 128) + 128, ...base128(Math.floor(of / 128))]
}

function join8(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts))
}
