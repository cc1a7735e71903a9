import { LabError } from '#core/contract/errors.ts'
import type { CodecInfo, Explained, ParamDefs, ParamValues } from '#core/contract/method.ts'

/** How a stream's bytes repeat: bytes of one element, and of one row, which is one token of one head. A codec may use it or not. */
export type StreamLayout = { readonly element: number; readonly row: number }
/** Bytes of which nothing is known. */
export const PLAIN_BYTES: StreamLayout = { element: 1, row: 1 }

/** A lossless map from bytes to bytes, one file each. `decode` never allocates more than `rawBytes` bytes, and only where so few coded bytes may hold them. */
export type Codec<D extends ParamDefs = ParamDefs> = Readonly<Explained> & {
  readonly id: string
  readonly label: string
  readonly source: string
  readonly params: D
  /** Why this Node.js does not have it, and what to do; left out where it has. */
  readonly missing?: string | undefined
  encode(raw: Uint8Array, params: ParamValues<D>, layout?: StreamLayout): Uint8Array
  /** Decode exactly `rawBytes` bytes; throws LabError MALFORMED_FILE on anything else. What it needs to know beside that is in `coded`. */
  decode(coded: Uint8Array, rawBytes: number): Uint8Array
}

/** Gives a codec its parameter types; the registry in index.ts lists the results. */
export function defineCodec<const D extends ParamDefs>(codec: Codec<D>): Codec<D> {
  return codec
}

/** What the contract tells about a codec. */
export function describe(codec: Codec): CodecInfo {
  const { id, label, source, formula, caveats, params } = codec
  return { id, label, source, formula, caveats, params }
}

/** No stream is longer: an array of bytes is not, in Node 20. */
const MAX_RAW_BYTES = 2 ** 32 - 1

/** Throws `malformed` LengthTooLarge unless `rawBytes` is a length, at most `most`: what so many coded bytes can hold. */
export function checkLength(format: string, coded: Uint8Array, rawBytes: number, most: number): void {
  if (Number.isSafeInteger(rawBytes) && 0 <= rawBytes && rawBytes <= Math.min(most, MAX_RAW_BYTES)) return
  throw malformed(format, 'LengthTooLarge', `${coded.length} bytes cannot hold the ${rawBytes} that are due`)
}

/** MALFORMED_FILE for a coded stream; `format` is the codec's id. */
export function malformed(format: string, reason: string, text: string): LabError {
  return new LabError('MALFORMED_FILE', `not a sound ${format} stream: ${text}; get or write the file again`, { format, reason, at: 0 })
}
