import type { Exports } from './exports.ts'
import type { Kernels } from './kernels.ts'
import { POLAR_BLOCK, POLAR_BOUNDS, POLAR_OCTANT, POLAR_SEED, POLAR_TURNS, polarBytes, type PolarStreams } from './polar.ts'
import { randomSigns } from './random-rotation.ts'
import { SKETCH_ROUNDS, sketchPart, sketchSigns } from './sign-sketch.ts'
import { typescriptKernels } from './typescript.ts'

/** The largest row. */
const MAX_HEAD_DIM = 1024

/** Signs of random rotations and polar coordinates on WebAssembly, rows by tiles; the host puts signs and tables. */
export function rotationKernels(wasm: Exports): Pick<Kernels, 'quantizeSketch' | 'dequantizeSketch' | 'quantizePolar' | 'dequantizePolar'> {
  const { buffer } = wasm.memory
  const tile = wasm.tileValues.value
  const tileValues = new Float32Array(buffer, wasm.valuesAt.value, tile)
  const tileCodes = new Uint8Array(buffer, wasm.codesAt.value, tile)
  const tileScales = new Uint16Array(buffer, wasm.scalesAt.value, tile / POLAR_BLOCK)
  const tileSigns = new Float32Array(buffer, wasm.signsAt.value, SKETCH_ROUNDS * MAX_HEAD_DIM)
  const angles = [wasm.angles1At, wasm.angles2At, wasm.angles3At, wasm.angles4At].map(({ value }) => new Uint8Array(buffer, value, tile / 4))
  const turns = POLAR_TURNS.flatMap((level) => Array.from({ length: level.length / 2 }, (_, code) => [level[code] ?? 0, level[level.length / 2 + code] ?? 0]).flat())
  new Float64Array(buffer, wasm.turnsAt.value, turns.length).set(turns)
  new Float64Array(buffer, wasm.polarBoundsAt.value, 7).set([POLAR_OCTANT, ...POLAR_BOUNDS.flatMap(({ low, high }) => [low, high])])

  /** Calls `run` for each tile of rows. */
  function eachTile(rows: number, headDim: number, run: (from: number, to: number) => boolean): boolean {
    const most = tile / headDim
    let all = true
    for (let from = 0; from < rows && all; from += most) all = run(from, Math.min(from + most, rows))
    return all
  }

  function putSigns(rounds: readonly Float32Array[]): void {
    rounds.forEach((signs, round) => tileSigns.set(signs, round * signs.length))
  }

  /** The part of each level's angles that belongs to rows, and its place in the memory. */
  function eachLevel(streams: PolarStreams, headDim: number, from: number, to: number, use: (rows: Uint8Array, place: Uint8Array) => void): void {
    angles.forEach((place, level) => {
      const bytes = polarBytes(headDim, level)
      const rows = streams.angles[level]?.subarray(from * bytes, to * bytes)
      if (rows) use(rows, place)
    })
  }

  return {
    quantizeSketch(values, headDim, codes, norms) {
      const rotations = sketchSigns(headDim, (8 * codes.length) / values.length)
      const rowBytes = (rotations.length * headDim) / 8
      const fits = eachTile(norms.length, headDim, (from, to) => {
        tileValues.set(values.subarray(from * headDim, to * headDim))
        if (wasm.findRowNorms(to - from, headDim) === 0) return false
        norms.set(tileScales.subarray(0, to - from), from)
        rotations.forEach((rounds, rotation) => {
          putSigns(rounds)
          wasm.quantizeSketch(to - from, headDim, rotations.length, rotation)
        })
        codes.set(tileCodes.subarray(0, (to - from) * rowBytes), from * rowBytes)
        return true
      })
      if (!fits) typescriptKernels.quantizeSketch(values, headDim, codes, norms)
    },

    dequantizeSketch(codes, norms, headDim, out) {
      const rotations = sketchSigns(headDim, (8 * codes.length) / out.length)
      const rowBytes = (rotations.length * headDim) / 8
      const part = sketchPart(headDim, rotations.length)
      let finite = 1
      eachTile(norms.length, headDim, (from, to) => {
        tileCodes.set(codes.subarray(from * rowBytes, to * rowBytes))
        tileScales.set(norms.subarray(from, to))
        rotations.forEach((rounds, rotation) => {
          putSigns(rounds)
          finite &= wasm.dequantizeSketch(to - from, headDim, rotations.length, rotation, part)
        })
        out.set(tileValues.subarray(0, (to - from) * headDim), from * headDim)
        return true
      })
      return finite === 1
    },

    quantizePolar(values, headDim, streams) {
      const blocks = headDim / POLAR_BLOCK
      putSigns([randomSigns(headDim, POLAR_SEED)])
      const fits = eachTile(values.length / headDim, headDim, (from, to) => {
        tileValues.set(values.subarray(from * headDim, to * headDim))
        if (wasm.quantizePolar(to - from, headDim) === 0) return false
        eachLevel(streams, headDim, from, to, (rows, place) => rows.set(place.subarray(0, rows.length)))
        streams.radii.set(tileScales.subarray(0, (to - from) * blocks), from * blocks)
        return true
      })
      if (!fits) typescriptKernels.quantizePolar(values, headDim, streams)
    },

    dequantizePolar(streams, headDim, out) {
      const blocks = headDim / POLAR_BLOCK
      putSigns([randomSigns(headDim, POLAR_SEED)])
      let finite = 1
      eachTile(out.length / headDim, headDim, (from, to) => {
        eachLevel(streams, headDim, from, to, (rows, place) => place.set(rows))
        tileScales.set(streams.radii.subarray(from * blocks, to * blocks))
        finite &= wasm.dequantizePolar(to - from, headDim)
        out.set(tileValues.subarray(0, (to - from) * headDim), from * headDim)
        return true
      })
      return finite === 1
    },
  }
}
