import { dequantizeFloat4, quantizeMxfp4, quantizeNvfp4 } from './float4.ts'
import { dequantizeIq4nl, quantizeIq4nl } from './iq4nl.ts'
import type { LevelBlock, LevelFormat } from './kernels.ts'

/** Values and bytes of one block. */
export type BlockSize = { readonly values: number; readonly bytes: number }

export const LEVEL_BLOCKS: Record<LevelBlock, BlockSize> = {
  iq4_nl: { values: 32, bytes: 18 },
  mxfp4: { values: 32, bytes: 17 },
  nvfp4: { values: 64, bytes: 36 },
}

/** Kernels.quantizeLevels in TypeScript. */
export function quantizeLevels(values: Float32Array, format: LevelFormat, blocks: Uint8Array): void {
  if (format === 'iq4_nl') quantizeIq4nl(values, blocks)
  else if (format === 'mxfp4') quantizeMxfp4(values, blocks)
  else quantizeNvfp4(values, format === 'nvfp4:4over6', blocks)
}

/** Kernels.dequantizeLevels in TypeScript. */
export function dequantizeLevels(blocks: Uint8Array, format: LevelBlock, out: Float32Array): boolean {
  return format === 'iq4_nl' ? dequantizeIq4nl(blocks, out) : dequantizeFloat4(blocks, format, out)
}
