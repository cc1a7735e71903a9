import type { ParamDefs, ParamValues } from '#core/contract/method.ts'
import { kernels } from '#core/kernels/index.ts'
import type { LevelBlock, LevelFormat } from '#core/kernels/kernels.ts'
import { LEVEL_BLOCKS } from '#core/kernels/levels.ts'
import { defineQuantizer, type Quantizer } from './quantizer.ts'
import { bytesOf } from './streams.ts'

type Own<D extends ParamDefs> = Pick<Quantizer<D>, 'label' | 'source' | 'formula' | 'caveats' | 'params' | 'errorBound'> & { readonly format: (params: ParamValues<D>) => LevelFormat }

/** The quantizer of one kind of blocks with uneven levels; `format` says how they are encoded. Stream `blocks` U8 [kvHeads, tokens, headDim / values of a block * its bytes]. */
export function levelQuantizer<const D extends ParamDefs>(block: LevelBlock, { format, ...own }: Own<D>): Quantizer<D> {
  const { values: size, bytes } = LEVEL_BLOCKS[block]
  return defineQuantizer<D>({
    id: block,
    lossy: true,
    ...own,
    bits: () => (8 * bytes) / size,
    refuse: (_, headDim) => (headDim % size === 0 ? null : { reason: `its blocks of ${size} values do not divide the head size ${headDim}`, nearest: {} }),
    layout: ({ kvHeads, tokens, headDim }) => ({ blocks: { dtype: 'U8', shape: [kvHeads, tokens, (headDim / size) * bytes] } }),
    encode: (values, _shape, params, out) => kernels.quantizeLevels(values, format(params), bytesOf(out, 'blocks', (values.length / size) * bytes)),
    decode: (streams, _shape, _params, out) => kernels.dequantizeLevels(bytesOf(streams, 'blocks', (out.length / size) * bytes), block, out),
  })
}

/** Distance of x from the nearest of some levels. */
export function distanceToNearest(x: number, levels: Iterable<number>): number {
  let least = Infinity
  for (const level of levels) least = Math.min(least, Math.abs(x - level))
  return least
}
