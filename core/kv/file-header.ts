import { xxh64 } from '#core/bytes/xxh64.ts'
import { LabError } from '#core/contract/errors.ts'
import { type Header, LENGTH_BYTES, parseHeader, readHeaderLength, type TensorInfo } from '#core/safetensors/header.ts'
import { KV_FORMAT, type KvFacts, MetadataFault, NO_CHECKSUM, readKvMetadata } from './file-metadata.ts'
import type { KvPlan } from './plan.ts'

/** A checked header: its tensors are those of `plan`, with the dtypes, shapes and sizes that follow from method and shape. */
export type KvHeader = KvFacts & { readonly plan: KvPlan; readonly tensors: ReadonlyMap<string, TensorInfo>; readonly dataStart: number }

/** Every KV file begins with these bytes after its length, so that the checksum has one place. */
const BEGINNING = '{"__metadata__":{"checksum":"'
const CHECKSUM_AT = LENGTH_BYTES + BEGINNING.length

const encoder = new TextEncoder()

/** MALFORMED_FILE for a KV file; `at` is a byte of it. */
export function malformedKv(reason: string, at: number, text: string): LabError {
  const message = `not a sound KV file: ${text} (${reason}, byte ${at}); get or write the file again`
  return new LabError('MALFORMED_FILE', message, { format: KV_FORMAT, reason, at })
}

/** Whether a safetensors file says that it is a KV file. */
export function isKvFile(header: Header): boolean {
  return header.metadata.get('format') === KV_FORMAT
}

/** Opens a file in memory and checks all but its streams: the header's rules, its checksum, and what it says. Errors: MALFORMED_FILE, CHECKSUM_MISMATCH. */
export function openKv(bytes: Uint8Array): KvHeader {
  const dataStart = headerEnd(bytes)
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart), dataStart, bytes.length)
  if (isKvFile(header)) checkSeal(bytes.subarray(0, dataStart))
  return readKvHeader(header)
}

/** Checks what a header says of a KV file. Its checksum is not seen here. Errors: MALFORMED_FILE. */
export function readKvHeader(header: Header): KvHeader {
  const facts = metadataOf(header)
  const { tensors, dataStart } = header
  const { streams } = facts.plan
  for (const { name, begin } of tensors.values()) {
    if (!facts.records.has(name)) throw malformedKv('UnknownTensor', dataStart + begin, `the method has no stream ${JSON.stringify(name)}`)
  }
  for (const { name, dtype, shape, rawBytes } of streams) {
    const tensor = tensors.get(name)
    if (!tensor) throw malformedKv('MissingTensor', dataStart, `the stream ${name} is missing`)
    const at = dataStart + tensor.begin
    const stored = tensor.end - tensor.begin
    const raw = facts.records.get(name)?.codec === 'raw'
    const due = raw ? { dtype, shape } : { dtype: 'U8', shape: [stored] }
    if (tensor.dtype !== due.dtype || tensor.shape.length !== due.shape.length || tensor.shape.some((size, i) => size !== due.shape[i])) {
      throw malformedKv('InvalidTensor', at, `${name} is ${tensor.dtype} [${tensor.shape.join(', ')}] where ${due.dtype} [${due.shape.join(', ')}] is due`)
    }
    if (!raw && stored >= rawBytes) throw malformedKv('InvalidTensor', at, `${name} is coded to ${stored} bytes, not fewer than its ${rawBytes} raw ones`)
  }
  return { ...facts, tensors, dataStart }
}

/** A stream's bytes as they are stored: a view. */
export function storedBytes(bytes: Uint8Array, { tensors, dataStart }: KvHeader, name: string): Uint8Array {
  const { begin, end } = tensors.get(name) ?? { begin: 0, end: 0 }
  return bytes.subarray(dataStart + begin, dataStart + end)
}

/** Writes the checksum into the header of a file that kvMetadata described; returns the bytes before the first tensor. */
export function sealHeader(bytes: Uint8Array): number {
  const dataStart = headerEnd(bytes)
  encoder.encodeInto(checksumOf(bytes.subarray(0, dataStart)), bytes.subarray(CHECKSUM_AT))
  return dataStart
}

function checkSeal(header: Uint8Array): void {
  if (!holds(header, LENGTH_BYTES, BEGINNING)) throw malformedKv('InvalidHeader', LENGTH_BYTES, `its header does not begin with ${BEGINNING}`)
  const found = checksumOf(header)
  if (holds(header, CHECKSUM_AT, found)) return
  const written = String.fromCharCode(...header.subarray(CHECKSUM_AT, CHECKSUM_AT + NO_CHECKSUM.length))
  throw new LabError('CHECKSUM_MISMATCH', `the header of the KV file has the XXH64 ${found} where ${written} is written: get or write the file again`, {
    format: KV_FORMAT,
    reason: 'HeaderChecksum',
    at: CHECKSUM_AT,
  })
}

/** Whether bytes hold an ASCII text at a place. */
function holds(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false
  return true
}

/** XXH64 of length and header with the digits of the checksum as zeros. */
function checksumOf(header: Uint8Array): string {
  const blank = new Uint8Array(header)
  encoder.encodeInto(NO_CHECKSUM, blank.subarray(CHECKSUM_AT))
  return xxh64(blank)
}

function headerEnd(bytes: Uint8Array): number {
  return LENGTH_BYTES + readHeaderLength(bytes.subarray(0, LENGTH_BYTES), bytes.length)
}

function metadataOf(header: Header): ReturnType<typeof readKvMetadata> {
  try {
    return readKvMetadata(header.metadata)
  } catch (error) {
    throw error instanceof MetadataFault ? malformedKv(error.reason, LENGTH_BYTES, error.message) : error
  }
}
