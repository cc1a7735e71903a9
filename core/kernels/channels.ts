import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from './finite.ts'
import type { TokenRuns } from './kernels.ts'
import { packRounded, unpackScaled } from './packing.ts'

/** One group: `rows` tokens of a head from value `at` on, and its scales from `scalesAt` on. */
export type TokenGroup = { readonly at: number; readonly rows: number; readonly scalesAt: number }

/** The groups of `length` values, in their order. */
export function* tokenGroups({ tokens, headDim, groupSize }: TokenRuns, length: number): Generator<TokenGroup> {
  let scalesAt = 0
  for (let head = 0; head < length; head += tokens * headDim) {
    for (let token = 0; token < tokens; token += groupSize, scalesAt += headDim) yield { at: head + token * headDim, rows: Math.min(groupSize, tokens - token), scalesAt }
  }
}

/** Kernels.quantizeChannels in TypeScript. */
export function quantizeChannels(values: Float32Array, runs: TokenRuns, bits: number, clip: number, codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null): void {
  refuseNonFinite(values)
  const { headDim } = runs
  const top = zeros ? (1 << bits) - 1 : (1 << (bits - 1)) - 1
  const least = zeros ? 0 : -top
  const s = new Float32Array(headDim)
  const z = new Float32Array(headDim)
  const quotients = new Float32Array(headDim)
  for (const group of tokenGroups(runs, values.length)) {
    findScales(values, group, headDim, top, clip, scales, zeros)
    for (let i = 0; i < headDim; i++) {
      s[i] = f16ToF32(scales[group.scalesAt + i]!)
      z[i] = zeros ? f16ToF32(zeros[group.scalesAt + i]!) : 0
    }
    for (let row = group.at; row < group.at + group.rows * headDim; row += headDim) {
      for (let i = 0; i < headDim; i++) quotients[i] = s[i] === 0 ? 0 : Math.min(top, Math.max(least, Math.fround(values[row + i]! - z[i]!) / s[i]!))
      packRounded(quotients, 0, headDim, 1, -least, bits, codes, (row * bits) / 8)
    }
  }
}

/** The scale, and where there are `zeros` the zero point, of each channel of a group. */
function findScales(values: Float32Array, { at, rows, scalesAt }: TokenGroup, headDim: number, top: number, clip: number, scales: Uint16Array, zeros: Uint16Array | null): void {
  for (let i = 0; i < headDim; i++) {
    let low = values[at + i]!
    let high = low
    for (let row = at + i; row < at + rows * headDim; row += headDim) {
      const x = values[row]!
      if (x < low) low = x
      if (x > high) high = x
    }
    const span = zeros ? Math.fround(high * clip) - Math.fround(low * clip) : Math.max(Math.abs(low), Math.abs(high)) * clip
    if (zeros) zeros[scalesAt + i] = finiteF16(Math.fround(low * clip), 'zero point')
    scales[scalesAt + i] = finiteF16(Math.fround(span) / top, 'scale')
  }
}

/** Kernels.dequantizeChannels in TypeScript. */
export function dequantizeChannels(codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null, runs: TokenRuns, bits: number, out: Float32Array): boolean {
  const { headDim } = runs
  const offset = zeros ? 0 : (1 << (bits - 1)) - 1
  const s = new Float32Array(headDim)
  const z = new Float32Array(headDim)
  let finite = true
  for (const { at, rows, scalesAt } of tokenGroups(runs, out.length)) {
    for (let i = 0; i < headDim; i++) {
      const scale = scales[scalesAt + i]!
      const zero = zeros ? zeros[scalesAt + i]! : 0
      finite &&= isFiniteF16(scale) && isFiniteF16(zero)
      s[i] = f16ToF32(scale)
      z[i] = f16ToF32(zero)
    }
    for (let row = at; row < at + rows * headDim; row += headDim) {
      unpackScaled(codes, (row * bits) / 8, bits, offset, 1, 0, out, row, headDim)
      // The product has at most 19 significant bits: only the sum is rounded.
      for (let i = 0; i < headDim; i++) out[row + i] = out[row + i]! * s[i]! + z[i]!
    }
  }
  return finite
}
