import type { ParamDefs, ParamValues, TransformInfo } from '#core/contract/method.ts'
import type { BlockShape } from '#core/quantizers/quantizer.ts'

/**
 * A map on values that stands before any quantizer and is undone after it, one file each. Pure and deterministic.
 * Works in place on one layer of one side, `[kvHeads, tokens, headDim]` row-major F32.
 */
export type Transform<D extends ParamDefs = ParamDefs> = {
  readonly id: string
  readonly label: string
  readonly source: string
  readonly params: D
  /** Why this transform cannot work with this head size; null where it can. */
  refuse(params: ParamValues<D>, headDim: number): string | null
  forward(values: Float32Array, shape: BlockShape, params: ParamValues<D>): void
  /** Undo `forward`; does nothing for transforms that lose what they change. */
  inverse(values: Float32Array, shape: BlockShape, params: ParamValues<D>): void
}

/** Gives a transform its parameter types; the registry in index.ts lists the results. */
export function defineTransform<const D extends ParamDefs>(transform: Transform<D>): Transform<D> {
  return transform
}

/** What the contract tells about a transform. */
export function describe(transform: Transform): TransformInfo {
  const { id, label, source, params } = transform
  return { id, label, source, params }
}
