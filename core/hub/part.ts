import { open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Limits } from './limits.ts'
import { PART, RECORD } from './layout.ts'

/** Bytes [begin, end) of a file; the first `done` of them are on disk and recorded. */
export type Piece = { readonly begin: number; readonly end: number; readonly done: number }

/** A file that is being fetched: its bytes, where they belong, in `<blob>.kvlab-part`, and in `<blob>.kvlab-record` how far each piece is. */
export type Part = {
  readonly pieces: readonly Piece[]
  /** Recorded bytes of all pieces. */
  readonly done: number
  /** The server's strong ETag of what was fetched so far, for If-Range. */
  readonly validator: string | null
  remember(validator: string): Promise<void>
  /** Adds bytes at the end of what a piece has. They are recorded once they are written, so that what is recorded is there, also after `kill -9`. */
  append(piece: Piece, chunks: readonly Uint8Array[]): Promise<void>
  /** Fills `into` from `begin` on. */
  read(into: Uint8Array, begin: number): Promise<void>
  /** Syncs and gives the file its own name; the part is closed then. */
  finish(): Promise<void>
  close(): Promise<void>
}

/** After so many bytes the disk is told to take them, while more come: synced all at once at the end, a large file would stand still for seconds. */
const SYNC_BYTES = 64 * 2 ** 20

/** A record: magic, size, piece size, length and text of the validator, then one counter a piece, all little-endian. */
const MAGIC = Buffer.from('kvlabpt1')
const VALIDATOR_AT = 24
/** Longer ETags are not remembered. */
const MAX_VALIDATOR_BYTES = 254
const COUNTERS_AT = 280

/**
 * Opens what was fetched of a blob before, or begins anew where there is nothing, or nothing that fits. The caller holds the blob's lock.
 * Errors of it and of all it does: NOT_WRITABLE, DISK_FULL, FILE_NOT_FOUND (no folder).
 */
export async function openPart(blob: string, size: number, limits: Pick<Limits, 'splitFromBytes' | 'pieceBytes'>): Promise<Part> {
  const step = stepOf(size, limits)
  const before = await readRecord(blob, size, step)
  const { data, record } = await asPart(blob, () => openFiles(blob, before === null, size, step))
  const counters = before?.counters ?? new Array<number>(countOf(size, step)).fill(0)
  const pieces = counters.map((done, i) => ({ begin: i * step, end: Math.min(size, (i + 1) * step), done }))
  let validator = before?.validator ?? null
  let unsynced = 0
  let syncing: Promise<void> | null = null
  let syncFailure: LabError | null = null
  const syncBehind = (bytes: number): void => {
    unsynced += bytes
    if (unsynced < SYNC_BYTES || syncing !== null) return
    unsynced = 0
    const sync = async (): Promise<void> => {
      try {
        await data.datasync()
      } catch (error) {
        // A system says such a thing once.
        syncFailure ??= fileError(error, `${blob}${PART}`, 'write')
      }
      syncing = null
    }
    syncing = sync()
  }
  const closeBoth = async (): Promise<void> => {
    await syncing
    await Promise.all([data.close(), record.close()])
  }
  return {
    pieces,
    get done() {
      return pieces.reduce((sum, piece) => sum + piece.done, 0)
    },
    get validator() {
      return validator
    },
    remember: async (text) => {
      if (Buffer.byteLength(text) > MAX_VALIDATOR_BYTES || text === validator) return
      await asPart(blob, () => writeAll(record, [validatorBytes(text)], VALIDATOR_AT))
      validator = text
    },
    append: async (piece, chunks) => {
      const index = Math.floor(piece.begin / Math.max(1, step))
      const mine = pieces[index]
      const bytes = chunks.reduce((sum, { length }) => sum + length, 0)
      if (!mine || mine.done + bytes > mine.end - mine.begin) throw new LabError('INTERNAL', `${bytes} bytes more than piece ${index} of ${blob} holds`)
      await asPart(blob, async () => {
        await writeAll(data, chunks, mine.begin + mine.done)
        await writeAll(record, [number64(mine.done + bytes)], COUNTERS_AT + 8 * index)
      })
      mine.done += bytes
      syncBehind(bytes)
    },
    read: (into, begin) =>
      asPart(blob, async () => {
        for (let done = 0; done < into.length; ) {
          const { bytesRead } = await data.read(into, done, into.length - done, begin + done)
          if (bytesRead === 0) throw new LabError('CHECKSUM_MISMATCH', `${blob}${PART} lost bytes that were written to it: start again`)
          done += bytesRead
        }
      }),
    finish: () =>
      asPart(blob, async () => {
        await syncing
        if (syncFailure !== null) throw syncFailure
        await data.sync()
        await closeBoth()
        await rename(`${blob}${PART}`, blob)
        await rm(`${blob}${RECORD}`, { force: true })
      }),
    close: () => asPart(blob, closeBoth),
  }
}

/** Bytes of a blob that an earlier attempt left on disk. */
export async function recordedBytes(blob: string, size: number, limits: Pick<Limits, 'splitFromBytes' | 'pieceBytes'>): Promise<number> {
  const record = await readRecord(blob, size, stepOf(size, limits))
  return record?.counters.reduce((sum, done) => sum + done, 0) ?? 0
}

/** Removes what was fetched of a blob. The caller holds its lock. Throws LabError NOT_WRITABLE. */
export async function dropPart(blob: string): Promise<void> {
  await asPart(blob, async () => {
    // The record first: it must not speak of bytes that are not there.
    await rm(`${blob}${RECORD}`, { force: true })
    await rm(`${blob}${PART}`, { force: true })
  })
}

type Recorded = { readonly validator: string | null; readonly counters: number[] }

/** What a record says; null where there is none, it is not whole, of a file cut otherwise, or speaks of bytes that are not there. */
async function readRecord(blob: string, size: number, step: number): Promise<Recorded | null> {
  const count = countOf(size, step)
  const [facts, data] = await Promise.all([`${blob}${RECORD}`, `${blob}${PART}`].map((path) => stat(path).catch(() => null)))
  if (!facts?.isFile() || !data?.isFile() || facts.size !== COUNTERS_AT + 8 * count) return null
  const bytes = await readFile(`${blob}${RECORD}`).catch(() => null)
  if (bytes?.length !== facts.size || !bytes.subarray(0, 8).equals(MAGIC)) return null
  if (bytes.readBigUInt64LE(8) !== BigInt(size) || bytes.readBigUInt64LE(16) !== BigInt(step)) return null
  const length = bytes.readUInt16LE(VALIDATOR_AT)
  const counters: number[] = []
  for (let i = 0; i < count; i++) {
    const done = bytes.readBigUInt64LE(COUNTERS_AT + 8 * i)
    const end = BigInt(i * step) + done
    if (end > BigInt(Math.min(size, (i + 1) * step)) || (done > 0n && end > BigInt(data.size))) return null
    counters.push(Number(done))
  }
  if (length > MAX_VALIDATOR_BYTES) return null
  return { counters, validator: length === 0 ? null : bytes.toString('utf8', VALIDATOR_AT + 2, VALIDATOR_AT + 2 + length) }
}

/** Both files; `anew` empties them and writes the record of nothing. */
async function openFiles(blob: string, anew: boolean, size: number, step: number): Promise<{ data: FileHandle; record: FileHandle }> {
  if (anew) await rm(`${blob}${RECORD}`, { force: true })
  const data = await open(`${blob}${PART}`, anew ? 'w+' : 'r+')
  try {
    const record = await open(`${blob}${RECORD}`, anew ? 'w+' : 'r+')
    if (anew) await writeAll(record, [MAGIC, number64(size), number64(step), validatorBytes(''), Buffer.alloc(8 * countOf(size, step))], 0)
    return { data, record }
  } catch (error) {
    await data.close()
    throw error
  }
}

/** Bytes of all pieces but the last. */
function stepOf(size: number, { splitFromBytes, pieceBytes }: Pick<Limits, 'splitFromBytes' | 'pieceBytes'>): number {
  return size < splitFromBytes ? size : pieceBytes
}

function countOf(size: number, step: number): number {
  return size === 0 ? 0 : Math.ceil(size / step)
}

/** Of a fixed length, so that it may be written over another. */
function validatorBytes(text: string): Buffer {
  const bytes = Buffer.alloc(COUNTERS_AT - VALIDATOR_AT)
  bytes.writeUInt16LE(bytes.write(text, 2), 0)
  return bytes
}

function number64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

async function writeAll(handle: FileHandle, chunks: readonly Uint8Array[], position: number): Promise<void> {
  for (let rest = [...chunks], at = position; rest.length > 0; ) {
    const { bytesWritten } = await handle.writev(rest, at)
    at += bytesWritten
    let skip = bytesWritten
    while (rest[0] !== undefined && skip >= rest[0].length) skip -= rest.shift()?.length ?? 0
    if (rest[0] !== undefined && skip > 0) rest = [rest[0].subarray(skip), ...rest.slice(1)]
  }
}

async function asPart<T>(blob: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, `${blob}${PART}`, 'write')
  }
}
