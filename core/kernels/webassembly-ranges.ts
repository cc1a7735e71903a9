import type { Exports } from './exports.ts'
import type { Kernels } from './kernels.ts'
import { clearSigns } from './ranges.ts'
import { BIN_TILE, BINS } from './sorted-bins.ts'
import { typescriptKernels } from './typescript.ts'

/** Ranges that a tile has room for. */
const MAX_RANGES = 1024

/** Ranges of channels and tokens, and numbers sorted into bins, on WebAssembly: rows go through a tile, of one head where ranges are those of channels. */
export function rangeKernels(wasm: Exports): Pick<Kernels, 'findRanges' | 'divideByRanges' | 'sortIntoBins'> {
  const { buffer } = wasm.memory
  const tile = wasm.tileValues.value
  const tileValues = new Float32Array(buffer, wasm.valuesAt.value, tile)
  const tileSteps = new Float32Array(buffer, wasm.stepsAt.value, MAX_RANGES)
  const tileOffsets = new Float32Array(buffer, wasm.offsetsAt.value, MAX_RANGES)
  const tileSorted = new Float32Array(buffer, wasm.codesAt.value, BIN_TILE)
  const tileEnds = new Uint16Array(buffer, wasm.endsAt.value, BINS)
  const tileTotals = new Float64Array(buffer, wasm.totalsAt.value, BINS)
  const fits = (width: number): boolean => width % 8 === 0 && 0 < width && width <= MAX_RANGES

  return {
    findRanges(values, ranges, low, high) {
      const { byChannel, heads, tokens, headDim } = ranges
      if (!fits(headDim)) return typescriptKernels.findRanges(values, ranges, low, high)
      const most = Math.min(Math.floor(tile / headDim), MAX_RANGES)
      low.fill(Infinity)
      high.fill(-Infinity)
      for (let head = 0; head < heads; head++) {
        tileSteps.fill(Infinity)
        tileOffsets.fill(-Infinity)
        for (let from = 0; from < tokens; from += most) {
          const to = Math.min(from + most, tokens)
          tileValues.set(values.subarray((head * tokens + from) * headDim, (head * tokens + to) * headDim))
          if (byChannel) {
            wasm.widenChannelRanges(to - from, headDim)
            continue
          }
          wasm.findRowRanges(to - from, headDim)
          for (let token = from; token < to; token++) {
            low[token] = Math.min(low[token]!, tileSteps[token - from]!)
            high[token] = Math.max(high[token]!, tileOffsets[token - from]!)
          }
        }
        if (!byChannel) continue
        low.set(tileSteps.subarray(0, headDim), head * headDim)
        high.set(tileOffsets.subarray(0, headDim), head * headDim)
      }
      // Lanes do not know which zero of a row is its first; where both ends are 0 all are, and it is the first of all.
      if (!byChannel) for (let token = 0; token < tokens; token++) if (low[token] === 0 && high[token] === 0) low[token] = high[token] = values[token * headDim]!
      clearSigns(low, high)
    },

    divideByRanges(values, ranges, offsets, factors, parts) {
      const { byChannel, heads, tokens, headDim } = ranges
      if (!fits(headDim)) return typescriptKernels.divideByRanges(values, ranges, offsets, factors, parts)
      const most = Math.min(Math.floor(tile / headDim), MAX_RANGES)
      for (let head = 0; head < heads; head++) {
        if (byChannel) {
          tileSteps.set(factors.subarray(head * headDim, (head + 1) * headDim))
          tileOffsets.set(offsets.subarray(head * headDim, (head + 1) * headDim))
        }
        for (let from = 0; from < tokens; from += most) {
          const to = Math.min(from + most, tokens)
          const at = (head * tokens + from) * headDim
          tileValues.set(values.subarray(at, at + (to - from) * headDim))
          if (byChannel) wasm.divideByChannel(to - from, headDim)
          else {
            tileSteps.set(factors.subarray(from, to))
            tileOffsets.set(offsets.subarray(from, to))
            wasm.divideByRow(to - from, headDim)
          }
          parts.set(tileValues.subarray(0, (to - from) * headDim), at)
        }
      }
    },

    sortIntoBins(numbers, least, factor, sorted, ends, totals) {
      tileTotals.fill(0)
      for (let from = 0, endsAt = 0; from < numbers.length; from += BIN_TILE, endsAt += BINS) {
        const part = numbers.subarray(from, from + BIN_TILE)
        tileValues.set(part)
        wasm.sortIntoBins(part.length, least, factor)
        sorted.set(tileSorted.subarray(0, part.length), from)
        ends.set(tileEnds, endsAt)
      }
      totals.set(tileTotals)
    },
  }
}
