import { tokenGroups } from './channels.ts'
import type { Exports } from './exports.ts'
import type { Kernels, TokenRuns } from './kernels.ts'
import { typescriptKernels } from './typescript.ts'

/** Scales that a tile has room for. */
const MAX_WIDTH = 1024

/** A strip of a group: so many rows of `width` channels, and where its values and its scales begin. */
type Strip = { readonly at: number; readonly rows: number; readonly width: number; readonly scalesAt: number }

/** The kernels by channel on WebAssembly. A tile takes one group of tokens, or a strip of its channels where the group is too large. */
export function channelKernels(wasm: Exports): Pick<Kernels, 'quantizeChannels' | 'dequantizeChannels'> {
  const { buffer } = wasm.memory
  const tile = wasm.tileValues.value
  const tileValues = new Float32Array(buffer, wasm.valuesAt.value, tile)
  const tileCodes = new Uint8Array(buffer, wasm.codesAt.value, tile)
  const tileScales = new Uint16Array(buffer, wasm.scalesAt.value, MAX_WIDTH)
  const tileZeros = new Uint16Array(buffer, wasm.zerosAt.value, MAX_WIDTH)

  function* strips(runs: TokenRuns, length: number): Generator<Strip> {
    for (const { at, rows, scalesAt } of tokenGroups(runs, length)) {
      const most = Math.min(MAX_WIDTH, Math.floor(tile / rows / 8) * 8)
      for (let from = 0; from < runs.headDim; from += most) yield { at: at + from, rows, width: Math.min(most, runs.headDim - from), scalesAt: scalesAt + from }
    }
  }

  return {
    quantizeChannels(values, runs, bits, clip, codes, scales, zeros) {
      const stride = (runs.headDim * bits) / 8
      for (const { at, rows, width, scalesAt } of strips(runs, values.length)) {
        copyRows(values, at, runs.headDim, tileValues, 0, width, rows, width)
        if (wasm.quantizeChannels(rows, width, bits, zeros ? 1 : 0, clip) === 0) return typescriptKernels.quantizeChannels(values, runs, bits, clip, codes, scales, zeros)
        const bytes = (width * bits) / 8
        copyRows(tileCodes, 0, bytes, codes, (at * bits) / 8, stride, rows, bytes)
        scales.set(tileScales.subarray(0, width), scalesAt)
        zeros?.set(tileZeros.subarray(0, width), scalesAt)
      }
    },

    dequantizeChannels(codes, scales, zeros, runs, bits, out) {
      const stride = (runs.headDim * bits) / 8
      let finite = 1
      for (const { at, rows, width, scalesAt } of strips(runs, out.length)) {
        const bytes = (width * bits) / 8
        copyRows(codes, (at * bits) / 8, stride, tileCodes, 0, bytes, rows, bytes)
        tileScales.set(scales.subarray(scalesAt, scalesAt + width))
        if (zeros) tileZeros.set(zeros.subarray(scalesAt, scalesAt + width))
        finite &= wasm.dequantizeChannels(rows, width, bits, zeros ? 1 : 0)
        copyRows(tileValues, 0, width, out, at, runs.headDim, rows, width)
      }
      return finite === 1
    },
  }
}

/** Copies `rows` rows of `width` elements, each a stride after the one before; in one piece where both lie together. */
function copyRows<T extends Float32Array | Uint8Array>(from: T, fromAt: number, fromStride: number, to: T, toAt: number, toStride: number, rows: number, width: number): void {
  if (fromStride === width && toStride === width) return to.set(from.subarray(fromAt, fromAt + rows * width), toAt)
  for (let row = 0; row < rows; row++) to.set(from.subarray(fromAt + row * fromStride, fromAt + row * fromStride + width), toAt + row * toStride)
}
