import { harmless } from './format.ts'

/** A column as text. Where a terminal is narrow, columns of the highest `rank` go first; rank 0 always stays. */
export type Column = {
  readonly title: string
  readonly align: 'left' | 'right'
  readonly rank: number
  readonly cells: readonly string[]
  /** Colour of a cell, put on after it has been set. */
  readonly paint?: (cell: string) => string
}

const GAP = '  '

/**
 * The columns side by side, a line a row, within `width` characters as far as columns may be left out; a last line then names what is
 * missing. Rows are never wrapped, and control characters of a file's own names do not reach the terminal.
 */
export function layOut(columns: readonly Column[], width: number): string[] {
  const kept = columns.map((column) => ({ ...column, cells: column.cells.map(harmless) }))
  const missing: string[] = []
  while (widthOf(kept) > width) {
    const highest = Math.max(...kept.map(({ rank }) => rank))
    if (highest <= 0) break
    missing.unshift(...kept.splice(kept.findLastIndex(({ rank }) => rank === highest), 1).map(({ title }) => title))
  }
  const set = kept.map((column, i) => {
    const { title, cells, align, paint = (cell: string) => cell } = column
    const wide = align === 'left' && i === kept.length - 1 ? 0 : columnWidth(column)
    const padded = (cell: string): string => (align === 'left' ? cell.padEnd(wide) : cell.padStart(wide))
    return [padded(title), ...cells.map((cell) => padded(cell).replace(cell, paint))]
  })
  const rows = set[0]?.length ?? 0
  const lines = Array.from({ length: rows }, (_, row) => set.map((cells) => cells[row] ?? '').join(GAP))
  return missing.length === 0 ? lines : [...lines, `(too narrow for: ${missing.join(', ')})`]
}

function columnWidth({ title, cells }: Column): number {
  return Math.max(title.length, ...cells.map((cell) => cell.length))
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, column) => sum + columnWidth(column), Math.max(0, columns.length - 1) * GAP.length)
}
