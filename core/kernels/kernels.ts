import type { PolarStreams } from './polar.ts'
import type { Ranges } from './ranges.ts'

/** A cache type of ggml: bits of a code, and whether blocks have a minimum (`_1`) beside their scale. */
export type BlockFormat = { readonly bits: 4 | 5 | 8; readonly affine: boolean }

/** Blocks of 4-bit codes that name uneven levels; `nvfp4:4over6` is a way to encode `nvfp4`. */
export type LevelBlock = 'iq4_nl' | 'mxfp4' | 'nvfp4'
export type LevelFormat = LevelBlock | 'nvfp4:4over6'

/** A float format of 16 or 8 bits. */
export type SmallFloat = 'F16' | 'BF16' | 'F8_E4M3' | 'F8_E5M2'

/**
 * Inner loops over whole arrays, in two implementations of equal bits. Nothing is allocated for values. Arrays may lie anywhere; input and
 * output must not overlap unless they are one array. What encodes throws LabError NOT_FINITE, with the index `at`, for the first NaN or infinity.
 */
export type Kernels = {
  readonly implementation: 'WebAssembly SIMD' | 'TypeScript'
  /**
   * Integers of 2 to 8 bits by group of `groupSize` values, a multiple of 8 from 16 to 256.
   * Without `zeros`: s = f16(absmax / top), q = rne(x / s) clamped to ±top, top = 2^(bits-1) - 1, stored as q + top.
   * With `zeros`: z = f16(min), s = f16((max - min) / top), q = rne((x - z) / s) clamped to 0..top, top = 2^bits - 1.
   * absmax, min and max are first multiplied by `clip`, an F32 up to 1. s = 0 gives q = 0. Every operation is rounded to F32. `codes` is a little-endian bit string, groupSize * bits / 8 bytes a group.
   * Throws LabError OUT_OF_RANGE where F16 cannot hold a scale or zero point.
   */
  quantizeGroups(values: Float32Array, groupSize: number, bits: number, clip: number, codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null): void
  /** x' = q s, or q s + z, rounded once. Returns whether every value is finite. */
  dequantizeGroups(codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null, groupSize: number, bits: number, out: Float32Array): boolean
  /**
   * The same integers with a scale for each channel of each run of tokens of a head: `scales` and `zeros` are [heads, groups of a head, headDim]. `codes` are
   * headDim * bits / 8 bytes for each token of each head.
   */
  quantizeChannels(values: Float32Array, runs: TokenRuns, bits: number, clip: number, codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null): void
  /** x' = q s, or q s + z, rounded once. Returns whether every value is finite. */
  dequantizeChannels(codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null, runs: TokenRuns, bits: number, out: Float32Array): boolean
  /**
   * Blocks of 32 values, byte for byte as ggml, whose scales are quantised with in F32 and stored in F16.
   * 8 bits: d = absmax / 127, q = x / d, halves away from zero; F16 d, 32 signed bytes.
   * `_0`: d = (the first value of largest magnitude) / -2^(bits-1), q = x / d + 2^(bits-1). `_1`: m = min, d = (max - min) / (2^bits - 1),
   * q = (x - m) / d. Both rounded half up, limited to 2^bits - 1. F16 d; F16 m (`_1`); 4 bytes with the fifth bits, element j at bit j
   * (5 bits); 16 bytes with elements j | j + 16 << 4. Throws LabError OUT_OF_RANGE where F16 cannot hold a scale or minimum.
   */
  quantizeBlocks(values: Float32Array, format: BlockFormat, blocks: Uint8Array): void
  /** x' = q d, (q - 2^(bits-1)) d or q d + m. Returns whether every value is finite. */
  dequantizeBlocks(blocks: Uint8Array, format: BlockFormat, out: Float32Array): boolean
  /**
   * Blocks of values of LEVEL_BLOCKS (levels.ts) with a code of 4 bits each, bytes with element j | j + half << 4 where not said otherwise.
   * `iq4_nl`: d = (the first value of largest magnitude) / -127, code = the nearest level of x / d, of two as near the upper one; then F16 of
   * d' = Σ w q x / Σ w q², w = x², summed in order; 16 bytes. Magnitudes below 1e-15 are taken for zero. OUT_OF_RANGE where F16 cannot hold d'.
   * `mxfp4`: byte e = exponent of absmax - 2, or 0; the nearest E2M1 number of x / 2^(e - 127), of two as near the smaller one; 16 bytes.
   * `nvfp4`: 4 bytes E4M3 absmax / 6 of each 16 values, rounded as ggml does, OUT_OF_RANGE above 448; E2M1 as in mxfp4; 32 bytes, of each 16 values
   * 8. `nvfp4:4over6`: of absmax / 6 and absmax / 4 the scale of less squared error, the first of equal ones.
   */
  quantizeLevels(values: Float32Array, format: LevelFormat, blocks: Uint8Array): void
  /**
   * `nvfp4` of F32 of x / `scale`, which is above 0 and leaves no magnitude above 2688. Sixteen values with one of 512 or more then are encoded as F32 of a quarter of
   * them, and their scale code is 16, a factor of 4, more: ggml makes 448 of all scales from 256 on.
   */
  quantizeScaledNvfp4(values: Float32Array, scale: number, fourOverSix: boolean, blocks: Uint8Array): void
  /** x' = level d. Returns whether every scale is one that encoding can write. */
  dequantizeLevels(blocks: Uint8Array, format: LevelBlock, out: Float32Array): boolean
  /**
   * NF4 by group of `groupSize` values, a multiple of 8 from 16 to 256: s = f16(absmax), the nearest level of x / s (NF4_LEVELS), of two as near
   * the lower one; s = 0 gives level 0. `codes` is a little-endian string of 4 bits a value. OUT_OF_RANGE where F16 cannot hold a scale.
   */
  quantizeNormalFloat(values: Float32Array, groupSize: number, codes: Uint8Array, scales: Uint16Array): void
  /** x' = level s, rounded once. Returns whether every value is finite. */
  dequantizeNormalFloat(codes: Uint8Array, scales: Uint16Array, groupSize: number, out: Float32Array): boolean
  /** Codes of a multiple of 8 values, none NaN: how many of the 2^bits - 1 ascending `bounds` are not above each, 2 to 4 bits, as a little-endian string. */
  quantizeCodebook(values: Float32Array, bounds: Float32Array, bits: number, codes: Uint8Array): void
  /** Values of codes: the 2^bits `levels` by index. */
  dequantizeCodebook(codes: Uint8Array, levels: Float32Array, bits: number, out: Float32Array): void
  /**
   * Rows of `headDim` values, a power of two from 16 to 1024. n = F32 of the root of Σ x², squares summed in F64 as errorTotals; t = (W x) / n with
   * W the unscaled transform of hadamard.ts in F32; code = the nearest of TURBO_LEVELS of `bits` 2, 3 or 4, of two as near the upper one.
   * `norms` are f16(n); one of 0 gives t = 0. `codes` is a little-endian string of `bits` a value. OUT_OF_RANGE where F16 cannot hold a norm.
   */
  quantizeTurbo(values: Float32Array, headDim: number, bits: TurboBits, codes: Uint8Array, norms: Uint16Array): void
  /** x' = f W c: f = F32 of n / headDim, or, `corrected`, of n / √(headDim Σ c²). Returns whether every norm is finite. */
  dequantizeTurbo(codes: Uint8Array, norms: Uint16Array, headDim: number, bits: TurboBits, corrected: boolean, out: Float32Array): boolean
  /**
   * Signs of random rotations of rows of `headDim` values, a power of two from 16 to 1024: bits of the rotations of each row (sketchSigns), one after the other and from
   * the lowest bit of a byte on, set where a rotated value, in F32, is above 0; and F16 of F32 of the root of Σ x², summed in order in F64. As many rotations as bits
   * a value. OUT_OF_RANGE where F16 cannot hold a norm.
   */
  quantizeSketch(values: Float32Array, headDim: number, codes: Uint8Array, norms: Uint16Array): void
  /**
   * The way back: Σ over the rotations of the inverse of each one's signs, 1 and -1, in F32, times F32 of norm √(π/2) / (rotations headDim²), the transforms being
   * unscaled. Returns whether every norm is finite.
   */
  dequantizeSketch(codes: Uint8Array, norms: Uint16Array, headDim: number, out: Float32Array): boolean
  /**
   * Rows of `headDim` values, a power of two from 16 to 1024: signs and a Walsh-Hadamard transform in F32, then of each 16 values the polar form in F64, a code
   * for each angle by comparing the sine's side with the cosine's times a boundary's tangent, and F16 of F32 of the radius over √headDim.
   * OUT_OF_RANGE where F16 cannot hold a radius.
   */
  quantizePolar(values: Float32Array, headDim: number, streams: PolarStreams): void
  /** The way back: of each block the products of its radius with cosines and sines in F64, rounded to F32; the inverse transform; times F32 of 1/√headDim. Returns whether every radius is finite. */
  dequantizePolar(streams: PolarStreams, headDim: number, out: Float32Array): boolean
  /** Of each row of `length` finite values the one that would stand at `index` if they were sorted, 0 without a sign, to `selected`, one a row. */
  selectRows(values: Float32Array, length: number, index: number, selected: Float32Array): void
  /** left = matrix right in F64, sums in order from 0 on: `matrix` [rows, columns], `right` [columns, rank], `left` [rows, rank], all finite. */
  timesRight(matrix: Float64Array, right: Float64Array, rank: number, left: Float64Array): void
  /** right = matrixᵀ left in the same way. */
  timesLeft(matrix: Float64Array, left: Float64Array, rank: number, right: Float64Array): void
  /** right = matrixᵀ (matrix right) in the same way. */
  turnRight(matrix: Float64Array, right: Float64Array, rank: number): void
  /** Adds left rightᵀ to `values` [rows, columns], terms in order in F64 and rounded once to F32; `left` [rows, rank], `right` [columns, rank]. */
  addProduct(values: Float32Array, left: Float32Array, right: Float32Array, rank: number): void
  /**
   * Codes of values, to nearest, ties to even; every NaN is the one quiet NaN, F8 E4M3 saturates at 448 and F8 E5M2 at 57344. Throws nothing:
   * returns whether every value and every code is finite. `codes` is as long as `values`, a Uint8Array for F8, else a Uint16Array.
   */
  encodeFloats(format: SmallFloat, values: Float32Array, codes: FloatCodes): boolean
  /** Values of codes. Returns whether all are finite. */
  decodeFloats(format: SmallFloat, codes: FloatCodes, out: Float32Array): boolean
  /** Index of the first NaN or infinity, -1 where there is none. */
  firstNonFinite(values: Float32Array): number
  /** Walsh-Hadamard transform of each 64 values in place: butterflies in F32 from stride 1 to 32, then one multiplication by 1/8. */
  hadamard(values: Float32Array): void
  /** Sums in F64 over both arrays, of one length. Value i goes to lane i % 4; lanes are summed for themselves, then (0 + 1) + (2 + 3). */
  errorTotals(original: Float32Array, restored: Float32Array): ErrorTotals
  /** Largest value of a row of logits, of one or more, 0 without a sign; NaN where one is not finite. */
  largestLogit(row: Float32Array): number
  /** Σ e^(z - shift), in F64 and in lanes as errorTotals, for a `shift` that is the largest of the finite z. */
  sumExps(row: Float32Array, shift: number): number
  /** As sumExps, of two rows of one length, each with its own largest value as its shift. */
  compareRows(row: Float32Array, shift: number, known: Float32Array, knownShift: number): RowSums
  /** Least and largest value of each range of a layer of finite values; a 0 has no sign, but where all of a range are 0 both have that of the first. */
  findRanges(values: Float32Array, ranges: Ranges, low: Float32Array, high: Float32Array): void
  /** fround(fround(x - offset) / factor) of each value, with the numbers of its range. */
  divideByRanges(values: Float32Array, ranges: Ranges, offsets: Float32Array, factors: Float32Array, parts: Float32Array): void
  /**
   * Finite numbers, BIN_TILE by BIN_TILE, in the order of their bins, trunc((x - least) factor) in F64, from 0 to BINS - 1, and of one bin in their own order. `ends` are where
   * the bins of each tile end in it, [tiles, BINS]; `totals` sums of the bins over all tiles in F64, in the order of the numbers.
   */
  sortIntoBins(numbers: Float32Array, least: number, factor: number, sorted: Float32Array, ends: Uint16Array, totals: Float64Array): void
  /** Bytes [rows, columns] to [columns, rows]. */
  transposeBytes(bytes: Uint8Array, columns: number, out: Uint8Array): void
  /**
   * Static rANS (Duda, arXiv:1311.2540) of bytes in equal parts, each with a table: 256 `frequencies` a part that add up to 4096, above 0 for each
   * byte that is there and below 4096. Symbol i of a part is state i % 4's, four states of 32 bits, 16-bit words. Encoding goes from the last symbol to
   * the first: where x >> 20 >= f the low word of x is written and x >>= 16; then x = (x / f) * 4096 + begin + x % f. Words go, little-endian, to the end of
   * `room`; returns where they begin, -1 where there is no room. States begin at 2^16; `states` receives the last ones.
   */
  encodeRans(raw: Uint8Array, frequencies: Uint16Array, states: Uint32Array, room: Uint8Array): number
  /** The way back from these `states`, which it overwrites, to parts of `out`. Returns whether `coded` was just enough and the states are back at 2^16. */
  decodeRans(coded: Uint8Array, frequencies: Uint16Array, states: Uint32Array, out: Uint8Array): boolean
}

/** Values [heads, tokens, headDim], of each head in groups of `groupSize` tokens, up to 256, the last one shorter. headDim is a multiple of 8. */
export type TokenRuns = { readonly tokens: number; readonly headDim: number; readonly groupSize: number }

/** Σ e^(z - shift) and Σ e^(known - knownShift) (known - z). */
export type RowSums = { readonly sum: number; readonly cross: number }

/** Σ x², Σ x'², Σ x x', Σ (x - x')² and the largest |x - x'|; not finite, but for maxError, where a value is not. */
export type ErrorTotals = { readonly original: number; readonly restored: number; readonly product: number; readonly error: number; readonly maxError: number }

/** Bits of a code that quantizeTurbo has levels for. */
export type TurboBits = 2 | 3 | 4

/** Codes of a small float, as bits. */
export type FloatCodes = Uint16Array | Uint8Array
