import { createHash } from 'node:crypto'
import type { HubFile } from '#core/contract/hub.ts'
import type { Part, Piece } from './part.ts'

/** So much is read back at a time. */
const READ_BYTES = 512 * 1024

/** The hash of a file while its pieces come in any order: bytes at its front are taken from memory, all others are read back once it reaches them. */
export type HashFront = {
  /** Tells of bytes that were just appended to a piece, at `begin`. */
  appended(begin: number, chunks: readonly Uint8Array[]): void
  /** The hash of all bytes, which are there now, as hexadecimal digits. */
  digest(): Promise<string>
  /** Ends reading back; awaited before the part is closed. */
  stop(): Promise<void>
}

/** The hash that a file's blob is named by: SHA-256 of its bytes, else git's SHA-1, which begins with `blob <size>` and a NUL. What the part has already is read from it. */
export function createFront(part: Part, file: Pick<HubFile, 'bytes' | 'sha256'>): HashFront {
  const hash = createHash(file.sha256 === null ? 'sha1' : 'sha256')
  if (file.sha256 === null) hash.update(`blob ${file.bytes}\0`)
  let at = 0
  let reading: Promise<void> | null = null
  let failure: Error | null = null
  let stopped = false

  /** One for all reads: each anew would be garbage by the gigabyte. */
  let buffer = new Uint8Array(0)
  const catchUp = async (): Promise<void> => {
    try {
      if (buffer.length === 0) buffer = new Uint8Array(Math.min(READ_BYTES, file.bytes))
      for (let end = recordedFrom(part.pieces, at); end > at && !stopped; end = recordedFrom(part.pieces, at)) {
        const bytes = buffer.subarray(0, Math.min(buffer.length, end - at))
        await part.read(bytes, at)
        hash.update(bytes)
        at += bytes.length
      }
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
    }
    reading = null
  }
  const follow = (): void => {
    if (reading === null && failure === null && !stopped && recordedFrom(part.pieces, at) > at) reading = catchUp()
  }
  follow()
  return {
    appended: (begin, chunks) => {
      if (begin === at && reading === null) {
        for (const chunk of chunks) hash.update(chunk)
        at += chunks.reduce((sum, { length }) => sum + length, 0)
      }
      follow()
    },
    digest: async () => {
      for (follow(); reading !== null; follow()) await reading
      if (failure !== null) throw failure
      return hash.digest('hex')
    },
    stop: async () => {
      stopped = true
      await reading
    },
  }
}

/** Up to where the bytes from `at` on are recorded; `at` where none are. */
function recordedFrom(pieces: readonly Piece[], at: number): number {
  const piece = pieces[Math.floor(at / Math.max(1, pieces[0]?.end ?? 1))]
  return piece === undefined ? at : Math.max(at, piece.begin + piece.done)
}
