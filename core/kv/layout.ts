import type { AnyParams, Method, SideSpec } from '#core/contract/method.ts'
import { LabError } from '#core/contract/errors.ts'
import { quantizerById } from '#core/quantizers/index.ts'
import type { BlockShape, Quantizer, StreamArray, StreamDtype, Streams } from '#core/quantizers/quantizer.ts'
import { DTYPE_BITS } from '#core/safetensors/dtype.ts'
import { transformById } from '#core/transforms/index.ts'
import type { TransformContext } from '#core/transforms/transform.ts'
import { type KvShape, SIDES, type Side } from './cache.ts'
import { AS_THEY_ARE, settledTokens } from './keep.ts'
import { groupMethod, groupSizes, groupsOf, type LayerGroup } from './layers.ts'
import { checkFit } from './methods.ts'

/** One tensor of a KV file before coding: a quantizer's stream of every layer of a part, stacked, so `shape` is [layers, …]. */
export type KvStream = {
  /** Of the tensor: `key.codes`, `value.sinks`; `key.1.codes` of the first override's layers. */
  readonly name: string
  /** Of the quantizer's stream, or a transform's: `codes`. */
  readonly stream: string
  readonly dtype: StreamDtype
  readonly shape: readonly number[]
  readonly rawBytes: number
}

/**
 * A box of the cache that one quantizer encodes, layer by layer: some layers of one side, and a run of their tokens.
 * The parts of a layout make up the cache.
 */
export type KvPart = {
  readonly side: Side
  readonly quantizer: Quantizer
  readonly params: AnyParams
  readonly transforms: readonly PartTransform[]
  /** Its layers. */
  readonly group: LayerGroup
  /** First token. */
  readonly from: number
  /** Shape of one layer of it. */
  readonly block: BlockShape
  readonly streams: readonly KvStream[]
}

/** A transform that changes one layer in place, with the streams of that layer; the inverse says whether they are such as `forward` writes. */
export type PartTransform = { readonly forward: (values: Float32Array, streams: Streams) => void; readonly inverse: (values: Float32Array, streams: Streams) => boolean }

/**
 * The parts of a KV file and their streams, keys first, each side's own layers before those of its overrides and these before kept ones, as they follow from method and shape and nothing else. Allocates nothing of the
 * cache's size. Errors: INVALID_METHOD for a method that cannot work with this shape or keeps all of it, UNKNOWN_METHOD.
 */
export function kvLayout(method: Method, shape: KvShape): readonly KvPart[] {
  checkFit(method, shape)
  const { sinks } = method.keep
  const sizes = groupSizes(method, shape.layers)
  return SIDES.flatMap((side) => {
    const encoded = groupsOf(method).flatMap((group) => {
      const own = groupMethod(method, group)
      const tokens = settledTokens(own, side, shape.tokens)
      const recent = shape.tokens - sinks - tokens
      const layers = { group, count: sizes.get(group) ?? 0 }
      return [
        partOf(shape, side, null, own[side], layers, sinks, tokens),
        partOf(shape, side, 'sinks', AS_THEY_ARE, layers, 0, sinks),
        partOf(shape, side, 'recent', AS_THEY_ARE, layers, sinks + tokens, recent),
      ]
    })
    const kept = partOf(shape, side, 'layers', AS_THEY_ARE, { group: 'kept', count: sizes.get('kept') ?? 0 }, 0, shape.tokens)
    return [...encoded, kept].filter(({ streams }) => streams.every(({ rawBytes }) => rawBytes > 0))
  })
}

type KeptName = 'sinks' | 'recent' | 'layers'

/** `kept` names the one stream of what is kept; null for what the layers' quantizer encodes. */
function partOf(shape: KvShape, side: Side, kept: KeptName | null, spec: SideSpec, { group, count }: { group: LayerGroup; count: number }, from: number, tokens: number): KvPart {
  const quantizer = quantizerById(spec.quantizer)
  const block: BlockShape = { side, kvHeads: shape.kvHeads, tokens, headDim: shape.headDim, dtype: shape.dtype }
  const layouts = [quantizer.layout(block, spec.params), ...spec.transforms.map(({ id, params }) => transformById(id).layout?.(block, params) ?? {})]
  const prefix = group === 0 || group === 'kept' ? side : `${side}.${group}`
  const streams = layouts.flatMap((layout) => Object.entries(layout)).map(([stream, { dtype, shape: one }]): KvStream => {
    const stacked = [count, ...one]
    const rawBytes = stacked.reduce((product, size) => product * size, DTYPE_BITS[dtype] / 8)
    return { name: `${prefix}.${kept ?? stream}`, stream, dtype, shape: stacked, rawBytes }
  })
  const transforms = spec.transforms.map((transform) => bound(transform, block, { from, rope: shape.rope ?? null }))
  return { side, quantizer, params: spec.params, transforms, group, from, block, streams }
}

function bound({ id, params }: SideSpec['transforms'][number], block: BlockShape, context: TransformContext): PartTransform {
  const transform = transformById(id)
  return {
    forward: (values, streams) => transform.forward(values, block, params, context, streams),
    inverse: (values, streams) => transform.inverse(values, block, params, context, streams),
  }
}

type ArrayMaker = new (buffer: ArrayBufferLike, begin: number, length: number) => StreamArray
const ARRAYS: Record<StreamDtype, ArrayMaker> = { U8: Uint8Array, I8: Int8Array, U16: Uint16Array, F16: Uint16Array, BF16: Uint16Array, F32: Float32Array }

/** Bytes as elements of a dtype, under the same memory where it is aligned for them, else of a copy (a Buffer's own slice would be none). Hosts are little-endian, as the file is. */
export function elementsOf(bytes: Uint8Array, dtype: StreamDtype): StreamArray {
  const size = DTYPE_BITS[dtype] / 8
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
  return new ARRAYS[dtype](aligned.buffer, aligned.byteOffset, aligned.length / size)
}

/** What a quantizer gets for the `index`th layer of a part: that layer's piece of each stream, by the quantizer's name of it. */
export function layerStreams(part: KvPart, stacked: ReadonlyMap<string, StreamArray>, index: number): Streams {
  const pieces: Record<string, StreamArray> = {}
  for (const { name, stream, shape } of part.streams) {
    const array = stacked.get(name)
    if (array === undefined) throw new LabError('INTERNAL', `the stream ${name} is missing`)
    const length = array.length / (shape[0] ?? 1)
    pieces[stream] = array.subarray(index * length, (index + 1) * length)
  }
  return pieces
}
