import { entropyBound } from '#core/codecs/entropy.ts'
import { decodeStream, encodeStream, type StreamRecord } from '#core/codecs/stream.ts'
import type { Method } from '#core/contract/method.ts'
import type { StreamBytes } from '#core/contract/run.ts'
import { LabError } from '#core/contract/errors.ts'
import { kernels } from '#core/kernels/index.ts'
import type { StreamArray } from '#core/quantizers/quantizer.ts'
import { DTYPE_BITS } from '#core/safetensors/dtype.ts'
import { inFileOrder, serialize, type TensorData } from '#core/safetensors/write.ts'
import { type KvArrays, type KvCache, type KvShape, layerValues, SIDES } from './cache.ts'
import { type Learned, tablesOf } from './calibration.ts'
import { checkAbout, checkShape, type KvAbout, kvMetadata } from './file-metadata.ts'
import { sealHeader } from './file-header.ts'
import { gather, layerScratch } from './keep.ts'
import { layersOf } from './layers.ts'
import { elementsOf, type KvPart, type KvStream, layerStreams } from './layout.ts'
import { usesRope, writeMethod } from './methods.ts'
import { kvPlan } from './plan.ts'

/** A complete KV file. `header`: bytes before its first tensor; they and the coded bytes of all streams make up the file. */
export type EncodedKv = {
  readonly bytes: Uint8Array
  readonly header: number
  /** Of each stream by its tensor's name. Worked out when it is first asked for, so that encoding is not timed with it. */
  readonly streams: Record<string, StreamBytes>
}

/**
 * Encodes a cache to the bytes of a KV file (docs/kv-file.md), the same for the same arguments. Errors: NOT_FINITE for a NaN or an infinity,
 * with its side, layer, head and token; OUT_OF_RANGE for a value that a format cannot hold and for more than fits into a file;
 * INVALID_METHOD; INVALID_INPUT for arrays that are not of the cache's shape. `learned`: of a method that learns from another text, what it did.
 */
export function encodeKv(cache: KvCache, method: Method, about: KvAbout = {}, learned: Learned | null = null): EncodedKv {
  // A file says how keys were rotated only where that is needed to decode it.
  const { rope, ...plain } = cache.shape
  const shape: KvShape = rope && usesRope(method) ? cache.shape : plain
  checkShape(shape)
  checkArrays(cache, shape)
  checkAbout(about)
  const text = writeMethod(method)
  const plan = kvPlan(text, shape)
  const { parts, streams } = plan
  const stacked = roomFor(streams)
  for (const part of parts) encodePart(cache, part, plan.method, stacked, learned)
  const records = new Map<string, StreamRecord>()
  const tensors = streams.map(({ name, dtype, shape }): TensorData => {
    const raw = bytesUnder(stacked.get(name))
    const element = DTYPE_BITS[dtype] / 8
    const { record, stored } = encodeStream(raw, method.codec, { element, row: element * (shape.at(-1) ?? 1) })
    records.set(name, record)
    return record.codec === 'raw' ? { name, dtype, shape, bytes: stored } : { name, dtype: 'U8', shape: [stored.length], bytes: stored }
  })
  const bytes = serialize(tensors, kvMetadata({ shape, method: text, about, records }))
  const header = sealHeader(bytes)
  // Lengths alone: the tensors' own bytes are in the workspace, which the next call uses anew.
  const lengths = tensors.map(({ name, dtype, shape, bytes: { length } }) => ({ name, dtype, shape, length }))
  let sizes: Record<string, StreamBytes> | null = null
  return {
    bytes,
    header,
    get streams() {
      return (sizes ??= streamSizes(bytes.subarray(header), inFileOrder(lengths), records))
    },
  }
}

/** Errors: INVALID_INPUT unless there is one array of the right length for every layer of both sides. */
export function checkArrays(arrays: KvArrays, shape: KvShape): void {
  const length = layerValues(shape)
  for (const side of SIDES) {
    const layers = arrays[side]
    if (layers.length !== shape.layers) throw new LabError('INVALID_INPUT', `there are ${layers.length} ${side} arrays for ${shape.layers} layers`)
    const wrong = layers.findIndex((values) => values.length !== length)
    if (wrong < 0) continue
    throw new LabError('INVALID_INPUT', `the ${side} array of layer ${wrong} has ${layers[wrong]?.length} values where the shape takes ${length}`)
  }
}

function encodePart(cache: KvCache, part: KvPart, method: Method, stacked: ReadonlyMap<string, StreamArray>, learned: Learned | null): void {
  const { block, side, transforms } = part
  for (const [index, layer] of layersOf(method, part.group, cache.shape.layers).entries()) {
    const tables = tablesOf(part, layer, learned)
    const streams = layerStreams(part, stacked, index)
    const values = partValues(cache[side][layer] ?? new Float32Array(), part)
    const transformed = transforms.length > 0
    if (transformed) {
      const at = kernels.firstNonFinite(values)
      if (at >= 0) throw nonFinite(values, at, part, layer)
      for (const { forward } of transforms) forward(values, streams)
    }
    try {
      part.quantizer.encode(values, block, part.params, streams, tables)
    } catch (error) {
      if (!(error instanceof LabError) || error.code !== 'NOT_FINITE') throw error
      if (!transformed) throw nonFinite(values, kernels.firstNonFinite(values), part, layer)
      const text = `layer ${layer}, ${side}: a transform makes values too large for F32: use this method without transforms`
      throw new LabError('OUT_OF_RANGE', text, { side, layer })
    }
  }
}

/** The values of one layer that belong to a part: the layer itself where that is all of it and nothing will change it. */
function partValues(layer: Float32Array, part: KvPart): Float32Array {
  const { block, transforms } = part
  const length = block.kvHeads * block.tokens * block.headDim
  if (length === layer.length && transforms.length === 0) return layer
  const values = layerScratch(length)
  gather(layer, part, values)
  return values
}

/** The error of the NaN or infinity at an index of a part's values. */
function nonFinite(values: Float32Array, at: number, { side, from, block }: KvPart, layer: number): LabError {
  const row = Math.floor(at / block.headDim)
  const head = Math.floor(row / block.tokens)
  const token = from + (row % block.tokens)
  const value = String(values[at])
  const text = `the cache holds ${value} in layer ${layer}, ${side}, head ${head}, token ${token}: check the model and the file that it came from`
  return new LabError('NOT_FINITE', text, { side, layer, head, token, value })
}

/** Streams begin at multiples of this, so that any of their dtypes may lie there. */
const ALIGNMENT = 8
/** A file is one array in memory, and Node 20 makes none above 4 GiB: this leaves room for the header. */
const MAX_STREAM_BYTES = 4_200_000_000

let workspace = new ArrayBuffer(0)

/** Room for all streams in one buffer that every call uses anew. */
function roomFor(streams: readonly KvStream[]): Map<string, StreamArray> {
  const begins: number[] = []
  let size = 0
  for (const { rawBytes } of streams) {
    begins.push(size)
    size += Math.ceil(rawBytes / ALIGNMENT) * ALIGNMENT
  }
  if (size > MAX_STREAM_BYTES) {
    throw new LabError('OUT_OF_RANGE', `the streams take ${size} bytes and a KV file holds ${MAX_STREAM_BYTES}: give fewer tokens or a smaller method`)
  }
  if (workspace.byteLength < size) workspace = new ArrayBuffer(size)
  return new Map(streams.map(({ name, dtype, rawBytes }, i) => [name, elementsOf(new Uint8Array(workspace, begins[i], rawBytes), dtype)]))
}

function bytesUnder(array: StreamArray | undefined): Uint8Array {
  return array === undefined ? new Uint8Array() : new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** Sizes of the streams, in the order of `records`, from the data of a file and the lengths of its tensors in their order. */
function streamSizes(data: Uint8Array, lengths: readonly { name: string; length: number }[], records: ReadonlyMap<string, StreamRecord>): Record<string, StreamBytes> {
  const pieces = new Map<string, Uint8Array>()
  let begin = 0
  for (const { name, length } of lengths) pieces.set(name, data.subarray(begin, (begin += length)))
  const sizes: Record<string, StreamBytes> = {}
  for (const [name, record] of records) {
    const stored = pieces.get(name) ?? new Uint8Array()
    const raw = record.codec === 'raw' ? stored : decodeStream(record, stored)
    sizes[name] = { raw: record.rawBytes, coded: stored.length, entropyBound: entropyBound(raw) }
  }
  return sizes
}
