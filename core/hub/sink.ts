import type { HashFront } from './hash-front.ts'
import type { Part, Piece } from './part.ts'

/** So much is written at once, or what came within so many milliseconds: fewer, larger writes cost a fast connection less, and a slow one is recorded soon. */
const WRITE_BYTES = 512 * 1024
const WRITE_AFTER_MS = 20
/** What may wait in memory for the disk, of one connection; more of either holds the connection up. */
const MAX_WAITING_BYTES = 2 * WRITE_BYTES
const MAX_WAITING_CHUNKS = 256

/** Takes bytes as they come while those before them are being written. */
export type Sink = {
  /** Bytes that follow those of the piece that were given before. Resolves when there is room for more. Throws what a write threw. */
  put(piece: Piece, bytes: Uint8Array): Promise<void>
  /** All that was put is written and recorded. */
  flush(): Promise<void>
}

/** A sink of one connection; several may fill different pieces of a part. */
export function createSink(part: Part, front: HashFront): Sink {
  let piece: Piece | null = null
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | null = null
  let failure: Error | null = null

  const write = (): void => {
    clearTimeout(timer)
    timer = undefined
    const to = piece
    if (to === null || waiting.length === 0 || writing !== null || failure !== null) return
    const chunks = waiting
    waiting = []
    waitingBytes = 0
    writing = append(to, chunks)
  }
  const append = async (to: Piece, chunks: readonly Uint8Array[]): Promise<void> => {
    const begin = to.begin + to.done
    try {
      await part.append(to, chunks)
      front.appended(begin, chunks)
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
    }
    writing = null
    if (waitingBytes >= WRITE_BYTES || waiting.length >= MAX_WAITING_CHUNKS) write()
  }
  const flush = async (): Promise<void> => {
    for (write(); writing !== null; write()) await writing
    if (failure !== null) throw failure
  }
  return {
    put: async (to, bytes) => {
      if (to !== piece) await flush()
      if (failure !== null) throw failure
      piece = to
      waiting.push(bytes)
      waitingBytes += bytes.length
      if (waitingBytes >= WRITE_BYTES || waiting.length >= MAX_WAITING_CHUNKS) write()
      else timer ??= setTimeout(write, WRITE_AFTER_MS)
      // Only what is being written is waited for: what waits is written while more comes.
      while (writing !== null && (waitingBytes >= MAX_WAITING_BYTES || waiting.length >= MAX_WAITING_CHUNKS)) await writing
    },
    flush,
  }
}
