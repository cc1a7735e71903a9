import { LabError } from '#core/contract/errors.ts'

/** The one seam between readers and the world: bytes that can be read in any half-open range `[begin, end)`. */
export type ByteSource = {
  readonly size: number
  /** The path, where there is one: what errors call the bytes. */
  readonly name?: string
  /** Exactly `end - begin` bytes, which the caller must not change; a range outside `[0, size]` is MALFORMED_FILE. */
  read(begin: number, end: number): Promise<Uint8Array>
}

/** Throws MALFORMED_FILE unless `[begin, end)` is a range of whole numbers within `size`; every source asks this before it allocates. */
export function checkRange(begin: number, end: number, size: number): void {
  if (Number.isSafeInteger(begin) && Number.isSafeInteger(end) && 0 <= begin && begin <= end && end <= size) return
  throw new LabError('MALFORMED_FILE', `bytes ${begin} to ${end} were asked of ${size} bytes: the file is cut short or its lengths are wrong`, {
    format: 'bytes',
    reason: 'OutOfRange',
    at: begin,
  })
}

/** Does `work`; a LabError gets `name`, a path or a tensor, before its message, so that a person knows what it is about. */
export function naming<T>(name: string | undefined, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof LabError) || name === undefined) throw error
    throw new LabError(error.code, `${name}: ${error.message}`, error.details, { cause: error })
  }
}

/** Bytes in memory as a source; reads are views, nothing is copied. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: async (begin, end) => {
      checkRange(begin, end, bytes.length)
      return bytes.subarray(begin, end)
    },
  }
}
