import { eightIndices, packEight, sixteenLevels, spreadBounds, spreadLevels } from './codebook'
import { findMagnitudes, findPlaces } from './groups'
import { codesAt, stepsAt, valuesAt } from './memory'
import { readScales } from './scales'

/* NF4 by group: core/kernels/normal-float.ts says what it is. */

/** Encodes values to codes and scales. False where they cannot be: for a NaN, an infinity or a scale beyond F16. */
export function quantizeNormalFloat(groups: i32, groupSize: i32): bool {
  const groupBytes: usize = (<usize>groupSize) << 2
  if (!findMagnitudes(groups, groupBytes, 1, 1)) return false
  spreadBounds()
  let from = valuesAt
  let to = codesAt
  for (let at: usize = 0; at < <usize>groups << 2; at += 4) {
    const s = v128.load_splat<f32>(stepsAt + at)
    for (const end = from + groupBytes; from < end; from += 32, to += 4) packEight(eightIndices(f32x4.div(v128.load(from), s), f32x4.div(v128.load(from, 16), s), 15), 4, to)
  }
  return true
}

/** Decodes codes and scales to values. Returns whether all scales, and so all values, are finite. */
export function dequantizeNormalFloat(groups: i32, groupSize: i32): bool {
  const groupBytes: usize = (<usize>groupSize) << 2
  const finite = readScales(groups, false)
  findPlaces(4)
  spreadLevels()
  let from = codesAt
  let to = valuesAt
  for (let at: usize = 0; at < <usize>groups << 2; at += 4, from += groupBytes >> 3, to += groupBytes) {
    const s = v128.load_splat<f32>(stepsAt + at)
    // Where a group ends on half a turn, the second half goes beyond it and is overwritten.
    for (let k: usize = 0; k < groupBytes; k += 64) sixteenLevels(from + (k >> 3), 4, s, to + k)
  }
  return finite
}
