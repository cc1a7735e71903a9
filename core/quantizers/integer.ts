import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import type { ParamValues } from '#core/contract/method.ts'
import { groupSize, refuseGroup } from './groups.ts'
import { type BlockShape, defineQuantizer, type Quantizer, type Streams } from './quantizer.ts'
import { bytesOf, halvesOf } from './streams.ts'

const integerParams = {
  groupSize,
  asym: { kind: 'flag', label: 'Scale and zero point from minimum and maximum', option: 'asym' },
  axisChannel: { kind: 'flag', label: 'Groups of consecutive tokens of one channel', option: 'axis-channel' },
  clip: { kind: 'int', label: 'Percent of the range that has codes', option: 'clip', default: 100, min: 50, max: 100, unwritten: true },
} as const
type IntegerParams = typeof integerParams

/** Bits of a code that there are kernels for. */
export type IntegerBits = 2 | 3 | 4 | 5 | 6 | 7 | 8

/**
 * Integers of 2 to 8 bits with one F16 scale per group of values along headDim of one token or, `axis-channel`, along the tokens of one channel
 * of one head, where the last group may be shorter. A code of the symmetric form is stored as q + top.
 * s = 0 gives x' = 0, or z. Every operation is rounded to F32, as torch does it, and the stored scale is the one used to quantise.
 * Streams: `codes` U8, `bits` bits a value, by token; `scales` and, for `asym`, `zeros` F16 [kvHeads, tokens, groups] or [kvHeads, groups, headDim].
 */
export function integerQuantizer(bits: IntegerBits): Quantizer<IntegerParams> {
  return defineQuantizer({
    id: `int${bits}`,
    label: `${bits}-bit integers by group`,
    source: 'Rounding to nearest by absmax or min-max and group: Sheng et al., "FlexGen", arXiv 2303.06865; by channel: Liu et al., "KIVI", arXiv 2402.02750; clip: Duanmu et al., "SKVQ", arXiv 2405.06219',
    formula: [
      `s = f16(absmax / ${2 ** (bits - 1) - 1}), q = rne(x / s) within ±${2 ** (bits - 1) - 1}, x' = q s`,
      `asym: z = f16(min), s = f16((max - min) / ${2 ** bits - 1}), q = rne((x - z) / s) within 0..${2 ** bits - 1}, x' = q s + z`,
      'clip<p>: absmax, min and max are first multiplied by p / 100; what lies beyond saturates',
    ],
    caveats: [
      ...(bits === 2 ? ['Without asym two bits have three levels: -s, 0 and s.'] : []),
      'Some channels of keys are many times larger than others and take the scale of a token: below 5 bits rotate keys (hadamard) or scale them by channel (axis-channel).',
      'By channel a group is settled by its last token, so that what is made of a token depends on later ones.',
      'The zero point is no integer: channels of one sign, as keys have them, would put one out of range.',
    ],
    lossy: true,
    params: integerParams,
    axis: ({ axisChannel }) => (axisChannel ? 'channel' : 'token'),
    bits({ groupSize, asym, axisChannel }, { tokens }) {
      const perValue = axisChannel ? Math.ceil(tokens / groupSize) / tokens : 1 / groupSize
      return bits + (asym ? 32 : 16) * perValue
    },
    refuse({ groupSize, axisChannel }, headDim) {
      if (!axisChannel) return refuseGroup(groupSize, headDim)
      return headDim % 8 === 0 ? null : { reason: `the codes of a token fill whole bytes only where 8 divides the head size, not ${headDim}`, nearest: {} }
    },
    layout({ kvHeads, tokens, headDim }, { groupSize, asym, axisChannel }) {
      const shape = axisChannel ? [kvHeads, Math.ceil(tokens / groupSize), headDim] : [kvHeads, tokens, headDim / groupSize]
      const groups = { dtype: 'F16', shape } as const
      return { codes: { dtype: 'U8', shape: [kvHeads, tokens, (headDim * bits) / 8] }, scales: groups, ...(asym ? { zeros: groups } : {}) }
    },
    encode(values, shape, params, out) {
      const { codes, scales, zeros } = streamsOf(out, shape, params, bits)
      const { groupSize, axisChannel } = params
      const clip = Math.fround(params.clip / 100)
      if (axisChannel) kernels.quantizeChannels(values, { ...shape, groupSize }, bits, clip, codes, scales, zeros)
      else kernels.quantizeGroups(values, groupSize, bits, clip, codes, scales, zeros)
    },
    decode(streams, shape, params, out) {
      const { codes, scales, zeros } = streamsOf(streams, shape, params, bits)
      const { groupSize, axisChannel } = params
      if (axisChannel) return kernels.dequantizeChannels(codes, scales, zeros, { ...shape, groupSize }, bits, out)
      return kernels.dequantizeGroups(codes, scales, zeros, groupSize, bits, out)
    },
    errorBound(row, { groupSize, asym, clip }, bound) {
      const top = (1 << (asym ? bits : bits - 1)) - 1
      for (let at = 0; at < row.length; at += groupSize) {
        const group = Array.from(row.subarray(at, at + groupSize))
        const part = Math.fround(clip / 100)
        const low = Math.fround(Math.min(...group) * part)
        const high = Math.fround(Math.max(...group) * part)
        const s = f16ToF32(finiteF16(asym ? Math.fround(high - low) / top : Math.max(-low, high) / top, 'scale'))
        const z = asym ? f16ToF32(finiteF16(low, 'zero point')) : 0
        group.forEach((value, i) => {
          const x = asym ? value - z : Math.abs(value)
          // Half a step, or what is cut off beyond the codes: by `clip`, or where F16 rounded the scale or the zero point inwards.
          bound[at + i] = Math.max(s / 2, x - top * s, asym ? -x : 0) + (Math.abs(z) + top * s) * 2 ** -22
        })
      }
    },
  })
}

function streamsOf(
  streams: Streams,
  { kvHeads, tokens, headDim }: BlockShape,
  { groupSize, asym, axisChannel }: ParamValues<IntegerParams>,
  bits: number,
): { codes: Uint8Array; scales: Uint16Array; zeros: Uint16Array | null } {
  const groups = kvHeads * (axisChannel ? Math.ceil(tokens / groupSize) * headDim : (tokens * headDim) / groupSize)
  return {
    codes: bytesOf(streams, 'codes', (kvHeads * tokens * headDim * bits) / 8),
    scales: halvesOf(streams, 'scales', groups),
    zeros: asym ? halvesOf(streams, 'zeros', groups) : null,
  }
}
