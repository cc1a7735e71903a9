import { decodeF16, encodeF16 } from '#core/bytes/float.ts'
import { middles } from './codebook.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from './finite.ts'
import { kernels } from './index.ts'
import { eachRun, rangeCount, type Ranges } from './ranges.ts'
import { learnCodebook } from './signposts.ts'

/** F16 ranges (half of largest minus least) and middles of what shares them, [heads, headDim] or [tokens]; F16 levels that codes are decoded to; codes of `bits` as a little-endian string. */
export type NonUniformStreams = { readonly codes: Uint8Array; readonly scales: Uint16Array; readonly zeros: Uint16Array; readonly levels: Uint16Array }

/** What was learned on other values: levels that parts are rounded to and, by code, what they are decoded to; of keys the ranges as well. All F16. */
export type NonUniformTables = { readonly levels: Uint16Array; readonly decoded: Uint16Array; readonly scales?: Uint16Array; readonly zeros?: Uint16Array }

/** The ranges of a layer. Throws LabError OUT_OF_RANGE where F16 cannot hold a range or a middle. */
export function measureRanges(values: Float32Array, ranges: Ranges, scales: Uint16Array, zeros: Uint16Array): void {
  const count = rangeCount(ranges)
  const [low, high] = [new Float32Array(count), new Float32Array(count)]
  kernels.findRanges(values, ranges, low, high)
  for (let i = 0; i < count; i++) {
    scales[i] = finiteF16(Math.fround(high[i]! - low[i]!) / 2, 'range')
    zeros[i] = finiteF16(Math.fround(high[i]! + low[i]!) / 2, 'middle')
  }
}

/** Values of a layer as parts of ranges: fround(fround(x - z) / r), 0 where r is 0 in F16. */
export function partsOf(values: Float32Array, ranges: Ranges, scales: Uint16Array, zeros: Uint16Array): Float32Array {
  const offsets = floats(zeros)
  // Of a range that is 0 in F16 every quotient is 0.
  const factors = floats(scales).map((scale) => (scale === 0 ? Infinity : scale))
  const parts = new Float32Array(values.length)
  kernels.divideByRanges(values, ranges, offsets, factors, parts)
  return parts
}

/** Tables for layers like this one: ranges by channel, where it has them so, and the codebook. Throws LabError NOT_FINITE for the first NaN or infinity, OUT_OF_RANGE as measureRanges. */
export function learnNonUniform(values: Float32Array, ranges: Ranges, bits: number, normalised: boolean): NonUniformTables {
  refuseNonFinite(values)
  const scales = new Uint16Array(rangeCount(ranges))
  const zeros = new Uint16Array(scales.length)
  measureRanges(values, ranges, scales, zeros)
  const book = learnCodebook(learnable(partsOf(values, ranges, scales, zeros), ranges, scales), 1 << bits, normalised)
  const [levels, decoded] = [new Uint16Array(1 << bits), new Uint16Array(1 << bits)]
  encodeF16(book.levels, levels)
  encodeF16(book.decoded, decoded)
  return ranges.byChannel ? { levels, decoded, scales, zeros } : { levels, decoded }
}

/**
 * Codes of a layer as parts of ranges, by a codebook learned on the layer itself or by `tables`, whose ranges may be smaller than the layer's: what lies beyond gets the outermost level.
 * Throws LabError NOT_FINITE for the first NaN or infinity, OUT_OF_RANGE as measureRanges.
 */
export function quantizeNonUniform(values: Float32Array, ranges: Ranges, bits: number, normalised: boolean, { codes, scales, zeros, levels }: NonUniformStreams, tables?: NonUniformTables): void {
  refuseNonFinite(values)
  if (tables?.scales && tables.zeros) {
    scales.set(tables.scales)
    zeros.set(tables.zeros)
  } else measureRanges(values, ranges, scales, zeros)
  const parts = partsOf(values, ranges, scales, zeros)
  const book = tables ? { levels: floats(tables.levels), decoded: floats(tables.decoded) } : learnCodebook(learnable(parts, ranges, scales), 1 << bits, normalised)
  encodeF16(book.decoded, levels)
  kernels.quantizeCodebook(parts, middles(book.levels), bits, codes)
}

/** The parts whose range is not 0: what a codebook is learned from. A copy where there are others. */
export function learnable(normal: Float32Array, ranges: Ranges, scales: Uint16Array): Float32Array {
  if (!scales.includes(0)) return normal
  const chosen = new Float32Array(normal.length)
  let count = 0
  eachRun(ranges, (at, length, first, step) => {
    for (let i = 0, range = first; i < length; i++, range += step) if (scales[range] !== 0) chosen[count++] = normal[at + i]!
  })
  return chosen.subarray(0, count)
}

/** x' = fround(fround(level r) + z). Returns whether all ranges, middles and levels are finite. */
export function dequantizeNonUniform({ codes, scales, zeros, levels }: NonUniformStreams, ranges: Ranges, bits: number, out: Float32Array): boolean {
  const [book, factors, offsets] = [floats(levels), floats(scales), floats(zeros)]
  kernels.dequantizeCodebook(codes, book, bits, out)
  eachRun(ranges, (at, length, first, step) => {
    for (let i = 0, range = first; i < length; i++, range += step) out[at + i] = Math.fround(out[at + i]! * factors[range]!) + offsets[range]!
  })
  return [levels, scales, zeros].every((halves) => halves.every(isFiniteF16))
}

/** F16 bits as numbers. */
export function floats(halves: Uint16Array): Float32Array {
  const numbers = new Float32Array(halves.length)
  decodeF16(halves, numbers)
  return numbers
}
