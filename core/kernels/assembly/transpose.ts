import { codesAt, valuesAt } from './memory'

/** Transposes bytes [rows, columns] of the values' region to the codes'; four divides `rows` and sixteen `columns`. */
export function transposeBytes(rows: i32, columns: i32): void {
  const width = <usize>columns
  const height = <usize>rows
  for (let column: usize = 0; column < width; column += 16) {
    let from = valuesAt + column
    const begin = codesAt + column * height
    for (let to = begin; to < begin + height; to += 4, from += width << 2) {
      const a = v128.load(from)
      const b = v128.load(from + width)
      const c = v128.load(from + 2 * width)
      const d = v128.load(from + 3 * width)
      const upper = i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
      const upperNext = i8x16.shuffle(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
      const lower = i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
      const lowerNext = i8x16.shuffle(c, d, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
      storeColumns(to, height, i16x8.shuffle(upper, upperNext, 0, 8, 1, 9, 2, 10, 3, 11))
      storeColumns(to + 4 * height, height, i16x8.shuffle(upper, upperNext, 4, 12, 5, 13, 6, 14, 7, 15))
      storeColumns(to + 8 * height, height, i16x8.shuffle(lower, lowerNext, 0, 8, 1, 9, 2, 10, 3, 11))
      storeColumns(to + 12 * height, height, i16x8.shuffle(lower, lowerNext, 4, 12, 5, 13, 6, 14, 7, 15))
    }
  }
}

/** Four bytes of each of four columns. */
// @ts-ignore: decorator
@inline
function storeColumns(to: usize, height: usize, columns: v128): void {
  v128.store_lane<u32>(to, columns, 0)
  v128.store_lane<u32>(to + height, columns, 1)
  v128.store_lane<u32>(to + 2 * height, columns, 2)
  v128.store_lane<u32>(to + 3 * height, columns, 3)
}
