/* The WebAssembly kernels: scripts/assembly.ts compiles them, core/kernels/webassembly.ts calls them, and the files of the same names beside that are their twins. */
export { tileValues, valuesAt, codesAt, scalesAt, zerosAt, sumsAt } from './memory'
export { dequantizeBlocks, quantizeBlocks } from './blocks'
export { addErrors } from './errors'
export { allFinite, decodeBf16, decodeF16, decodeF8e4m3, encodeBf16, encodeF16, encodeF8e4m3 } from './floats'
export { dequantizeGroups, quantizeGroups } from './groups'
export { hadamard } from './hadamard'
export { addComparison, addExps, largestLogit } from './logits'
