import type { Side } from '#core/quantizers/quantizer.ts'
import type { RopeFacts } from '#core/transforms/rope.ts'

export { ropeFacts } from '#core/transforms/rope-config.ts'
export type { RopeFacts, Side }

/** Dtypes a KV cache can have in a model or file. */
export type KvDtype = 'F32' | 'F16' | 'BF16'

/**
 * Shape of the KV cache of one sequence (batch 1). `dtype` is the model's or file's own; values are held as F32, which holds all three exactly.
 * `rope` says how its keys were rotated, where that is known; only methods that undo it need it.
 */
export type KvShape = { readonly layers: number; readonly kvHeads: number; readonly tokens: number; readonly headDim: number; readonly dtype: KvDtype; readonly rope?: RopeFacts }

/** Per layer one row-major F32 array `[kvHeads, tokens, headDim]`; the arrays may be views into larger buffers. */
export type KvArrays = { readonly key: readonly Float32Array[]; readonly value: readonly Float32Array[] }

/** A KV cache in memory. */
export type KvCache = KvArrays & { readonly shape: KvShape }

export const SIDES = ['key', 'value'] as const satisfies readonly Side[]

/** Values in one layer of one side. */
export function layerValues(shape: KvShape): number {
  return shape.kvHeads * shape.tokens * shape.headDim
}

/** Values in the whole cache, keys and values together. */
export function cacheValues(shape: KvShape): number {
  return 2 * shape.layers * layerValues(shape)
}

/** Size of the cache at F16, 2 bytes a value: the reference of every ratio. */
export function f16Bytes(shape: KvShape): number {
  return 2 * cacheValues(shape)
}
