import { bitsUnder, f8e4m3ToF32 } from '#core/bytes/float.ts'
import { largestMagnitude } from '#core/kernels/extremes.ts'
import { FLOAT4_LEVELS, nvfp4Scale } from '#core/kernels/float4.ts'
import { distanceToNearest, levelQuantizer } from './levels.ts'

const SUB_BLOCK = 16

/**
 * NVFP4 in ggml's block of 64: E2M1 numbers under an E4M3 scale, absmax / 6, per 16 values, and no scale of the whole tensor above them. Scales are
 * refused above 448, where ggml saturates. `4over6`: of the scales absmax / 6 and absmax / 4 the one of less squared error.
 */
export const nvfp4 = levelQuantizer('nvfp4', {
  label: 'NVFP4: E2M1 numbers, one E4M3 scale per 16',
  source: 'ggml/src/ggml-quants.c of llama.cpp: quantize_row_nvfp4_ref; 4over6: Cook et al., "Four Over Six", arXiv 2512.02010, vLLM nvfp4_4over6',
  params: { fourOverSix: { kind: 'flag', label: 'Scale absmax / 6 or absmax / 4, by squared error', option: '4over6' } },
  format: ({ fourOverSix }) => (fourOverSix ? 'nvfp4:4over6' : 'nvfp4'),
  errorBound(row, { fourOverSix }, bound) {
    const bits = bitsUnder(row)
    for (let at = 0; at < row.length; at += SUB_BLOCK) {
      const most = largestMagnitude(bits, at, SUB_BLOCK)
      const scales = (fourOverSix ? [6, 4] : [6]).map((top) => nvfp4Scale(most, top)).filter((code) => code >= 0).map(f8e4m3ToF32)
      for (let i = at; i < at + SUB_BLOCK; i++) bound[i] = Math.max(...scales.map((d) => (d === 0 ? Math.abs(row[i]!) : d * distanceToNearest(Math.abs(row[i]!) / d, FLOAT4_LEVELS)))) * (1 + 2 ** -40)
    }
  },
})
