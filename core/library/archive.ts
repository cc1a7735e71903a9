import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import { crc32, createGunzip } from 'node:zlib'
import type { Header } from 'tar-stream'
import type { Entry, ZipFile } from 'yauzl'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { EntryNames, MAX_ENTRIES, type NameFormat } from './entry-name.ts'
import { CHUNK_BYTES, type Incoming, type Intake } from './intake.ts'

/** Weights and Parquet files hardly shrink and texts to a third or fifth; deflate itself ends at 1,032, which only made-up content reaches. */
export const MAX_GROWTH = 200
/** Below this an archive may grow as it likes: a file of zeros is no danger to a disk. */
export const GROWTH_FREE_BYTES = 1024 ** 3
/** Name, extra field and comment of one zip entry: real ones have some hundred bytes, and all of them are in memory at once. */
const MAX_ZIP_HEAD_BYTES = 2048

const ARCHIVE = /\.(zip|tar|tar\.gz|tgz)$/i

/** Whether a file's name says that it is an archive: `.zip`, `.tar`, `.tar.gz` or `.tgz`. */
export function isArchive(path: string): boolean {
  return ARCHIVE.test(path)
}

/**
 * The files of an archive. Names that could lead out of their folder or mean another file on another system, links, devices, encrypted entries, entries that come
 * twice, and archives that grow beyond all measure are refused. Throws LabError MALFORMED_FILE naming the entry, and those of file errors.
 */
export async function openArchive(path: string): Promise<Intake> {
  const { size } = await stat(path).catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  const archive: Archive = { path, size, format: /\.zip$/i.test(path) ? 'zip' : 'tar', name: basename(path).replace(ARCHIVE, '') }
  return archive.format === 'zip' ? openZip(archive) : openTar(archive, !/\.tar$/i.test(path))
}

type Archive = { readonly path: string; readonly size: number; readonly format: Exclude<NameFormat, 'folder'>; readonly name: string }
type ZipFileEntry = { readonly name: string; readonly entry: Entry }

async function openZip(archive: Archive): Promise<Intake> {
  const { path, size, name } = archive
  const yauzl = await import('yauzl')
  const zip = await understood(archive, () => yauzl.openPromise(path, { autoClose: false, decodeStrings: false }))
  try {
    const names = new EntryNames(path, 'zip')
    if (zip.entryCount > MAX_ENTRIES) throw malformed(archive, 'TooManyEntries', `it has more than ${MAX_ENTRIES} entries`)
    const entries: ZipFileEntry[] = []
    let total = 0
    await understood(archive, async () => {
      for await (const entry of zip.eachEntry()) {
        const head = entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength
        if (head > MAX_ZIP_HEAD_BYTES) throw malformed(archive, 'EntryHeadTooLong', 'the head of an entry is longer than any real one')
        const given = yauzl.getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, true)
        const type = (entry.externalFileAttributes >>> 16) & 0o170000
        const isFolder = given.endsWith('/') || type === 0o040000
        const accepted = names.accept(given, isFolder ? 'folder' : 'file')
        if (type !== 0 && type !== 0o100000 && type !== 0o040000) throw names.refusal(given, 'NoPlainFile', 'it is a link or a device')
        if (accepted === null || isFolder) continue
        if (entry.isEncrypted()) throw names.refusal(given, 'Encrypted', 'it is encrypted')
        if (!entry.canDecodeFileData()) throw names.refusal(given, 'UnknownCompression', `it is compressed in a way (${entry.compressionMethod}) that is not deflate`)
        total += entry.uncompressedSize
        refuseGrowth(archive, total)
        entries.push({ name: accepted, entry })
      }
    })
    let done = 0
    return {
      name,
      names: entries.map((entry) => entry.name),
      source: null,
      progress: () => ({ done, total }),
      files: async function* (signal) {
        for (const { name, entry } of entries) yield { name, bytes: entry.uncompressedSize, content: zipContent(archive, zip, { name, entry }, signal, (count) => (done += count)) }
      },
      close: async () => zip.close(),
    }
  } catch (error) {
    zip.close()
    throw error
  }

  function refuseGrowth(of: Archive, total: number): void {
    if (total > GROWTH_FREE_BYTES && total > MAX_GROWTH * size) throw bomb(of, total)
  }
}

async function* zipContent(archive: Archive, zip: ZipFile, { name, entry }: ZipFileEntry, signal: AbortSignal, count: (bytes: number) => void): AsyncGenerator<Uint8Array, void> {
  let sum = 0
  try {
    for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Uint8Array>) {
      signal.throwIfAborted()
      sum = crc32(chunk, sum)
      count(chunk.length)
      yield chunk
    }
  } catch (error) {
    throw asFault(error, archive, name)
  }
  if (sum !== entry.crc32) throw new LabError('CHECKSUM_MISMATCH', `${archive.path}: ${name} in it is damaged (its CRC-32 is wrong): get the archive again`)
}

function openTar(archive: Archive, gzipped: boolean): Intake {
  let read = 0
  return {
    name: archive.name,
    names: null,
    source: null,
    progress: () => ({ done: read, total: archive.size }),
    files: (signal) => tarFiles(archive, gzipped, signal, (count) => (read += count)),
    close: async () => {},
  }
}

/** What tar-stream tells beside what its types say: where an entry's content begins, and null for a type it does not know. */
type Placed = Omit<Header, 'type' | 'pax'> & { readonly type: string | null; readonly pax: Readonly<Record<string, string>> | null; readonly byteOffset: number }
const TAR_BLOCK = 512

async function* tarFiles(archive: Archive, gzipped: boolean, signal: AbortSignal, count: (bytes: number) => void): AsyncGenerator<Incoming, void> {
  const { extract } = await import('tar-stream')
  const names = new EntryNames(archive.path, 'tar')
  const parser = extract()
  let total = 0
  const feed = Readable.from(tarBytes(archive, gzipped, signal, count, (chunk) => (total += chunk)), { objectMode: false })
  feed.on('error', (error) => parser.destroy(error))
  feed.pipe(parser)
  let end = 0
  try {
    for await (const entry of parser) {
      const { name: given, type, size, pax, byteOffset } = entry.header as Placed
      const isFolder = type === 'directory'
      if (isFolder ? size !== 0 : type !== 'file' && type !== 'contiguous-file') throw names.refusal(given, 'NoPlainFile', 'it is a link, a device or something unknown')
      if (Object.keys(pax ?? {}).some((key) => key.startsWith('GNU.sparse'))) throw names.refusal(given, 'Sparse', 'it is stored with holes')
      const name = names.accept(given, isFolder ? 'folder' : 'file')
      end = byteOffset + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK
      if (!Number.isSafeInteger(end) || (!gzipped && end > archive.size)) throw malformed(archive, 'CutShort', `it is cut short within ${JSON.stringify(given)}`)
      if (name !== null && !isFolder) yield { name, bytes: size, content: entryContent(archive, name, entry as AsyncIterable<Uint8Array>) }
      entry.resume()
    }
  } catch (error) {
    throw asFault(error, archive, null)
  } finally {
    feed.destroy()
    parser.destroy()
  }
  // Without its end mark an archive that was cut off between two entries would look whole.
  if (total < end + 2 * TAR_BLOCK) throw malformed(archive, 'CutShort', 'it is cut short: its end mark is missing')
}

async function* entryContent(archive: Archive, name: string, entry: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const chunk of entry) yield chunk
  } catch (error) {
    throw asFault(error, archive, name)
  }
}

async function* tarBytes(archive: Archive, gzipped: boolean, signal: AbortSignal, count: (bytes: number) => void, out: (bytes: number) => number): AsyncGenerator<Uint8Array, void> {
  const file = createReadStream(archive.path, { highWaterMark: CHUNK_BYTES })
  file.on('data', (chunk) => count(chunk.length))
  // An error of either reaches whoever reads the last one.
  const source: AsyncIterable<Uint8Array> = gzipped ? pipeline(file, createGunzip({ chunkSize: CHUNK_BYTES / 4 }), () => {}) : file
  try {
    for await (const chunk of source) {
      signal.throwIfAborted()
      const total = out(chunk.length)
      if (total > GROWTH_FREE_BYTES && total > MAX_GROWTH * archive.size) throw bomb(archive, total)
      yield chunk
    }
  } finally {
    file.destroy()
  }
}

function bomb(archive: Archive, total: number): LabError {
  return malformed(archive, 'GrowsTooMuch', `its ${archive.size} bytes become ${total} or more, over ${MAX_GROWTH} times as many, which no model or text does`)
}

function malformed({ path, format }: Archive, reason: string, text: string): LabError {
  return new LabError('MALFORMED_FILE', `${path}: ${text}: get the archive again, from its source`, { format, reason, at: 0 })
}

async function understood<T>(archive: Archive, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw asFault(error, archive, null)
  }
}

/** What a reader of archives, or the system below it, said. */
function asFault(error: unknown, archive: Archive, entry: string | null): unknown {
  if (error instanceof LabError || !(error instanceof Error) || error.name === 'AbortError') return error
  if ('syscall' in error) return fileError(error, archive.path, 'read')
  return malformed(archive, 'Unreadable', `${entry === null ? '' : `${JSON.stringify(entry)} in it: `}${error.message}`)
}
