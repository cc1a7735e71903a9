/** A cache type of ggml: bits of a code, and whether blocks have a minimum (`_1`) beside their scale. */
export type BlockFormat = { readonly bits: 4 | 5 | 8; readonly affine: boolean }

/** A float format of 16 or 8 bits. */
export type SmallFloat = 'F16' | 'BF16' | 'F8_E4M3'

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
   * s = 0 gives q = 0. Every operation is rounded to F32. `codes` is a little-endian bit string, groupSize * bits / 8 bytes a group.
   * Throws LabError OUT_OF_RANGE where F16 cannot hold a scale or zero point.
   */
  quantizeGroups(values: Float32Array, groupSize: number, bits: number, codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null): void
  /** x' = q s, or q s + z, rounded once. Returns whether every value is finite. */
  dequantizeGroups(codes: Uint8Array, scales: Uint16Array, zeros: Uint16Array | null, groupSize: number, bits: number, out: Float32Array): boolean
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
   * Codes of values, to nearest, ties to even; every NaN is the one quiet NaN, F8 E4M3 saturates at 448 (core/bytes/float.ts). Throws nothing:
   * returns whether every value and every code is finite. `codes` is as long as `values`, a Uint8Array for F8_E4M3, else a Uint16Array.
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
}

/** Σ e^(z - shift) and Σ e^(known - knownShift) (known - z). */
export type RowSums = { readonly sum: number; readonly cross: number }

/** Σ x², Σ x'², Σ x x', Σ (x - x')² and the largest |x - x'|; not finite, but for maxError, where a value is not. */
export type ErrorTotals = { readonly original: number; readonly restored: number; readonly product: number; readonly error: number; readonly maxError: number }

/** Codes of a small float, as bits. */
export type FloatCodes = Uint16Array | Uint8Array
