import { malformed } from './codec.ts'

/** What a frame says of itself; `mostBytes` is what its blocks can hold, whatever is in them. */
export type ZstdFrame = { readonly contentSize: number; readonly windowLog: number; readonly mostBytes: number }

const MAGIC = 0xfd2fb528
/** Block_Maximum_Size of the format. */
const MAX_BLOCK_BYTES = 128 * 1024
const MIN_WINDOW_LOG = 10
/** The largest window that level 19 takes is 2^23; a decoder keeps one in memory. */
const MAX_WINDOW_LOG = 23
const CHECKSUM_BYTES = 4
/** Bytes of the content size by the two bits that say so. */
const SIZE_BYTES = [0, 2, 4, 8] as const

/**
 * Walks one frame (RFC 8878, 3.1.1) without decoding it: header, block headers, end. It must have a content size, and be all of `coded`.
 * Errors: MALFORMED_FILE, also for dictionaries, reserved bits and windows above 8 MiB.
 */
export function readZstdFrame(coded: Uint8Array): ZstdFrame {
  const view = new DataView(coded.buffer, coded.byteOffset, coded.length)
  let at = 0
  const take = (bytes: number): number => {
    if (bytes > coded.length - at) throw malformed('zstd', 'Truncated', `it is cut off after ${coded.length} bytes`)
    at += bytes
    return at - bytes
  }
  if (view.getUint32(take(4), true) !== MAGIC) throw malformed('zstd', 'NotZstd', 'it does not begin as a Zstandard frame')
  const descriptor = view.getUint8(take(1))
  const single = (descriptor & 0x20) !== 0
  if ((descriptor & 0x0b) !== 0) throw malformed('zstd', 'InvalidFrame', 'it has a dictionary or reserved bits')
  const window = single ? 0 : view.getUint8(take(1))
  const sizeBytes = SIZE_BYTES[descriptor >>> 6] || (single ? 1 : 0)
  if (sizeBytes === 0) throw malformed('zstd', 'InvalidFrame', 'it has no content size')
  const contentSize = readSize(view, take(sizeBytes), sizeBytes)
  const windowLog = single ? logOf(contentSize) : MIN_WINDOW_LOG + (window >>> 3) + ((window & 7) === 0 ? 0 : 1)
  if (windowLog > MAX_WINDOW_LOG) throw malformed('zstd', 'WindowTooLarge', `it wants a window of 2^${windowLog} bytes and none above 2^${MAX_WINDOW_LOG} is read`)

  let mostBytes = 0
  for (let last = false; !last; ) {
    const header = view.getUint16(take(3), true) | (view.getUint8(at - 1) << 16)
    const [kind, size] = [(header >>> 1) & 3, header >>> 3]
    last = (header & 1) === 1
    if (kind === 3 || size > MAX_BLOCK_BYTES) throw malformed('zstd', 'InvalidBlock', `a block at byte ${at - 3} is of no kind or size that there is`)
    take(kind === 1 ? 1 : size)
    mostBytes += kind === 2 ? MAX_BLOCK_BYTES : size
  }
  if ((descriptor & 4) !== 0) take(CHECKSUM_BYTES)
  if (at !== coded.length) throw malformed('zstd', 'TrailingBytes', `it ends after ${at} of its ${coded.length} bytes`)
  return { contentSize, windowLog: Math.max(MIN_WINDOW_LOG, windowLog), mostBytes }
}

function readSize(view: DataView, at: number, bytes: number): number {
  if (bytes === 1) return view.getUint8(at)
  if (bytes === 2) return view.getUint16(at, true) + 256
  return bytes === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true))
}

/** The least power of two that is not below a size. */
function logOf(size: number): number {
  return Math.max(0, Math.ceil(Math.log2(size)))
}
