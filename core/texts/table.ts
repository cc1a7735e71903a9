import { usualColumn } from '#core/contract/choices.ts'
import { LabError } from '#core/contract/errors.ts'

/** Rows of texts under named columns. `rows`: how many, null where that is not known without reading them all; `rowsOf` gives one column's in batches. */
export type Table = {
  readonly columns: readonly string[]
  readonly rows: number | null
  rowsOf(column: string): AsyncGenerator<readonly string[]>
}

export type Format = 'text' | 'jsonl' | 'csv' | 'parquet'

/** Rows that are read of a table: forty times a shard of C4, and still an array that is held at once. */
export const MAX_ROWS = 2 ** 24
/** Characters of one row, all its columns together: ten of the longest books. */
export const MAX_ROW_CHARS = 2 ** 26

/** How a file is read, by its name; `.json` is read as JSON Lines, which is what data sets mean by it. */
export function formatOf(path: string): Format {
  const name = path.toLowerCase()
  if (/\.(jsonl|ndjson|json)(\.gz)?$/.test(name)) return 'jsonl'
  if (/\.csv(\.gz)?$/.test(name)) return 'csv'
  return name.endsWith('.parquet') ? 'parquet' : 'text'
}

/** Opens a table by its format. Throws LabError of the format's reader. */
export async function openTable(path: string, format: Exclude<Format, 'text'>): Promise<Table> {
  if (format === 'jsonl') return (await import('./jsonl.ts')).openJsonl(path)
  if (format === 'csv') return (await import('./csv.ts')).openCsv(path)
  return (await import('./parquet.ts')).openParquet(path)
}

/** Names with `text` before all others, which keep their order. */
export function textFirst(names: readonly string[]): string[] {
  return [...names.filter((name) => name === 'text'), ...names.filter((name) => name !== 'text')]
}

/** The column that is read: the one named, `text`, or the only one. Throws LabError INVALID_INPUT naming what there is. */
export function chooseColumn({ columns }: Table, named: string | null, path: string): string {
  const [first] = columns
  const there = columns.slice(0, 20).map((name) => JSON.stringify(name)).join(', ')
  if (first === undefined) throw new LabError('INVALID_INPUT', `${path} has no column of text: name another file`)
  if (named !== null) {
    if (columns.includes(named)) return named
    throw new LabError('INVALID_INPUT', `${path} has no column of text ${JSON.stringify(named)}: it has ${there}`, { columns: [...columns] })
  }
  const usual = usualColumn(columns)
  if (usual !== null) return usual
  throw new LabError('INVALID_INPUT', `${path} has several columns of text: name one with --column: ${there}`, { columns: [...columns] })
}
