import { base64 } from './assembly/index.ts?assembly'
import { BLOCK, blockBytes } from './blocks.ts'
import { totalsOf } from './errors.ts'
import type { BlockFormat, FloatCodes, Kernels, SmallFloat } from './kernels.ts'
import { addComparison, addExps, laneTotal, rowSums } from './logits.ts'
import { typescriptKernels } from './typescript.ts'

/** What assembly/index.ts exports: places and sizes of the tile in its memory, and a kernel for each of ours. Flags are 0 or 1. */
type Exports = {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly tileValues: Place
  readonly valuesAt: Place
  readonly codesAt: Place
  readonly scalesAt: Place
  readonly zerosAt: Place
  readonly sumsAt: Place
  quantizeGroups(groups: number, groupSize: number, bits: number, asym: number): number
  dequantizeGroups(groups: number, groupSize: number, bits: number, asym: number): number
  quantizeBlocks(blocks: number, bits: number, affine: number): number
  dequantizeBlocks(blocks: number, bits: number, affine: number): number
  readonly encodeF16: Converter
  readonly encodeBf16: Converter
  readonly encodeF8e4m3: Converter
  readonly decodeF16: Converter
  readonly decodeBf16: Converter
  readonly decodeF8e4m3: Converter
  allFinite(count: number): number
  hadamard(count: number): void
  addErrors(count: number): void
  largestLogit(count: number): number
  addExps(count: number, shift: number): void
  addComparison(count: number, shift: number, knownShift: number): void
}
type Place = { readonly value: number }
type Converter = (count: number) => number

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
  const tileHalves = new Uint16Array(buffer, wasm.codesAt.value, tile)
  const tileRestored = new Float32Array(buffer, wasm.codesAt.value, tile)
  const tileSums = new Float64Array(buffer, wasm.sumsAt.value, 20)
  const encoders: Record<SmallFloat, Converter> = { F16: wasm.encodeF16, BF16: wasm.encodeBf16, F8_E4M3: wasm.encodeF8e4m3 }
  const decoders: Record<SmallFloat, Converter> = { F16: wasm.decodeF16, BF16: wasm.decodeBf16, F8_E4M3: wasm.decodeF8e4m3 }
  const tileOf = (codes: FloatCodes): FloatCodes => (codes instanceof Uint8Array ? tileCodes : tileHalves)

  return {
    implementation: 'WebAssembly SIMD',

    quantizeGroups(values, groupSize, bits, codes, scales, zeros) {
      const codeBytes = (groupSize * bits) / 8
      const most = Math.floor(tile / groupSize)
      for (let from = 0; from < scales.length; from += most) {
        const to = Math.min(from + most, scales.length)
        tileValues.set(values.subarray(from * groupSize, to * groupSize))
        if (wasm.quantizeGroups(to - from, groupSize, bits, zeros ? 1 : 0) === 0) return typescriptKernels.quantizeGroups(values, groupSize, bits, codes, scales, zeros)
        codes.set(tileCodes.subarray(0, (to - from) * codeBytes), from * codeBytes)
        scales.set(tileScales.subarray(0, to - from), from)
        zeros?.set(tileZeros.subarray(0, to - from), from)
      }
    },

    dequantizeGroups(codes, scales, zeros, groupSize, bits, out) {
      const codeBytes = (groupSize * bits) / 8
      const most = Math.floor(tile / groupSize)
      let finite = 1
      for (let from = 0; from < scales.length; from += most) {
        const to = Math.min(from + most, scales.length)
        tileCodes.set(codes.subarray(from * codeBytes, to * codeBytes))
        tileScales.set(scales.subarray(from, to))
        if (zeros) tileZeros.set(zeros.subarray(from, to))
        finite &= wasm.dequantizeGroups(to - from, groupSize, bits, zeros ? 1 : 0)
        out.set(tileValues.subarray(0, (to - from) * groupSize), from * groupSize)
      }
      return finite === 1
    },

    quantizeBlocks(values, format, blocks) {
      const stride = blockBytes(format)
      for (let from = 0; from < values.length; from += tile) {
        const part = values.subarray(from, from + tile)
        const count = part.length / BLOCK
        tileValues.set(part)
        if (wasm.quantizeBlocks(count, format.bits, flag(format)) === 0) return typescriptKernels.quantizeBlocks(values, format, blocks)
        blocks.set(tileCodes.subarray(0, count * stride), (from / BLOCK) * stride)
      }
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
