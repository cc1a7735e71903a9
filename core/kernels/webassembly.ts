import { base64 } from './assembly/index.ts?assembly'
import { BLOCK, blockBytes } from './blocks.ts'
import { channelKernels } from './channel-tiles.ts'
import { totalsOf } from './errors.ts'
import type { Converter, Exports } from './exports.ts'
import type { BlockFormat, FloatCodes, Kernels, LevelBlock, LevelFormat, SmallFloat } from './kernels.ts'
import { type BlockSize, LEVEL_BLOCKS } from './levels.ts'
import { addComparison, addExps, laneTotal, rowSums } from './logits.ts'
import { NF4_BOUNDS, NF4_LEVELS } from './normal-float.ts'
import { TURBO_BOUNDS, TURBO_LEVELS } from './turbo.ts'
import { typescriptKernels } from './typescript.ts'
import { productKernels } from './webassembly-products.ts'
import { rangeKernels } from './webassembly-ranges.ts'
import { ransKernels } from './webassembly-rans.ts'
import { rotationKernels } from './webassembly-rotations.ts'
import { transposeKernel } from './webassembly-transpose.ts'

/**
 * The kernels in WebAssembly SIMD; null where it is not to be had. Arrays go through a fixed memory tile by tile. A kernel only tells whether it
 * could: what is wrong with the values is then found and thrown by the same kernel in TypeScript, from the whole of them.
 */
export function webAssemblyKernels(): Kernels | null {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  if (typeof WebAssembly === 'undefined' || !WebAssembly.validate(bytes)) return null
  const exported: unknown = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports
  const wasm = exported as Exports
  const { buffer } = wasm.memory
  const tile = wasm.tileValues.value
  const tileValues = new Float32Array(buffer, wasm.valuesAt.value, tile)
  const tileCodes = new Uint8Array(buffer, wasm.codesAt.value, 4 * tile)
  const tileScales = new Uint16Array(buffer, wasm.scalesAt.value, tile / 16)
  const tileZeros = new Uint16Array(buffer, wasm.zerosAt.value, tile / 16)
  const tileSteps = new Float32Array(buffer, wasm.stepsAt.value, tile / 16)
  const tileHalves = new Uint16Array(buffer, wasm.codesAt.value, tile)
  const tileRestored = new Float32Array(buffer, wasm.codesAt.value, tile)
  const tileSums = new Float64Array(buffer, wasm.sumsAt.value, 20)
  const encoders: Record<SmallFloat, Converter> = { F16: wasm.encodeF16, BF16: wasm.encodeBf16, F8_E4M3: wasm.encodeF8e4m3, F8_E5M2: wasm.encodeF8e5m2 }
  const decoders: Record<SmallFloat, Converter> = { F16: wasm.decodeF16, BF16: wasm.decodeBf16, F8_E4M3: wasm.decodeF8e4m3, F8_E5M2: wasm.decodeF8e5m2 }
  const tileLevels = new Float32Array(buffer, wasm.levelsAt.value, 16)
  const tileBounds = new Float32Array(buffer, wasm.boundsAt.value, 16)
  const levelEncoders: Record<LevelFormat, Converter> = { iq4_nl: wasm.quantizeIq4nl, mxfp4: wasm.quantizeMxfp4, nvfp4: (count) => wasm.quantizeNvfp4(count, 0, 0), 'nvfp4:4over6': (count) => wasm.quantizeNvfp4(count, 1, 0) }
  const levelDecoders: Record<LevelBlock, Converter> = { iq4_nl: wasm.dequantizeIq4nl, mxfp4: wasm.dequantizeMxfp4, nvfp4: wasm.dequantizeNvfp4 }
  const tileOf = (codes: FloatCodes): FloatCodes => (codes instanceof Uint8Array ? tileCodes : tileHalves)

  /** Rows of `size` values to codes of `bits` and one scale each, and zero points where there are such, by a kernel for so many rows of the tile; whether it could. */
  function encodeRows(values: Float32Array, size: number, bits: number, codes: Uint8Array, scales: Uint16Array, run: Converter, zeros: Uint16Array | null = null): boolean {
    const codeBytes = (size * bits) / 8
    const most = Math.floor(tile / size)
    for (let from = 0; from < scales.length; from += most) {
      const to = Math.min(from + most, scales.length)
      tileValues.set(values.subarray(from * size, to * size))
      if (run(to - from) === 0) return false
      codes.set(tileCodes.subarray(0, (to - from) * codeBytes), from * codeBytes)
      scales.set(tileScales.subarray(0, to - from), from)
      zeros?.set(tileZeros.subarray(0, to - from), from)
    }
    return true
  }

  /** The other way; whether every scale and zero point is finite. */
  function decodeRows(codes: Uint8Array, scales: Uint16Array, size: number, bits: number, out: Float32Array, run: Converter, zeros: Uint16Array | null = null): boolean {
    const codeBytes = (size * bits) / 8
    const most = Math.floor(tile / size)
    let finite = 1
    for (let from = 0; from < scales.length; from += most) {
      const to = Math.min(from + most, scales.length)
      tileCodes.set(codes.subarray(from * codeBytes, to * codeBytes))
      tileScales.set(scales.subarray(from, to))
      if (zeros) tileZeros.set(zeros.subarray(from, to))
      finite &= run(to - from)
      out.set(tileValues.subarray(0, (to - from) * size), from * size)
    }
    return finite === 1
  }

  /** Values to blocks of a kind by a kernel for so many blocks of the tile; whether it could. */
  function encodeBlocks(values: Float32Array, { values: size, bytes }: BlockSize, blocks: Uint8Array, run: Converter): boolean {
    for (let from = 0; from < values.length; from += tile) {
      const part = values.subarray(from, from + tile)
      const count = part.length / size
      tileValues.set(part)
      if (run(count) === 0) return false
      blocks.set(tileCodes.subarray(0, count * bytes), (from / size) * bytes)
    }
    return true
  }

  return {
    implementation: 'WebAssembly SIMD',
    ...ransKernels(wasm),
    ...rangeKernels(wasm),
    ...transposeKernel(wasm),
    ...channelKernels(wasm),
    ...rotationKernels(wasm),
    ...productKernels(wasm),

    quantizeGroups(values, groupSize, bits, clip, codes, scales, zeros) {
      const run = (groups: number): number => wasm.quantizeGroups(groups, groupSize, bits, zeros ? 1 : 0, clip)
      if (!encodeRows(values, groupSize, bits, codes, scales, run, zeros)) typescriptKernels.quantizeGroups(values, groupSize, bits, clip, codes, scales, zeros)
    },

    dequantizeGroups(codes, scales, zeros, groupSize, bits, out) {
      return decodeRows(codes, scales, groupSize, bits, out, (groups) => wasm.dequantizeGroups(groups, groupSize, bits, zeros ? 1 : 0), zeros)
    },

    quantizeBlocks(values, format, blocks) {
      const run = (count: number): number => wasm.quantizeBlocks(count, format.bits, flag(format))
      if (!encodeBlocks(values, { values: BLOCK, bytes: blockBytes(format) }, blocks, run)) typescriptKernels.quantizeBlocks(values, format, blocks)
    },

    dequantizeBlocks(blocks, format, out) {
      const stride = blockBytes(format)
      let finite = 1
      for (let from = 0; from < out.length; from += tile) {
        const count = Math.min(tile, out.length - from) / BLOCK
        const at = (from / BLOCK) * stride
        tileCodes.set(blocks.subarray(at, at + count * stride))
        finite &= wasm.dequantizeBlocks(count, format.bits, flag(format))
        out.set(tileValues.subarray(0, count * BLOCK), from)
      }
      return finite === 1
    },

    quantizeLevels(values, format, blocks) {
      const size = LEVEL_BLOCKS[format === 'nvfp4:4over6' ? 'nvfp4' : format]
      if (!encodeBlocks(values, size, blocks, levelEncoders[format])) typescriptKernels.quantizeLevels(values, format, blocks)
    },

    quantizeScaledNvfp4(values, scale, fourOverSix, blocks) {
      const run = (count: number): number => wasm.quantizeNvfp4(count, fourOverSix ? 1 : 0, scale)
      if (!encodeBlocks(values, LEVEL_BLOCKS.nvfp4, blocks, run)) typescriptKernels.quantizeScaledNvfp4(values, scale, fourOverSix, blocks)
    },

    dequantizeLevels(blocks, format, out) {
      const { values: size, bytes } = LEVEL_BLOCKS[format]
      const decode = levelDecoders[format]
      let finite = 1
      for (let from = 0; from < out.length; from += tile) {
        const count = Math.min(tile, out.length - from) / size
        const at = (from / size) * bytes
        tileCodes.set(blocks.subarray(at, at + count * bytes))
        finite &= decode(count)
        out.set(tileValues.subarray(0, count * size), from)
      }
      return finite === 1
    },

    quantizeNormalFloat(values, groupSize, codes, scales) {
      tileBounds.set(NF4_BOUNDS)
      const run = (groups: number): number => wasm.quantizeNormalFloat(groups, groupSize)
      if (!encodeRows(values, groupSize, 4, codes, scales, run)) typescriptKernels.quantizeNormalFloat(values, groupSize, codes, scales)
    },

    dequantizeNormalFloat(codes, scales, groupSize, out) {
      tileLevels.set(NF4_LEVELS)
      return decodeRows(codes, scales, groupSize, 4, out, (groups) => wasm.dequantizeNormalFloat(groups, groupSize))
    },

    quantizeCodebook(values, bounds, bits, codes) {
      tileBounds.set(bounds)
      for (let from = 0; from < values.length; from += tile) {
        const part = values.subarray(from, from + tile)
        tileValues.set(part)
        wasm.quantizeCodebook(part.length, bits)
        codes.set(tileCodes.subarray(0, (part.length * bits) / 8), (from * bits) / 8)
      }
    },

    dequantizeCodebook(codes, levels, bits, out) {
      tileLevels.set(levels)
      for (let from = 0; from < out.length; from += tile) {
        const to = Math.min(from + tile, out.length)
        tileCodes.set(codes.subarray((from * bits) / 8, (to * bits) / 8))
        wasm.dequantizeCodebook(to - from, bits)
        out.set(tileValues.subarray(0, to - from), from)
      }
    },

    quantizeTurbo(values, headDim, bits, codes, norms) {
      tileBounds.set(TURBO_BOUNDS[bits])
      const run = (rows: number): number => wasm.quantizeTurbo(rows, headDim, bits)
      if (!encodeRows(values, headDim, bits, codes, norms, run)) typescriptKernels.quantizeTurbo(values, headDim, bits, codes, norms)
    },

    dequantizeTurbo(codes, norms, headDim, bits, corrected, out) {
      tileLevels.set(TURBO_LEVELS[bits])
      return decodeRows(codes, norms, headDim, bits, out, (rows) => wasm.dequantizeTurbo(rows, headDim, bits, corrected ? 1 : 0))
    },

    selectRows(values, length, index, selected) {
      if (length > tile) return typescriptKernels.selectRows(values, length, index, selected)
      const most = Math.min(Math.floor(tile / length), tileSteps.length)
      for (let from = 0; from < selected.length; from += most) {
        const to = Math.min(from + most, selected.length)
        tileValues.set(values.subarray(from * length, to * length))
        wasm.selectRows(to - from, length, index)
        selected.set(tileSteps.subarray(0, to - from), from)
      }
    },

    encodeFloats(format, values, codes) {
      const encode = encoders[format]
      const coded = tileOf(codes)
      let finite = 1
      for (let from = 0; from < values.length; from += tile) {
        const part = values.subarray(from, from + tile)
        tileValues.set(part)
        finite &= encode(part.length)
        codes.set(coded.subarray(0, part.length), from)
      }
      return finite === 1
    },

    decodeFloats(format, codes, out) {
      const decode = decoders[format]
      const coded = tileOf(codes)
      let finite = 1
      for (let from = 0; from < codes.length; from += tile) {
        const part = codes.subarray(from, from + tile)
        coded.set(part)
        finite &= decode(part.length)
        out.set(tileValues.subarray(0, part.length), from)
      }
      return finite === 1
    },

    firstNonFinite(values) {
      for (let from = 0; from < values.length; from += tile) {
        const part = values.subarray(from, from + tile)
        tileValues.set(part)
        if (wasm.allFinite(part.length) === 0) return from + typescriptKernels.firstNonFinite(part)
      }
      return -1
    },

    hadamard(values) {
      for (let from = 0; from < values.length; from += tile) {
        const part = values.subarray(from, from + tile)
        tileValues.set(part)
        wasm.hadamard(part.length)
        part.set(part.length === tile ? tileValues : tileValues.subarray(0, part.length))
      }
    },

    errorTotals(original, restored) {
      tileSums.fill(0)
      for (let from = 0; from < original.length; from += tile) {
        const part = original.subarray(from, from + tile)
        tileValues.set(part)
        tileRestored.set(restored.subarray(from, from + tile))
        wasm.addErrors(part.length)
      }
      return totalsOf(tileSums)
    },

    largestLogit(row) {
      let most = -Infinity
      for (let from = 0; from < row.length; from += tile) {
        const part = row.subarray(from, from + tile)
        tileValues.set(part)
        most = Math.max(most, wasm.largestLogit(part.length))
      }
      return most + 0
    },

    sumExps(row, shift) {
      tileSums.fill(0)
      for (let from = 0; from < row.length; from += tile) {
        const part = row.subarray(from, from + tile)
        tileValues.set(part)
        wasm.addExps(part.length & ~3, shift)
        addExps(tileSums, part.subarray(part.length & ~3), shift)
      }
      return laneTotal(tileSums, 0)
    },

    compareRows(row, shift, known, knownShift) {
      tileSums.fill(0)
      for (let from = 0; from < row.length; from += tile) {
        const part = row.subarray(from, from + tile)
        tileValues.set(part)
        const knownPart = known.subarray(from, from + tile)
        tileRestored.set(knownPart)
        wasm.addComparison(part.length & ~3, shift, knownShift)
        addComparison(tileSums, part.subarray(part.length & ~3), shift, knownPart.subarray(part.length & ~3), knownShift)
      }
      return rowSums(tileSums)
    },
  }
}

function flag({ affine }: BlockFormat): number {
  return affine ? 1 : 0
}
