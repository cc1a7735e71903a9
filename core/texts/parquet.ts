import { brotliDecompressSync, crc32, gunzipSync } from 'node:zlib'
import type * as Compressors from 'hyparquet-compressors'
import { parquetMetadata, parquetSchema, snappyUncompress, type ColumnMetaData, type FileMetaData } from 'hyparquet'
import { openFile, type FileSource } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { Broken, Cursor, malformed } from './cursor.ts'
import { pageHeader, pageValues, type PageHeader, type PageValues, type Unpack } from './parquet-page.ts'
import { MAX_ROWS, textFirst, type Table } from './table.ts'
import { readStruct } from './thrift.ts'
import { MAX_TEXT_BYTES, MAX_UNPACKED_BYTES } from './unpack.ts'

/** Before the first page and after the footer. */
const MAGIC = 'PAR1'
/** A thousand row groups of a hundred columns: larger footers are of tables that hold no text. */
const MAX_FOOTER_BYTES = 64 * 1024 * 1024
/** Read for a page's header, and again where it is longer: the last is far beyond what statistics make of one. */
const HEADER_BYTES = [4 * 1024, 64 * 1024, 1024 * 1024]

/** A piece of a column in the file. */
type Chunk = { readonly rows: number; readonly begin: number; readonly end: number; readonly codec: string }

/**
 * A table in Parquet (Apache Parquet format 2.11) with its flat columns of strings. Its footer is read by hyparquet, after a look that no length in it passes the file;
 * the pages by our own: the library makes arrays as long as a page says. Throws LabError MALFORMED_FILE of format `parquet`, CHECKSUM_MISMATCH, and those of `openFile`.
 */
export async function openParquet(path: string): Promise<Table> {
  const file = await openFile(path)
  try {
    const metadata = await guarded(path, () => readFooter(file))
    const columns = await guarded(path, async () => columnsOf(metadata))
    const rows = metadata.row_groups.reduce((sum, group) => sum + count(group.num_rows), 0)
    return { columns: textFirst(columns.map(({ name }) => name)), rows, rowsOf: (column) => rowsOf(path, metadata, column) }
  } finally {
    await file.close()
  }
}

/** The library throws plain errors for whatever a file can be; so does our own reading. `place.at`: where in the file it is. */
async function guarded<T>(path: string, work: () => Promise<T>, place: { at: number } = { at: 0 }): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof LabError && error.code !== 'MALFORMED_FILE' ? error : malformed(path, 'parquet', error instanceof Error ? error.message : String(error), place.at)
  }
}

async function readFooter(file: FileSource): Promise<FileMetaData> {
  if (file.size < 12) throw new Broken('CutShort')
  const tail = await file.read(file.size - 8, file.size)
  const length = new Cursor(tail).uint32()
  if (Buffer.from(tail.subarray(4)).toString('latin1') !== MAGIC) throw new Broken('NoMagic')
  if (length > MAX_FOOTER_BYTES || length > file.size - 12) throw new Broken('FooterLength')
  const footer = await file.read(file.size - 8 - length, file.size)
  readStruct(new Cursor(footer.subarray(0, length)))
  const metadata = parquetMetadata(footer, { geoparquet: false })
  // All that is used of it is asked for here, so that what is missing is said once.
  const rows = metadata.row_groups.reduce((sum, group) => sum + count(group.num_rows), 0)
  if (rows !== count(metadata.num_rows)) throw new Broken('RowCount')
  return metadata
}

/** Flat columns of strings, of a name that is there once. */
function columnsOf(metadata: FileMetaData): { name: string; nullable: boolean }[] {
  const { children } = parquetSchema(metadata)
  const flat = children.filter(({ element, children: below }) => {
    const text = element.converted_type === 'UTF8' || element.logical_type?.type === 'STRING'
    return below.length === 0 && element.type === 'BYTE_ARRAY' && text && element.repetition_type !== 'REPEATED'
  })
  const names = children.map(({ element }) => element.name)
  return flat.map(({ element }) => ({ name: element.name, nullable: element.repetition_type === 'OPTIONAL' })).filter(({ name }) => names.indexOf(name) === names.lastIndexOf(name))
}

async function* rowsOf(path: string, metadata: FileMetaData, name: string): AsyncGenerator<string[]> {
  const total = count(metadata.num_rows)
  if (total > MAX_ROWS) throw new LabError('INVALID_INPUT', `${path} has ${total} rows, over the limit of ${MAX_ROWS}: name a smaller file of the data set`, { rows: total })
  const column = columnsOf(metadata).find((one) => one.name === name)
  const file = await openFile(path)
  try {
    const chunks = await guarded(path, async () => metadata.row_groups.map((group) => chunkOf(group.columns.map(({ meta_data: meta }) => meta), name, count(group.num_rows), file.size)))
    const place = { at: 0, left: MAX_UNPACKED_BYTES }
    for (const chunk of chunks) {
      const pages = chunkRows(file, path, chunk, column?.nullable ?? false, place)
      for (;;) {
        const step = await guarded(path, () => pages.next(), place)
        if (step.done) break
        yield step.value
      }
    }
  } finally {
    await file.close()
  }
}

function chunkOf(columns: readonly (ColumnMetaData | undefined)[], name: string, rows: number, size: number): Chunk {
  const meta = columns.find((column) => column?.path_in_schema.length === 1 && column.path_in_schema[0] === name)
  if (!meta) throw new Broken('NoColumn')
  const data = count(meta.data_page_offset)
  // A writer says 0 where there is no dictionary.
  const begin = Math.min(data, count(meta.dictionary_page_offset ?? 0) || data)
  const end = begin + count(meta.total_compressed_size)
  if (begin < MAGIC.length || end > size - 8) throw new Broken('ColumnPlace')
  return { rows, begin, end, codec: meta.codec }
}

async function* chunkRows(file: FileSource, path: string, { rows, begin, end, codec }: Chunk, nullable: boolean, place: { at: number; left: number }): AsyncGenerator<string[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const make = (bytes: Uint8Array): string => decoder.decode(bytes)
  const unpack = await unpackerOf(codec)
  let dictionary: string[] | null = null
  let left = rows
  for (let at = begin; left > 0; ) {
    place.at = at
    const { header, size } = await headerAt(file, at, end)
    if (size + header.packed > end - at) throw new Broken('CutShort')
    const bytes = await file.read(at + size, at + size + header.packed)
    if (header.crc !== null && crc32(bytes) !== header.crc) throw new LabError('CHECKSUM_MISMATCH', `${path}: the page at byte ${at} is not what was written: get the file again`, { at })
    place.left -= header.unpacked
    if (place.left < 0) throw new Broken('UnpackedLength')
    const page: PageValues<string> = pageValues(header, bytes, { nullable, unpack, most: MAX_TEXT_BYTES, dictionary, make })
    at += size + header.packed
    if ('dictionary' in page) {
      dictionary = page.dictionary
      continue
    }
    left -= page.values.length
    if (left < 0) throw new Broken('RowCount')
    yield page.values.map((value) => value ?? '')
  }
}

/** The header of the page at `at`, and its own length. */
async function headerAt(file: FileSource, at: number, end: number): Promise<{ header: PageHeader; size: number }> {
  for (const most of HEADER_BYTES) {
    const bytes = await file.read(at, Math.min(at + most, end))
    const cursor = new Cursor(bytes)
    try {
      const fields = readStruct(cursor)
      return { header: pageHeader(fields, MAX_TEXT_BYTES), size: cursor.at }
    } catch (error) {
      if (!(error instanceof Broken && error.message === 'CutShort' && bytes.length === most)) throw error
    }
  }
  throw new Broken('PageHeader')
}

async function unpackerOf(codec: string): Promise<Unpack> {
  switch (codec) {
    case 'UNCOMPRESSED':
      return exactly((bytes) => bytes)
    case 'SNAPPY':
      return exactly((bytes, length) => {
        const output = new Uint8Array(length)
        snappyUncompress(bytes, output)
        return output
      })
    case 'GZIP':
      return exactly((bytes, length) => gunzipSync(bytes, { maxOutputLength: Math.max(1, length) }))
    case 'BROTLI':
      return exactly((bytes, length) => brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, length) }))
    case 'ZSTD': {
      const { decompressZstd } = await compressors()
      return exactly((bytes, length) => {
        if (zstdSize(bytes) !== length) throw new Broken('ZstdSize')
        return decompressZstd(bytes, new Uint8Array(length))
      })
    }
    case 'LZ4_RAW': {
      const { decompressLz4Raw } = await compressors()
      return exactly(decompressLz4Raw)
    }
    case 'LZ4': {
      const { decompressLz4 } = await compressors()
      return exactly(decompressLz4)
    }
    default:
      throw new Broken(`Codec${codec}`)
  }
}

function exactly(unpack: Unpack): Unpack {
  return (bytes, length) => {
    const output = unpack(bytes, length)
    if (output.length !== length) throw new Broken('UnpackedLength')
    return output
  }
}

async function compressors(): Promise<typeof Compressors> {
  return import('hyparquet-compressors')
}

/** The content size that a Zstandard frame states (RFC 8878, 3.1.1.1); null where it states none, which no writer of pages does. */
function zstdSize(bytes: Uint8Array): number | null {
  const cursor = new Cursor(bytes)
  if (cursor.uint32() !== 0xfd2fb528) throw new Broken('NoZstd')
  const flags = cursor.byte()
  const single = (flags & 0x20) !== 0
  cursor.take((single ? 0 : 1) + ([0, 1, 2, 4][flags & 3] ?? 0))
  const width = [single ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0
  if (width === 0) return null
  return cursor.take(width).reduceRight((size, byte) => size * 256 + byte, 0) + (width === 2 ? 256 : 0)
}

function count(value: bigint | number | undefined): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number) || number < 0) throw new Broken('NotACount')
  return number
}
