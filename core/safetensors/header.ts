import { LabError } from '#core/contract/errors.ts'
import { DTYPE_BITS, type Dtype, isDtype } from './dtype.ts'
import { JsonFault, JsonScanner } from './json.ts'

export type { Dtype } from './dtype.ts'

/** One tensor of a header; `[begin, end)` are bytes from the start of the data. */
export type TensorInfo = { readonly name: string; readonly dtype: Dtype; readonly shape: readonly number[]; readonly begin: number; readonly end: number }

/** A checked header: its tensors, in the order of their bytes, cover `dataStart` to the end of the file without hole or overlap. */
export type Header = { readonly metadata: ReadonlyMap<string, string>; readonly tensors: ReadonlyMap<string, TensorInfo>; readonly dataStart: number }

/** Bytes before the header: its length as a little-endian 64-bit number. */
export const LENGTH_BYTES = 8

/** The reference refuses longer headers, so that a forged length costs no memory. */
export const MAX_HEADER_BYTES = 100_000_000

/** What numpy can hold; a header with more only costs memory. */
export const MAX_RANK = 64

const MAX_USIZE = 2n ** 64n - 1n

/** Names of faults, as the reference's error enum has them. */
export type SafetensorsReason =
  | 'HeaderTooSmall'
  | 'HeaderTooLarge'
  | 'InvalidHeaderLength'
  | 'InvalidHeader'
  | 'InvalidHeaderDeserialization'
  | 'InvalidOffset'
  | 'ValidationOverflow'
  | 'MisalignedSlice'
  | 'TensorInvalidInfo'
  | 'MetadataIncompleteBuffer'

/** MALFORMED_FILE for a safetensors file; `at` is a byte of the file. */
export function malformed(reason: SafetensorsReason, at: number, text: string): LabError {
  const message = `not a sound safetensors file: ${text} (${reason}, byte ${at}); get or write the file again`
  return new LabError('MALFORMED_FILE', message, { format: 'safetensors', reason, at })
}

/**
 * Bytes of the header, from the first 8 of the file (fewer, if the file has fewer).
 * Errors: MALFORMED_FILE with HeaderTooSmall, HeaderTooLarge, InvalidHeaderLength.
 */
export function readHeaderLength(first8: Uint8Array, fileSize: number): number {
  if (first8.length < LENGTH_BYTES || fileSize < LENGTH_BYTES) throw malformed('HeaderTooSmall', 0, 'it has fewer than 8 bytes')
  const length = new DataView(first8.buffer, first8.byteOffset, first8.length).getBigUint64(0, true)
  if (length > BigInt(MAX_HEADER_BYTES)) throw malformed('HeaderTooLarge', 0, `it claims a header of ${length} bytes`)
  if (length > BigInt(fileSize - LENGTH_BYTES)) throw malformed('InvalidHeaderLength', 0, `it claims a header of ${length} bytes in a file of ${fileSize}`)
  return Number(length)
}

/**
 * Parses and checks a header by the rules of the reference (huggingface/safetensors, `tensor.rs`) in its order. Stricter in this: keys
 * that come twice, unknown fields, more than MAX_RANK dimensions and sizes above 2^53 are refused. White space around the JSON is read.
 * Errors: MALFORMED_FILE, its reason one of SafetensorsReason.
 */
export function parseHeader(json: Uint8Array, dataStart: number, fileSize: number): Header {
  const { metadata, claims } = readJson(json)
  claims.sort((a, b) => compare(a.begin, b.begin) || compare(a.end, b.end))
  const tensors = new Map<string, TensorInfo>()
  let covered = 0n
  for (const claim of claims) {
    tensors.set(claim.name, checkTensor(claim, covered, dataStart))
    covered = claim.end
  }
  if (covered !== BigInt(fileSize - dataStart)) {
    throw malformed('MetadataIncompleteBuffer', dataStart, `its tensors take ${covered} bytes, its data has ${fileSize - dataStart}`)
  }
  return { metadata, tensors, dataStart }
}

/** What a header says of a tensor before anything is checked against anything. */
type Claim = { name: string; dtype: Dtype; shape: readonly bigint[]; begin: bigint; end: bigint }

function readJson(json: Uint8Array): { metadata: Map<string, string>; claims: Claim[] } {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json)
  } catch {
    throw malformed('InvalidHeader', LENGTH_BYTES, 'its header is not UTF-8')
  }
  const metadata = new Map<string, string>()
  const claims: Claim[] = []
  try {
    const scanner = new JsonScanner(text)
    scanner.object('the header', (name) => {
      if (name !== '__metadata__') claims.push(readClaim(scanner, name))
      else if (!scanner.takes('null')) scanner.object('__metadata__', (key) => metadata.set(key, scanner.string('a metadata value')))
    })
    scanner.end()
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error
    const at = LENGTH_BYTES + new TextEncoder().encode(text.slice(0, error.index)).length
    throw malformed('InvalidHeaderDeserialization', at, error.message)
  }
  return { metadata, claims }
}

function readClaim(scanner: JsonScanner, name: string): Claim {
  const read: { dtype?: Dtype; shape?: readonly bigint[]; offsets?: readonly bigint[] } = {}
  scanner.object('a tensor', (field) => {
    if (field === 'dtype') {
      const word = scanner.string('dtype')
      if (!isDtype(word)) scanner.fail(`the dtype ${JSON.stringify(word)} is unknown`)
      read.dtype = word
    } else if (field === 'shape') read.shape = scanner.unsignedArray('shape', MAX_RANK)
    else if (field === 'data_offsets') read.offsets = scanner.unsignedArray('data_offsets', 2)
    else scanner.fail(`a tensor has no field ${JSON.stringify(field)}`)
  })
  const { dtype, shape, offsets: [begin, end] = [] } = read
  if (dtype === undefined || shape === undefined || begin === undefined || end === undefined) {
    scanner.fail(`the tensor ${JSON.stringify(name)} needs dtype, shape and two data_offsets`)
  }
  return { name, dtype, shape, begin, end }
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function checkTensor({ name, dtype, shape, begin, end }: Claim, covered: bigint, dataStart: number): TensorInfo {
  const at = dataStart + Number(covered)
  const fault = (reason: SafetensorsReason, text: string): LabError => malformed(reason, at, `the tensor ${JSON.stringify(name)} ${text}`)
  if (begin !== covered || end < begin) throw fault('InvalidOffset', `lies at ${begin} to ${end}, the bytes before it end at ${covered}`)
  let bits = 1n
  for (const size of [...shape, BigInt(DTYPE_BITS[dtype])]) {
    bits *= size
    if (bits > MAX_USIZE || size > BigInt(Number.MAX_SAFE_INTEGER)) throw fault('ValidationOverflow', 'has too large a shape')
  }
  if (bits % 8n !== 0n) throw fault('MisalignedSlice', 'does not fill whole bytes')
  if (end - begin !== bits / 8n) throw fault('TensorInvalidInfo', `has ${end - begin} bytes, its shape and dtype take ${bits / 8n}`)
  return { name, dtype, shape: shape.map(Number), begin: Number(begin), end: Number(end) }
}
