import type { Explained, ParamDefs, ParamValues, QuantizerInfo } from '#core/contract/method.ts'

export type Side = 'key' | 'value'

/** One layer of one side: `[kvHeads, tokens, headDim]`, row-major F32. `dtype` is the cache's own. */
export type BlockShape = { readonly side: Side; readonly kvHeads: number; readonly tokens: number; readonly headDim: number; readonly dtype: 'F32' | 'F16' | 'BF16' }

/** Element types of stored streams, safetensors' names; F16 and BF16 are held as their bits in a Uint16Array. */
export type StreamDtype = 'U8' | 'I8' | 'U16' | 'F16' | 'BF16' | 'F32'
export type StreamArray = Uint8Array | Int8Array | Uint16Array | Float32Array

/** Where one layer's part of a stream lies: shape without the leading layer axis. */
export type StreamLayout = { readonly dtype: StreamDtype; readonly shape: readonly number[] }

/** Streams of one layer by name, each a typed view by its dtype. */
export type Streams = Readonly<Record<string, StreamArray>>

/** What a quantizer learned of one layer and side before it encodes, by its own names. */
export type Tables = Streams

/** How a quantizer learns from caches of another text; each call sees one layer of one side. */
export type Learner<D extends ParamDefs = ParamDefs> = {
  /** Whether `encode` with these parameters needs tables. */
  asked(params: ParamValues<D>): boolean
  /** The tables, from all tokens of the calibration caches as one layer `[kvHeads, tokens, headDim]`. Throws as `encode`. */
  learn(values: Float32Array, shape: BlockShape, params: ParamValues<D>): Tables
}

/**
 * A lossy map from numbers to codes, one file each. Pure and deterministic.
 * Rows of headDim values of one token of one head are contiguous; a row never depends on other layers, and on other tokens and heads only as `axis` says.
 */
export type Quantizer<D extends ParamDefs = ParamDefs> = Readonly<Explained> & {
  readonly id: string
  readonly label: string
  /** Paper or reference file from which the arithmetic is taken. */
  readonly source: string
  readonly lossy: boolean
  readonly params: D
  /**
   * Along what scales are shared: the values of one token of one head, as it is where this is missing; those of one channel of one head over tokens, and then a token
   * depends on others; or more of a layer, and then tokens and heads may depend on all others.
   */
  axis?(params: ParamValues<D>, side: Side): 'token' | 'channel' | 'layer'
  /** How many of a run of tokens are quantised, from the first on; the others stay as they are. All of them where this is missing. */
  settled?(tokens: number, side: Side, params: ParamValues<D>): number
  /** Bits per value of what is quantised, scales and zero points included, by its formula; the conformance suite holds it against `layout`. */
  bits(params: ParamValues<D>, shape: BlockShape): number
  /** Why these parameters cannot work with this head size or, where it is known, with this run of tokens, and a valid choice; null where they can. */
  refuse(params: ParamValues<D>, headDim: number, run?: Pick<BlockShape, 'side' | 'tokens'>): { reason: string; nearest: Partial<ParamValues<D>> } | null
  /** The streams of one layer, name to dtype and shape; sizes depend on nothing but the arguments. */
  layout(shape: BlockShape, params: ParamValues<D>): Readonly<Record<string, StreamLayout>>
  /**
   * Encode `values` (length kvHeads*tokens*headDim) into `out`, which `layout` sized. Throws LabError NOT_FINITE for the first NaN or infinity, with
   * its index `at`; OUT_OF_RANGE where a scale or a value overflows its format. After an error `out` may hold anything.
   * `tables` are what `learner` made for the layer where it is asked; all that decoding needs of them goes into `out`.
   */
  encode(values: Float32Array, shape: BlockShape, params: ParamValues<D>, out: Streams, tables?: Tables): void
  /** Missing where it learns nothing from another text. */
  readonly learner?: Learner<D>
  /** Decode into `out` (length kvHeads*tokens*headDim). Returns whether all of it is finite, as it is unless the streams are damaged. */
  decode(streams: Streams, shape: BlockShape, params: ParamValues<D>, out: Float32Array): boolean
  /**
   * Largest allowed |x - x'| for each value of one row of headDim values or, by `axis`, of one channel of a head over all tokens or of the whole layer of that shape;
   * written to `bound`. Holds in exact arithmetic plus F32 rounding.
   */
  errorBound(values: Float32Array, params: ParamValues<D>, bound: Float32Array, shape: BlockShape, tables?: Tables): void
}

/** Gives a quantizer its parameter types; the registry in index.ts lists the results. */
export function defineQuantizer<const D extends ParamDefs>(quantizer: Quantizer<D>): Quantizer<D> {
  return quantizer
}

/** What the contract tells about a quantizer. */
export function describe(quantizer: Quantizer): QuantizerInfo {
  const { id, label, source, formula, caveats, lossy, params } = quantizer
  return { id, label, source, formula, caveats, lossy, params }
}
