import type { ParamDefs, ParamValues, QuantizerInfo } from '#core/contract/method.ts'

/** One layer of one side (keys or values): `[kvHeads, tokens, headDim]`, row-major F32. */
export type BlockShape = { readonly kvHeads: number; readonly tokens: number; readonly headDim: number; readonly dtype: 'F32' | 'F16' | 'BF16' }

/** Element types of stored streams, safetensors' names; F16 and BF16 are held as their bits in a Uint16Array. */
export type StreamDtype = 'U8' | 'I8' | 'F16' | 'BF16' | 'F32'
export type StreamArray = Uint8Array | Int8Array | Uint16Array | Float32Array

/** Where one layer's part of a stream lies: shape without the leading layer axis. */
export type StreamLayout = { readonly dtype: StreamDtype; readonly shape: readonly number[] }

/** Streams of one layer by name, each a typed view by its dtype. */
export type Streams = Readonly<Record<string, StreamArray>>

/**
 * A lossy map from numbers to codes, one file each. Pure and deterministic.
 * Rows of headDim values of one token of one head are contiguous; a row never depends on `kvHeads` or on other layers.
 */
export type Quantizer<D extends ParamDefs = ParamDefs> = {
  readonly id: string
  readonly label: string
  /** Paper or reference file from which the arithmetic is taken. */
  readonly source: string
  readonly lossy: boolean
  readonly params: D
  /** Bits per value, scales and zero points included, by its formula; the conformance suite holds it against `layout`. */
  bits(params: ParamValues<D>, shape: Pick<BlockShape, 'headDim' | 'dtype'>): number
  /** Why these parameters cannot work with this head size, and a valid choice; null where they can. */
  refuse(params: ParamValues<D>, headDim: number): { reason: string; nearest: Partial<ParamValues<D>> } | null
  /** The streams of one layer, name to dtype and shape; sizes depend on nothing but the arguments. */
  layout(shape: BlockShape, params: ParamValues<D>): Readonly<Record<string, StreamLayout>>
  /**
   * Encode `values` (length kvHeads*tokens*headDim) into `out`, which `layout` sized. Throws LabError NOT_FINITE for the first NaN or infinity, with
   * its index `at`; OUT_OF_RANGE where a scale or a value overflows its format. After an error `out` may hold anything.
   */
  encode(values: Float32Array, shape: BlockShape, params: ParamValues<D>, out: Streams): void
  /** Decode into `out` (length kvHeads*tokens*headDim). Returns whether all of it is finite, as it is unless the streams are damaged. */
  decode(streams: Streams, shape: BlockShape, params: ParamValues<D>, out: Float32Array): boolean
  /** Largest allowed |x - x'| for each value of one row of headDim values; written to `bound`. Holds in exact arithmetic plus F32 rounding. */
  errorBound(row: Float32Array, params: ParamValues<D>, bound: Float32Array): void
}

/** Gives a quantizer its parameter types; the registry in index.ts lists the results. */
export function defineQuantizer<const D extends ParamDefs>(quantizer: Quantizer<D>): Quantizer<D> {
  return quantizer
}

/** What the contract tells about a quantizer. */
export function describe(quantizer: Quantizer): QuantizerInfo {
  const { id, label, source, lossy, params } = quantizer
  return { id, label, source, lossy, params }
}
