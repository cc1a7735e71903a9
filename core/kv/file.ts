import type { KvFileFacts } from '#core/contract/files.ts'
import type { Header } from '#core/safetensors/header.ts'
import { f16Bytes, cacheValues } from './cache.ts'
import { readKvHeader } from './file-header.ts'
import { KV_VERSION } from './file-metadata.ts'
import { writeMethod } from './methods.ts'

export { decodeKv, type DecodedKv } from './decode.ts'
export { encodeKv, type EncodedKv } from './encode.ts'
export { isKvFile } from './file-header.ts'
export type { KvAbout } from './file-metadata.ts'

/** The facts of a KV file's header, checked against each other; no stream is read. Errors: MALFORMED_FILE. */
export function describeKvFile(header: Header): KvFileFacts {
  const { shape, method, about, plan, records, tensors, dataStart } = readKvHeader(header)
  const streams = plan.streams.map(({ name, dtype, shape, rawBytes }) => {
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
