import type { ParamValues } from '#core/contract/method.ts'
import { refuseGroup } from './groups.ts'
import { integerQuantizer } from './integer.ts'
import { defineQuantizer, type Quantizer, type Side } from './quantizer.ts'

const MIN_RESIDUAL = 16
const MAX_RESIDUAL = 4096
const STEP = 8

const kiviParams = {
  group: { kind: 'int', label: 'Tokens of a key channel, or channels of a value, per scale', option: 'g', default: 32, min: 16, max: 256, multipleOf: STEP },
  residual: { kind: 'int', label: 'Residual: tokens after which keys are flushed, and last tokens of values kept', option: 'r', default: 128, min: MIN_RESIDUAL, max: MAX_RESIDUAL, multipleOf: STEP },
} as const
type KiviParams = typeof kiviParams

/**
 * KIVI on the integers of integer.ts. Its code computes in the dtype of the model's tensors, F16 as a rule; ours in F32 on the same F16 scale and zero point, which tells apart only values
 * next to the middle of two codes. Its 32-bit words along the groups hold the same codes; ours lie by token, as those of integer.ts.
 */
export function kiviQuantizer(bits: 2 | 4): Quantizer<KiviParams> {
  const integers = integerQuantizer(bits)
  const own = ({ group }: ParamValues<KiviParams>, side: Side) => ({ groupSize: group, asym: true, axisChannel: side === 'key', clip: 100 })
  return defineQuantizer({
    id: `kivi${bits}`,
    label: `KIVI: ${bits}-bit keys by channel and values by token, the last tokens as they are`,
    source: 'Liu et al., "KIVI", arXiv 2402.02750; its quant/new_pack.py and models/llama_kivi.py',
    formula: [
      `keys: by channel, groups of g consecutive tokens; values: by token, groups of g channels`,
      `z = f16(min), s = f16((max - min) / ${2 ** bits - 1}), q = rne((x - z) / s) within 0..${2 ** bits - 1}, x' = q s + z`,
      'as they are: of T tokens the last T mod r of keys, which are flushed by r, and the last r of values',
    ],
    caveats: [
      'Its authors advise 2 bits for models with a KV head per query head and 4 bits where heads share one (GQA, MQA).',
      'Its prompt attends to keys and values that are not quantised; handoff and streaming measure what later tokens see.',
      'In few tokens the residual is most of the cache: look at bits per value before comparing.',
    ],
    lossy: true,
    params: kiviParams,
    axis: (_, side) => (side === 'key' ? 'channel' : 'token'),
    settled: (tokens, side, { residual }) => (side === 'key' ? tokens - (tokens % residual) : Math.max(0, tokens - residual)),
    bits: (params, shape) => integers.bits(own(params, shape.side), shape),
    refuse(params, headDim, run) {
      const { group, residual } = params
      const misfit = refuseGroup(group, headDim)
      if (misfit) {
        const fitting = misfit.nearest.groupSize
        return { reason: misfit.reason, nearest: fitting === undefined ? {} : { group: fitting, residual: multipleOf(fitting, residual) } }
      }
      if (residual % group !== 0) return { reason: `a residual of ${residual} is no multiple of the group of ${group}`, nearest: { residual: multipleOf(group, residual) } }
      if (!run || residual < run.tokens || (residual === run.tokens && run.side === 'key')) return null
      const reason = `a residual of ${residual} leaves none of ${run.tokens} ${run.side} tokens to quantise`
      return { reason, nearest: group < run.tokens ? { residual: multipleOf(group, run.tokens - 1) } : {} }
    },
    layout: (shape, params) => integers.layout(shape, own(params, shape.side)),
    encode: (values, shape, params, out) => integers.encode(values, shape, own(params, shape.side), out),
    decode: (streams, shape, params, out) => integers.decode(streams, shape, own(params, shape.side), out),
    errorBound: (row, params, bound, shape) => integers.errorBound(row, own(params, 'value'), bound, shape),
  })
}

/** The largest multiple of `group` up to `most` and to the largest residual, and at least one. */
function multipleOf(group: number, most: number): number {
  return Math.max(1, Math.floor(Math.min(most, MAX_RESIDUAL) / group)) * group
}
