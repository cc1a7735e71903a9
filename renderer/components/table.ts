/** A column of a table: what it shows and, where it can be sorted by, its value; null stands for what was not measured. */
export type Column<R> = {
  key: string
  title: string
  /** The title is for screen readers only. */
  unseen?: boolean
  /** What the title stands for, with its unit. */
  about?: string
  align?: 'left' | 'right'
  mono?: boolean
  /** A CSS grid track. */
  width?: string
  text: (row: R) => string
  value?: (row: R) => number | string | null
  /** What a pointer that rests on the cell is told. */
  tip?: (row: R) => string
}

/** A table as it is copied and exported. */
export type PlainTable = { header: readonly string[]; rows: readonly (readonly string[])[] }

/** The table as shown, for the clipboard and for files. */
export function plainTable<R>(columns: readonly Column<R>[], rows: readonly R[]): PlainTable {
  return { header: columns.map(({ title }) => title), rows: rows.map((row) => columns.map((column) => column.text(row))) }
}

/** Tab-separated, as spreadsheets take it. */
export function asTsv({ header, rows }: PlainTable): string {
  return [header, ...rows].map((row) => row.map((cell) => cell.replace(/[\t\n]/g, ' ')).join('\t')).join('\n') + '\n'
}

/** A Markdown table. */
export function asMarkdown({ header, rows }: PlainTable): string {
  const line = (row: readonly string[]): string => `| ${row.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n') + '\n'
}

/** Comma-separated by RFC 4180. A cell that a spreadsheet would run as a formula is made text. */
export function asCsv({ header, rows }: PlainTable): string {
  const cell = (text: string): string => {
    const safe = /^[=+@\t]/.test(text) && !Number.isFinite(Number(text.replace(',', ''))) ? `'${text}` : text
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
  }
  return [header, ...rows].map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n'
}
