/** What assembly/index.ts exports: places and sizes of the tile in its memory, and a kernel for each of ours. Flags are 0 or 1. */
export type Exports = {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly tileValues: Place
  readonly valuesAt: Place
  readonly codesAt: Place
  readonly scalesAt: Place
  readonly zerosAt: Place
  readonly stepsAt: Place
  readonly offsetsAt: Place
  readonly sumsAt: Place
  readonly levelsAt: Place
  readonly boundsAt: Place
  readonly ransCountsAt: Place
  readonly ransStatesAt: Place
  readonly signsAt: Place
  readonly turnsAt: Place
  readonly polarBoundsAt: Place
  readonly angles1At: Place
  readonly angles2At: Place
  readonly angles3At: Place
  readonly angles4At: Place
  readonly leftAt: Place
  readonly endsAt: Place
  readonly totalsAt: Place
  quantizeGroups(groups: number, groupSize: number, bits: number, asym: number, clip: number): number
  dequantizeGroups(groups: number, groupSize: number, bits: number, asym: number): number
  quantizeChannels(rows: number, width: number, bits: number, asym: number, clip: number): number
  dequantizeChannels(rows: number, width: number, bits: number, asym: number): number
  quantizeBlocks(blocks: number, bits: number, affine: number): number
  dequantizeBlocks(blocks: number, bits: number, affine: number): number
  readonly quantizeIq4nl: Converter
  readonly dequantizeIq4nl: Converter
  readonly quantizeMxfp4: Converter
  readonly dequantizeMxfp4: Converter
  quantizeNvfp4(blocks: number, fourOverSix: number, scale: number): number
  readonly dequantizeNvfp4: Converter
  quantizeNormalFloat(groups: number, groupSize: number): number
  dequantizeNormalFloat(groups: number, groupSize: number): number
  quantizeTurbo(rows: number, headDim: number, bits: number): number
  dequantizeTurbo(rows: number, headDim: number, bits: number, corrected: number): number
  quantizeCodebook(count: number, bits: number): void
  dequantizeCodebook(count: number, bits: number): void
  findRowNorms(rows: number, headDim: number): number
  quantizeSketch(rows: number, headDim: number, rotations: number, rotation: number): void
  dequantizeSketch(rows: number, headDim: number, rotations: number, rotation: number, part: number): number
  quantizePolar(rows: number, headDim: number): number
  dequantizePolar(rows: number, headDim: number): number
  selectRows(rows: number, length: number, index: number): void
  timesRight(rows: number, columns: number, rank: number): void
  addTimesLeft(rows: number, columns: number, rank: number, at: number): void
  addProduct(rows: number, columns: number, rank: number): void
  readonly encodeF16: Converter
  readonly encodeBf16: Converter
  readonly encodeF8e4m3: Converter
  readonly encodeF8e5m2: Converter
  readonly decodeF16: Converter
  readonly decodeBf16: Converter
  readonly decodeF8e4m3: Converter
  readonly decodeF8e5m2: Converter
  allFinite(count: number): number
  hadamard(count: number): void
  addErrors(count: number): void
  largestLogit(count: number): number
  addExps(count: number, shift: number): void
  addComparison(count: number, shift: number, knownShift: number): void
  widenChannelRanges(rows: number, width: number): void
  findRowRanges(rows: number, width: number): void
  divideByChannel(rows: number, width: number): void
  divideByRow(rows: number, width: number): void
  sortIntoBins(count: number, least: number, factor: number): void
  transposeBytes(rows: number, columns: number): void
  prepareRansEncoder(): void
  prepareRansDecoder(): void
  /** How many coded bytes it wrote or took. */
  readonly encodeRans: Converter
  readonly decodeRans: Converter
}
/** An exported address or size. */
type Place = { readonly value: number }
/** A kernel for so many values, rows or blocks of the tile: 1, or 0 for what is not finite or cannot be. */
export type Converter = (count: number) => number
