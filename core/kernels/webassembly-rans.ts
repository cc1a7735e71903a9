import type { Exports } from './exports.ts'
import type { Kernels } from './kernels.ts'
import { RANS_LEAST_STATE } from './rans.ts'

const SYMBOLS = 256
/** Bytes of a tile, a multiple of four; each becomes two coded bytes at most, which fill the region of the codes. */
const TILE = 32_768

/** The rANS kernels of the WebAssembly module; parts go through its memory tile by tile, states stay there. */
export function ransKernels(wasm: Exports): Pick<Kernels, 'encodeRans' | 'decodeRans'> {
  const { buffer } = wasm.memory
  const tileRaw = new Uint8Array(buffer, wasm.valuesAt.value, TILE)
  const tileCoded = new Uint8Array(buffer, wasm.codesAt.value, 2 * TILE)
  const counts = new Uint16Array(buffer, wasm.ransCountsAt.value, SYMBOLS)
  const tileStates = new Uint32Array(buffer, wasm.ransStatesAt.value, 4)
  return {
    encodeRans(raw, frequencies, states, room) {
      const parts = frequencies.length / SYMBOLS
      const length = raw.length / parts
      let to = room.length
      tileStates.fill(RANS_LEAST_STATE)
      for (let part = parts - 1; part >= 0; part--) {
        counts.set(frequencies.subarray(part * SYMBOLS, (part + 1) * SYMBOLS))
        wasm.prepareRansEncoder()
        // From the last tile, which alone may be short, to the first.
        for (let tile = Math.ceil(length / TILE) - 1; tile >= 0; tile--) {
          const bytes = raw.subarray(part * length + tile * TILE, part * length + Math.min(length, (tile + 1) * TILE))
          tileRaw.set(bytes)
          const written = wasm.encodeRans(bytes.length)
          if (written > to) return -1
          to -= written
          room.set(tileCoded.subarray(2 * TILE - written), to)
        }
      }
      states.set(tileStates)
      return to
    },

    decodeRans(coded, frequencies, states, out) {
      const parts = frequencies.length / SYMBOLS
      const length = out.length / parts
      let from = 0
      tileStates.set(states)
      for (let part = 0; part < parts; part++) {
        counts.set(frequencies.subarray(part * SYMBOLS, (part + 1) * SYMBOLS))
        wasm.prepareRansDecoder()
        for (let begin = 0; begin < length; begin += TILE) {
          const count = Math.min(TILE, length - begin)
          const words = coded.subarray(from, from + 2 * count)
          tileCoded.set(words)
          const taken = wasm.decodeRans(count)
          if (taken > words.length) return false
          from += taken
          out.set(tileRaw.subarray(0, count), part * length + begin)
        }
      }
      states.set(tileStates)
      return from === coded.length && states.every((state) => state === RANS_LEAST_STATE)
    },
  }
}
