import { usualColumn } from '#core/contract/choices.ts'
import type { KnownDataset } from '#core/contract/hub.ts'
import type { DataEntry, TextSource } from '#core/contract/library.ts'

/** The join rules that a text can be read with, the one to begin with first: that of the known data set it is, one document a file of a folder, one a row of a table, else as it is. */
export function joinsOf(entry: Pick<DataEntry, 'kind' | 'columns' | 'source'>, known: readonly KnownDataset[]): TextSource['join'][] {
  const [join] = known.filter(({ repo }) => repo === entry.source?.repo)
  const usual: TextSource['join'][] = entry.columns.length > 0 ? ['documents', 'hf-rows', 'file'] : entry.kind === 'folder' ? ['documents'] : ['file', 'hf-rows', 'documents']
  return join && usual.includes(join.join) ? [join.join, ...usual.filter((other) => other !== join.join)] : usual
}

/** Whether a path is named like a table of texts, of which a column is read. */
export function isTable(path: string): boolean {
  return /\.(jsonl|ndjson|csv|parquet|json)(\.gz)?$/i.test(path)
}

/** Larger texts are counted only where a person asks: at two megabytes a second this takes half a minute. */
export const COUNTED_UNASKED = 64e6

/** What a spec first says of a table's column: nothing where that is enough. */
export function firstColumn(columns: readonly string[]): string | null {
  return usualColumn(columns) === null ? (columns[0] ?? null) : null
}
