/** Columns that are gathered together, and the least number of rows. */
const COLUMNS = 64
const ROWS = 16
/** Bytes of the rows of one turn, where they are more: what is read stays in the first-level cache while each column of it is gathered. */
const TURN = 16_384

/** Kernels.transposeBytes in TypeScript. */
export function transposeBytes(bytes: Uint8Array, columns: number, out: Uint8Array): void {
  const rows = bytes.length / columns
  const turn = Math.max(ROWS, Math.floor(TURN / columns))
  for (let from = 0; from < rows; from += turn) {
    const end = Math.min(rows, from + turn)
    for (let first = 0; first < columns; first += COLUMNS) transposePart(bytes, columns, out, from, end, first, Math.min(columns, first + COLUMNS))
  }
}

/** Does so for some rows and columns alone. */
export function transposePart(bytes: Uint8Array, columns: number, out: Uint8Array, row: number, rowEnd: number, column: number, columnEnd: number): void {
  const rows = bytes.length / columns
  for (; column < columnEnd; column++) {
    for (let to = column * rows + row, at = row * columns + column; to < column * rows + rowEnd; to++, at += columns) out[to] = bytes[at]!
  }
}
