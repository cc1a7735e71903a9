import { encodeBf16, encodeF16 } from '#core/bytes/float.ts'
import { naming } from '#core/bytes/source.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Header, TensorInfo } from '#core/safetensors/header.ts'
import type { Safetensors } from '#core/safetensors/read.ts'
import type { TensorData } from '#core/safetensors/write.ts'
import { type KvCache, type KvDtype, type KvShape, SIDES, type Side } from './cache.ts'

/** Names of a layer's keys and values: ours first, then those of ONNX graphs as inputs and as outputs. */
const NAMES = [/^layer_(0|[1-9]\d{0,5})_(key|value)$/, /^past_key_values\.(0|[1-9]\d{0,5})\.(key|value)$/, /^present\.(0|[1-9]\d{0,5})\.(key|value)$/]

/**
 * Reads a plain cache: for every layer 0, 1, … a key and a value tensor `[1, kvHeads, tokens, headDim]` or without the 1, all alike,
 * of F32, F16 or BF16, and nothing else. Errors: INVALID_INPUT that says what is missing or different, and those of the file.
 */
export async function readPlainCache(file: Safetensors): Promise<KvCache> {
  const { shape, names } = naming(file.name, () => plainShape(file.header))
  const read = (side: Side): Promise<Float32Array[]> => Promise.all(names[side].map((name) => file.floats(name)))
  return { shape, key: await read('key'), value: await read('value') }
}

/** Tensors `layer_N_key` and `layer_N_value`, `[1, kvHeads, tokens, headDim]` in the cache's own dtype. Errors: OUT_OF_RANGE for a finite value that the dtype cannot hold. */
export function plainCacheTensors(cache: KvCache): TensorData[] {
  const { kvHeads, tokens, headDim, dtype } = cache.shape
  const shape = [1, kvHeads, tokens, headDim]
  return SIDES.flatMap((side) =>
    cache[side].map((values, layer) => {
      const name = `layer_${layer}_${side}`
      return { name, dtype, shape, bytes: bytesOf(values, dtype, name) }
    }),
  )
}

function plainShape(header: Header): { shape: KvShape; names: Record<Side, string[]> } {
  const names: Record<Side, string[]> = { key: [], value: [] }
  let first: { info: TensorInfo; sizes: [number, number, number]; dtype: KvDtype } | null = null
  for (const info of header.tensors.values()) {
    const [, layer, side] = NAMES.map((pattern) => pattern.exec(info.name)).find((match) => match !== null) ?? []
    if (layer === undefined || (side !== 'key' && side !== 'value')) throw notPlain(`the tensor ${info.name} is neither layer_N_key nor layer_N_value`)
    if (names[side][Number(layer)] !== undefined) throw notPlain(`both ${names[side][Number(layer)]} and ${info.name} are there`)
    names[side][Number(layer)] = info.name
    const sizes = sizesOf(info)
    const dtype = dtypeOf(info)
    first ??= { info, sizes, dtype }
    if (dtype !== first.dtype || sizes.some((size, i) => size !== first?.sizes[i])) {
      throw notPlain(`${first.info.name} is ${textOf(first.info)}, but ${info.name} is ${textOf(info)}`)
    }
  }
  if (first === null) throw notPlain('it has no tensors')
  const layers = Math.max(names.key.length, names.value.length)
  for (const side of SIDES) {
    for (let layer = 0; layer < layers; layer++) if (names[side][layer] === undefined) throw notPlain(`layer_${layer}_${side} is missing of ${layers} layers`)
  }
  const [kvHeads, tokens, headDim] = first.sizes
  return { shape: { layers, kvHeads, tokens, headDim, dtype: first.dtype }, names }
}

function sizesOf(info: TensorInfo): [number, number, number] {
  const [kvHeads, tokens, headDim, ...more] = info.shape.length === 4 && info.shape[0] === 1 ? info.shape.slice(1) : info.shape
  if (kvHeads === undefined || tokens === undefined || headDim === undefined || more.length > 0 || info.begin === info.end) {
    throw notPlain(`${info.name} is ${textOf(info)}, not [1, kvHeads, tokens, headDim] with something in it`)
  }
  return [kvHeads, tokens, headDim]
}

function dtypeOf(info: TensorInfo): KvDtype {
  const { dtype } = info
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') throw notPlain(`${info.name} is ${textOf(info)}, and only F32, F16 and BF16 are read`)
  return dtype
}

function textOf({ dtype, shape }: TensorInfo): string {
  return `${dtype} [${shape.join(', ')}]`
}

function notPlain(reason: string): LabError {
  const text = `the file holds no plain KV cache: ${reason}; give one with layer_N_key and layer_N_value for every layer, as extract writes it`
  return new LabError('INVALID_INPUT', text, { reason })
}

function bytesOf(values: Float32Array, dtype: KvDtype, name: string): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const bits = new Uint16Array(values.length)
  const [encode, infinity] = dtype === 'F16' ? [encodeF16, 0x7c00] : [encodeBf16, 0x7f80]
  encode(values, bits)
  const at = bits.findIndex((code, i) => (code & 0x7fff) === infinity && Number.isFinite(values[i]))
  if (at >= 0) throw new LabError('OUT_OF_RANGE', `${name} has ${values[at]} at ${at}, which ${dtype} cannot hold: write it as F32`, { tensor: name, at })
  return new Uint8Array(bits.buffer)
}
