import { SIDES, type KvArrays, type KvCache } from '#core/kv/cache.ts'
import { ErrorSums } from '#core/kv/metrics.ts'

/** Error of each layer and side of a decoded cache against the original, in the journal's order. */
export function errorSums(original: KvCache, restored: KvArrays): number[][] {
  return original.key.flatMap((_, layer) =>
    SIDES.map((side) => {
      const sums = new ErrorSums()
      const before = original[side][layer]
      const after = restored[side][layer]
      if (before && after) sums.add(before, after)
      return sums.toJSON()
    }),
  )
}

/** Whether a decoded cache is the original, bit for bit. */
export function sameBits(original: KvCache, restored: KvArrays): boolean {
  return SIDES.every((side) =>
    original[side].every((values, layer) => {
      const other = restored[side][layer]
      return other !== undefined && Buffer.compare(asBytes(values), asBytes(other)) === 0
    }),
  )
}

function asBytes(values: Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength)
}
