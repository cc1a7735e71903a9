import type { CodecInfo, ParamDefs, ParamValues } from '#core/contract/method.ts'

/** A lossless map from bytes to bytes, one file each. `decode` never allocates more than `maxOutput` bytes. */
export type Codec<D extends ParamDefs = ParamDefs> = {
  readonly id: string
  readonly label: string
  readonly source: string
  readonly params: D
  encode(raw: Uint8Array, params: ParamValues<D>): Uint8Array
  /** Decode exactly `rawBytes` bytes; throws LabError MALFORMED_FILE on anything else. */
  decode(coded: Uint8Array, rawBytes: number): Uint8Array
}

/** Gives a codec its parameter types; the registry in index.ts lists the results. */
export function defineCodec<const D extends ParamDefs>(codec: Codec<D>): Codec<D> {
  return codec
}

/** What the contract tells about a codec. */
export function describe(codec: Codec): CodecInfo {
  const { id, label, source, params } = codec
  return { id, label, source, params }
}
