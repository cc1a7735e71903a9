import type { Header } from '#core/safetensors/header.ts'
import { f16Bytes, cacheValues, type KvDtype } from './cache.ts'
import { readKvHeader } from './file-header.ts'
import { KV_VERSION } from './file-metadata.ts'
import { writeMethod } from './methods.ts'

export { decodeKv, type DecodedKv } from './decode.ts'
export { encodeKv, type EncodedKv } from './encode.ts'
export { isKvFile } from './file-header.ts'
export type { KvAbout } from './file-metadata.ts'

/** What the header of a KV file tells, sizes in bytes; `ratio` and `bitsPerValue` count the whole file, the ratio against the cache at F16. */
export type KvFileInfo = {
  version: string
  method: string
  layers: number
  kvHeads: number
  tokens: number
  headDim: number
  dtype: KvDtype
  model: string | null
  tokenIdsSha256: string | null
  fileBytes: number
  headerBytes: number
  ratio: number
  bitsPerValue: number
  /** Dtype and shape are those of the raw stream; `codec` is the one that was used. */
  streams: { name: string; dtype: string; shape: number[]; codec: string; rawBytes: number; storedBytes: number }[]
}

/** The facts of a KV file's header, checked against each other; no stream is read. Errors: MALFORMED_FILE. */
export function describeKvFile(header: Header): KvFileInfo {
  const { shape, method, about, parts, records, tensors, dataStart } = readKvHeader(header)
  const streams = parts.flatMap((part) => part.streams).map(({ name, dtype, shape, rawBytes }) => {
    const { begin, end } = tensors.get(name) ?? { begin: 0, end: 0 }
    return { name, dtype, shape: [...shape], codec: records.get(name)?.codec ?? 'raw', rawBytes, storedBytes: end - begin }
  })
  const fileBytes = streams.reduce((sum, { storedBytes }) => sum + storedBytes, dataStart)
  const { layers, kvHeads, tokens, headDim, dtype } = shape
  return {
    version: KV_VERSION,
    method: writeMethod(method),
    layers,
    kvHeads,
    tokens,
    headDim,
    dtype,
    model: about.model ?? null,
    tokenIdsSha256: about.tokenIdsSha256 ?? null,
    fileBytes,
    headerBytes: dataStart,
    ratio: f16Bytes(shape) / fileBytes,
    bitsPerValue: (8 * fileBytes) / cacheValues(shape),
    streams,
  }
}
