import { decodeStream } from '#core/codecs/stream.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import { kernels } from '#core/kernels/index.ts'
import type { StreamArray } from '#core/quantizers/quantizer.ts'
import { type KvArrays, type KvShape, layerValues } from './cache.ts'
import { checkArrays } from './encode.ts'
import { type KvHeader, malformedKv, openKv, storedBytes } from './file-header.ts'
import type { KvAbout } from './file-metadata.ts'
import { layerScratch, scatter } from './keep.ts'
import { layersOf } from './layers.ts'
import { elementsOf, type KvPart, layerStreams } from './layout.ts'
import { writeMethod } from './methods.ts'

/** What a KV file holds; the arrays are those that were given, or fresh ones. */
export type DecodedKv = { readonly shape: KvShape; readonly method: Method; readonly arrays: KvArrays; readonly about: KvAbout }

/**
 * Decodes a KV file, into the layers' arrays of `into` where they are given. Everything that the header says is compared with what follows
 * from method and shape, and every checksum with its bytes, before a value is decoded or memory for values is taken. Errors: MALFORMED_FILE,
 * CHECKSUM_MISMATCH; INVALID_INPUT where `into` is not of the file's shape. After an error `into` may hold anything.
 */
export function decodeKv(bytes: Uint8Array, into?: KvArrays): DecodedKv {
  const file = openKv(bytes)
  const { shape, method, about } = file
  if (into) checkArrays(into, shape)
  const stacked = new Map<string, StreamArray>()
  for (const { name, dtype } of file.plan.streams) stacked.set(name, elementsOf(rawBytes(bytes, file, name), dtype))
  const arrays = into ?? freshArrays(shape)
  for (const part of file.plan.parts) decodePart(part, file, stacked, arrays)
  return { shape, method, arrays, about }
}

function decodePart(part: KvPart, { shape, method, dataStart }: KvHeader, stacked: ReadonlyMap<string, StreamArray>, arrays: KvArrays): void {
  const { block, side, transforms } = part
  const length = block.kvHeads * block.tokens * block.headDim
  const inverses = transforms.toReversed()
  for (const [index, layer] of layersOf(method, part.group, shape.layers).entries()) {
    const target = arrays[side][layer] ?? new Float32Array()
    const values = length === target.length ? target : layerScratch(length)
    const streams = layerStreams(part, stacked, index)
    let finite = part.quantizer.decode(streams, block, part.params, values)
    for (const { inverse } of inverses) {
      if (!inverse(values, streams)) throw malformedKv('InvalidTransform', dataStart, `layer ${layer}, ${side} has streams that no transform of ${writeMethod(method)} writes`)
    }
    if (inverses.length > 0) finite &&= kernels.firstNonFinite(values) < 0
    if (!finite) throw malformedKv('NotFinite', dataStart, `layer ${layer}, ${side} decodes to a NaN or an infinity`)
    if (values !== target) scatter(values, part, target)
  }
}

/** A stream's raw bytes; an error says which stream it was and where it begins. */
function rawBytes(bytes: Uint8Array, file: KvHeader, name: string): Uint8Array {
  const record = file.records.get(name)
  if (!record) throw new LabError('INTERNAL', `the stream ${name} has no record`)
  const stored = storedBytes(bytes, file, name)
  try {
    return decodeStream(record, stored)
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    const at = file.dataStart + (file.tensors.get(name)?.begin ?? 0)
    const reason = error.code === 'CHECKSUM_MISMATCH' ? 'StreamChecksum' : 'InvalidStream'
    throw new LabError(error.code, `${name} at byte ${at} of the KV file: ${error.message}`, { format: 'kvlab.kv', reason, at }, { cause: error })
  }
}

function freshArrays(shape: KvShape): KvArrays {
  const layers = (): Float32Array[] => Array.from({ length: shape.layers }, () => new Float32Array(layerValues(shape)))
  return { key: layers(), value: layers() }
}
