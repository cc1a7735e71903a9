import type { Exports } from './exports.ts'
import type { Kernels } from './kernels.ts'
import { transposePart } from './transpose.ts'
import { typescriptKernels } from './typescript.ts'

/** Bytes of a tile. */
const TILE = 65_536
/** Columns of a tile, where there are as many; more where there are few rows. */
const WIDTH = 256

/** Transposition on WebAssembly, in tiles of which four divides the rows and sixteen the columns; what is left at the edges is done here. */
export function transposeKernel(wasm: Exports): Pick<Kernels, 'transposeBytes'> {
  const tileBytes = new Uint8Array(wasm.memory.buffer, wasm.valuesAt.value, TILE)
  const tileOut = new Uint8Array(wasm.memory.buffer, wasm.codesAt.value, TILE)

  return {
    transposeBytes(bytes, columns, out) {
      const rows = bytes.length / columns
      const [wholeRows, wholeColumns] = [rows - (rows % 4), columns - (columns % 16)]
      if (wholeRows === 0 || wholeColumns === 0) return typescriptKernels.transposeBytes(bytes, columns, out)
      const most = Math.max(WIDTH, Math.floor(TILE / wholeRows / 16) * 16)
      for (let column = 0; column < wholeColumns; column += most) {
        const width = Math.min(most, wholeColumns - column)
        const mostRows = Math.floor(TILE / width / 4) * 4
        for (let row = 0; row < wholeRows; row += mostRows) {
          const height = Math.min(mostRows, wholeRows - row)
          if (width === columns) tileBytes.set(bytes.subarray(row * columns, (row + height) * columns))
          else for (let i = 0; i < height; i++) tileBytes.set(bytes.subarray((row + i) * columns + column, (row + i) * columns + column + width), i * width)
          wasm.transposeBytes(height, width)
          if (height === rows) out.set(tileOut.subarray(0, width * height), column * rows)
          else for (let i = 0; i < width; i++) out.set(tileOut.subarray(i * height, (i + 1) * height), (column + i) * rows + row)
        }
      }
      transposePart(bytes, columns, out, 0, wholeRows, wholeColumns, columns)
      transposePart(bytes, columns, out, wholeRows, rows, 0, columns)
    },
  }
}
