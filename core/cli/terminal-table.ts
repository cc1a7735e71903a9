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

/** The columns side by side, a line a row, within `width` characters as far as columns may be left out. Rows are never wrapped. */
export function layOut(columns: readonly Column[], width: number): string[] {
  const kept = [...columns]
  while (widthOf(kept) > width) {
    const highest = Math.max(...kept.map(({ rank }) => rank))
    if (highest <= 0) break
    kept.splice(kept.findLastIndex(({ rank }) => rank === highest), 1)
  }
  const set = kept.map((column, i) => {
    const { title, cells, align, paint = (cell: string) => cell } = column
    const wide = align === 'left' && i === kept.length - 1 ? 0 : columnWidth(column)
    const padded = (cell: string): string => (align === 'left' ? cell.padEnd(wide) : cell.padStart(wide))
    return [padded(title), ...cells.map((cell) => padded(cell).replace(cell, paint))]
  })
  const rows = set[0]?.length ?? 0
  return Array.from({ length: rows }, (_, row) => set.map((cells) => cells[row] ?? '').join(GAP))
}

function columnWidth({ title, cells }: Column): number {
  return Math.max(title.length, ...cells.map((cell) => cell.length))
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, column) => sum + columnWidth(column), Math.max(0, columns.length - 1) * GAP.length)
}
