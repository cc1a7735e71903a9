import type { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import { layerValues, SIDES, type KvArrays, type KvCache, type KvShape, type Side } from '#core/kv/cache.ts'
import type { Reference, TokenScores } from './score.ts'

/** The method that a row is measured by, and which layer of the model the cache is where it is one by itself; null where it is all of them. */
export type Origin = { readonly method: Method; readonly layer: number | null }

/**
 * Encode a cache by a method, `origin`'s or a part of that, to bytes, and decode these into the arrays of `into`, which may be the cache's own. Throws LabError for a cache the
 * method cannot hold.
 */
export type Restore = (cache: KvCache, method: Method, into: KvArrays, origin: Origin) => void

/**
 * What one row of a window came to: its scores or what went wrong; the cache of all its tokens as the model made it, and as later tokens attended to it. Of each side and
 * layer the first `settled` tokens of `attended` are restored ones, those that the method keeps among them; the rest are as the model made them.
 */
export type ModeRow = { readonly scores: TokenScores | LabError; readonly original: KvCache; readonly attended: KvArrays; readonly settled: Readonly<Record<Side, readonly number[]>> }

/** A mode in which the cache is compressed while the window is read, not once between two passes. */
export type WindowMode = {
  /** The pass of the window without compression that others are scored against. It lies in the session's memory until the next call. */
  reference(ids: Uint32Array): Promise<Reference>
  /** The window once for each method, in one batch; null leaves a row's cache as it is. */
  score(ids: Uint32Array, methods: readonly (Method | null)[], reference: Reference): Promise<ModeRow[]>
}

/** Arrays of a cache of this shape, all zero. */
export function emptyArrays(shape: KvShape): KvArrays {
  const layers = (): Float32Array[] => Array.from({ length: shape.layers }, () => new Float32Array(layerValues(shape)))
  return { key: layers(), value: layers() }
}

/** Copies `count` tokens of each head from `from[fromToken]` on to `to[toToken]` on; arrays are `[kvHeads, tokens, headDim]`. */
export function copyTokens(heads: number, headDim: number, from: Float32Array, fromToken: number, to: Float32Array, toToken: number, count: number): void {
  const [fromHead, toHead] = [from.length / heads, to.length / heads]
  for (let head = 0; head < heads; head++) {
    const begin = head * fromHead + fromToken * headDim
    to.set(from.subarray(begin, begin + count * headDim), head * toHead + toToken * headDim)
  }
}

/** The side and layer of the first settled token whose restored values differ from those that were attended to, bit for bit; null where there is none. */
export function differingLayer({ original: { shape }, attended, settled }: Omit<ModeRow, 'scores'>, restored: KvArrays): { side: Side; layer: number } | null {
  const headValues = shape.tokens * shape.headDim
  for (const side of SIDES) {
    for (const [layer, values] of attended[side].entries()) {
      const others = restored[side][layer] ?? new Float32Array()
      for (let head = 0; head < shape.kvHeads; head++) {
        const run = (array: Float32Array): Uint8Array => new Uint8Array(array.buffer, array.byteOffset + 4 * head * headValues, 4 * (settled[side][layer] ?? 0) * shape.headDim)
        if (Buffer.compare(run(values), run(others)) !== 0) return { side, layer }
      }
    }
  }
  return null
}
