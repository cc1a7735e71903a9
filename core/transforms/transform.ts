import type { Explained, ParamDefs, ParamValues, TransformInfo } from '#core/contract/method.ts'
import type { BlockShape, StreamLayout, Streams } from '#core/quantizers/quantizer.ts'
import type { RopeFacts } from './rope.ts'

/** What a transform may know beside values and shape: the position of their first token, and how keys were rotated. */
export type TransformContext = { readonly from: number; readonly rope: RopeFacts | null }

/**
 * A map on values that stands before any quantizer and is undone after it, one file each. Pure and deterministic.
 * Works in place on one layer of one side, `[kvHeads, tokens, headDim]` row-major F32. It may have streams of its own beside the quantizer's.
 */
export type Transform<D extends ParamDefs = ParamDefs> = Readonly<Explained> & {
  readonly id: string
  readonly label: string
  readonly source: string
  /** Whether `inverse` may give other values than `forward` got, if nothing comes between them. */
  readonly lossy: boolean
  /** Whether it needs to know how keys are rotated; missing means no. */
  readonly usesRope?: true
  readonly params: D
  /** Why this transform cannot work with this shape or without what is not known of the rotation; null where it can. */
  refuse(params: ParamValues<D>, shape: Pick<BlockShape, 'side' | 'kvHeads' | 'headDim'>, rope: RopeFacts | null): string | null
  /** Bits per value of its own streams; none where this is missing. */
  bits?(params: ParamValues<D>, shape: Pick<BlockShape, 'kvHeads' | 'headDim'>): number
  /** Its own streams of one layer, as a quantizer's; their names are none of a quantizer's. */
  layout?(shape: BlockShape, params: ParamValues<D>): Readonly<Record<string, StreamLayout>>
  /** Changes finite values and fills its streams. Throws LabError OUT_OF_RANGE where a stream cannot hold a value. */
  forward(values: Float32Array, shape: BlockShape, params: ParamValues<D>, context: TransformContext, out: Streams): void
  /** Undo `forward`, but for what it lost. False where the streams are not such as `forward` writes; then `values` may hold anything. */
  inverse(values: Float32Array, shape: BlockShape, params: ParamValues<D>, context: TransformContext, streams: Streams): boolean
}

/** Gives a transform its parameter types; the registry in index.ts lists the results. */
export function defineTransform<const D extends ParamDefs>(transform: Transform<D>): Transform<D> {
  return transform
}

/** What the contract tells about a transform. */
export function describe(transform: Transform): TransformInfo {
  const { id, label, source, formula, caveats, params } = transform
  return { id, label, source, formula, caveats, params }
}
