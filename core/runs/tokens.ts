import { parquetMetadataAsync, parquetScan, snappyUncompress, type AsyncBuffer, type FileMetaData } from 'hyparquet'
import { openFile, type FileSource } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'

/** Some scored tokens of one method, whole windows in their order, as columns of equal length. */
export type ScoreRows = {
  rows: number
  window: ArrayLike<number>
  position: ArrayLike<number>
  tokenId: ArrayLike<number>
  nllRef: ArrayLike<number>
  nllQ: ArrayLike<number>
  kl: ArrayLike<number>
  agree: ArrayLike<boolean>
}

/** The columns of `scores.parquet` with their types, in the order of the file. */
const COLUMNS = { method: 'BYTE_ARRAY', window: 'INT32', position: 'INT32', token_id: 'INT32', nll_ref: 'DOUBLE', nll_q: 'DOUBLE', kl: 'DOUBLE', agree: 'BOOLEAN' } as const
/** Rows of a group that are still read: the writer makes groups of 65,536 and a window that is longer than that. */
const MAX_GROUP_ROWS = 2 ** 21
/** A page of so many rows is smaller than this; the page header is believed no further. */
const MAX_PAGE_BYTES = 64 * MAX_GROUP_ROWS

/**
 * The scores of one method or control from a run's `scores.parquet`, a row group at a time: of the file only its footer and that method's columns are read.
 * `most`: the scored tokens of the run. Throws LabError FILE_NOT_FOUND, or MALFORMED_FILE for what is no such file.
 */
export async function* parquetScores(path: string, method: string, most: number): AsyncGenerator<ScoreRows, void> {
  const source = await openFile(path)
  try {
    const file = bufferOf(source)
    const metadata = await parquetMetadataAsync(file)
    checkSchema(metadata, path)
    const compressors = { SNAPPY: uncompress }
    const scan = await parquetScan({ file, metadata, compressors, pruningFilter: { method: { $eq: method } }, useOffsetIndex: false, geoparquet: false })
    let left = most
    for (const { rowStart, rowEnd } of scan.ranges) {
      const rows = rowEnd - rowStart
      if (rows > MAX_GROUP_ROWS) throw malformed(path, `a row group of ${rows} rows`)
      const read = (column: keyof typeof COLUMNS): Promise<ArrayLike<unknown>> => scan.readColumn({ column, rowStart, rowEnd })
      const names = await read('method')
      // Its groups are of one method each.
      if (names[0] !== method) continue
      left -= rows
      if (left < 0) throw malformed(path, `more rows of ${method} than the run has tokens`)
      const numbers = async (column: keyof typeof COLUMNS): Promise<ArrayLike<number>> => (await read(column)) as ArrayLike<number>
      const group: ScoreRows = {
        rows,
        window: await numbers('window'),
        position: await numbers('position'),
        tokenId: await numbers('token_id'),
        nllRef: await numbers('nll_ref'),
        nllQ: await numbers('nll_q'),
        kl: await numbers('kl'),
        agree: (await read('agree')) as ArrayLike<boolean>,
      }
      if (Object.values(group).some((column) => typeof column !== 'number' && column.length !== rows)) throw malformed(path, 'columns of unequal length')
      yield group
    }
  } catch (error) {
    // The library throws plain errors for whatever a file can be.
    throw error instanceof LabError ? error : malformed(path, error instanceof Error ? error.message : String(error))
  } finally {
    await source.close()
  }
}

function bufferOf(source: FileSource): AsyncBuffer {
  return {
    byteLength: source.size,
    slice: (begin, end = source.size) => {
      // A copy of its own length: what is read at once is one piece of memory.
      const read = source.read(begin, end).then(({ buffer }) => buffer as ArrayBuffer)
      // The library reads ahead, and where it stops for another fault it never looks at what these reads came to; whoever does look is told all the same.
      read.catch(() => undefined)
      return read
    },
  }
}

function checkSchema({ schema, key_value_metadata: facts }: FileMetaData, path: string): void {
  const columns = schema.slice(1).map(({ name, type, repetition_type: repetition }) => `${name} ${type} ${repetition}`)
  const expected = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type} REQUIRED`)
  if (columns.join() !== expected.join() || !facts?.some(({ key, value }) => key === 'schema' && value === 'kvlab.scores/1')) throw malformed(path, 'not a kvlab.scores/1 file')
}

function uncompress(input: Uint8Array, length: number): Uint8Array {
  if (length > MAX_PAGE_BYTES) throw new Error(`a page of ${length} bytes`)
  const output = new Uint8Array(length)
  snappyUncompress(input, output)
  return output
}

function malformed(path: string, reason: string): LabError {
  return new LabError('MALFORMED_FILE', `${path} does not hold the scores of a run (${reason}): make the run again`, { format: 'kvlab.scores', reason, at: 0 })
}
