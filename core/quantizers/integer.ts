import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import { groupSize, refuseGroup } from './groups.ts'
import { type BlockShape, defineQuantizer, type Quantizer, type Streams } from './quantizer.ts'
import { bytesOf, halvesOf } from './streams.ts'

const groupParams = {
  groupSize,
  asym: { kind: 'flag', label: 'Scale and zero point from minimum and maximum', option: 'asym' },
} as const
type GroupParams = typeof groupParams

/**
 * Integers of 2 to 8 bits with one F16 scale per group of values along headDim of one token.
 * Symmetric: s = f16(absmax / top), q = rne(x / s) clamped to ±top, top = 2^(bits-1) - 1, x' = q s; a code is stored as q + top.
 * `asym`: z = f16(min), s = f16((max - min) / top), q = rne((x - z) / s) clamped to 0..top, top = 2^bits - 1, x' = q s + z.
 * s = 0 gives x' = 0, or z. Every operation is rounded to F32, as torch does it, and the stored scale is the one used to quantise.
 * Streams: `codes` U8, `bits` bits a value; `scales` and, for `asym`, `zeros` F16 [kvHeads, tokens, groups].
 */
export function integerQuantizer(bits: 2 | 3 | 4 | 5 | 6 | 7 | 8): Quantizer<GroupParams> {
  return defineQuantizer({
    id: `int${bits}`,
    label: `${bits}-bit integers by group`,
    source: 'Rounding to nearest by absmax or min-max and group: Sheng et al., "FlexGen", arXiv 2303.06865; Liu et al., "KIVI", arXiv 2402.02750',
    lossy: true,
    params: groupParams,
    bits: ({ groupSize, asym }) => bits + (asym ? 32 : 16) / groupSize,
    refuse: ({ groupSize }, headDim) => refuseGroup(groupSize, headDim),
    layout({ kvHeads, tokens, headDim }, { groupSize, asym }) {
      const groups = { dtype: 'F16', shape: [kvHeads, tokens, headDim / groupSize] } as const
      return { codes: { dtype: 'U8', shape: [kvHeads, tokens, (headDim * bits) / 8] }, scales: groups, ...(asym ? { zeros: groups } : {}) }
    },
    encode(values, shape, { groupSize, asym }, out) {
      const { codes, scales, zeros } = streamsOf(out, shape, groupSize, bits, asym)
      kernels.quantizeGroups(values, groupSize, bits, codes, scales, zeros)
    },
    decode(streams, shape, { groupSize, asym }, out) {
      const { codes, scales, zeros } = streamsOf(streams, shape, groupSize, bits, asym)
      return kernels.dequantizeGroups(codes, scales, zeros, groupSize, bits, out)
    },
    errorBound(row, { groupSize, asym }, bound) {
      const top = (1 << (asym ? bits : bits - 1)) - 1
      for (let at = 0; at < row.length; at += groupSize) {
        const group = Array.from(row.subarray(at, at + groupSize))
        const low = Math.min(...group)
        const high = Math.max(...group)
        const s = f16ToF32(finiteF16(asym ? Math.fround(high - low) / top : Math.max(-low, high) / top, 'scale'))
        const z = asym ? f16ToF32(finiteF16(low, 'zero point')) : 0
        group.forEach((value, i) => {
          const x = asym ? value - z : Math.abs(value)
          // Half a step, or what clamping cuts off where F16 rounded the scale or the zero point inwards.
          bound[at + i] = Math.max(s / 2, x - top * s, asym ? -x : 0) + (Math.abs(z) + top * s) * 2 ** -22
        })
      }
    },
  })
}

function streamsOf(streams: Streams, { kvHeads, tokens, headDim }: BlockShape, groupSize: number, bits: number, asym: boolean): { codes: Uint8Array; scales: Uint16Array; zeros: Uint16Array | null } {
  const groups = (kvHeads * tokens * headDim) / groupSize
  return {
    codes: bytesOf(streams, 'codes', (groups * groupSize * bits) / 8),
    scales: halvesOf(streams, 'scales', groups),
    zeros: asym ? halvesOf(streams, 'zeros', groups) : null,
  }
}
