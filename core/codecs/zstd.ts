import zlib from 'node:zlib'
import { LabError } from '#core/contract/errors.ts'
import { checkLength, defineCodec, malformed } from './codec.ts'
import { bytesOf, chunkSize } from './deflate.ts'
import { readZstdFrame } from './zstd-frame.ts'

type Options = { readonly params?: Record<number, number>; readonly chunkSize?: number; readonly maxOutputLength?: number; readonly pledgedSrcSize?: number }
type Work = (bytes: Uint8Array, options: Options) => Buffer
/** What node:zlib has since Node.js 22.15; the types are those of an older one. */
type ZstdOfNode = { readonly zstdCompressSync?: Work; readonly zstdDecompressSync?: Work }

const { zstdCompressSync, zstdDecompressSync }: ZstdOfNode = zlib as ZstdOfNode
/** ZSTD_c_compressionLevel and ZSTD_d_windowLogMax of zstd.h. */
const LEVEL = 100
const WINDOW_LOG_MAX = 100

/** What a Node.js without zstd says. */
const MISSING = `this Node.js, ${process.version}, has no zstd: use the desktop program, or Node.js 22.15 or newer`

/** One Zstandard frame with its content size and without a checksum. Errors: INVALID_METHOD where this Node.js has no zstd. */
export const zstd = defineCodec({
  id: 'zstd',
  label: 'Zstandard; needs Node.js 22.15 or newer',
  source: 'RFC 8878; zstd of Node.js',
  formula: ['repeats become references; what is left, by Huffman codes and finite-state entropy'],
  caveats: [
    'On packed codes its gain is that of its entropy coder: higher levels take time and hardly find more.',
    'The bytes it writes may change with the version of Node.js.',
  ],
  params: { level: { kind: 'int', label: 'Level', option: 'zstd', default: 3, min: 1, max: 19 } },
  missing: zstdCompressSync && zstdDecompressSync ? undefined : MISSING,
  encode(bytes, { level }) {
    if (!zstdCompressSync) throw new LabError('INVALID_METHOD', MISSING)
    return bytesOf(zstdCompressSync(bytes, { params: { [LEVEL]: level }, pledgedSrcSize: bytes.length }))
  },
  decode(coded, rawBytes) {
    const { contentSize, windowLog, mostBytes } = readZstdFrame(coded)
    checkLength('zstd', coded, rawBytes, mostBytes)
    if (contentSize !== rawBytes) throw malformed('zstd', 'WrongLength', `it says that it holds ${contentSize} bytes where ${rawBytes} are due`)
    if (!zstdDecompressSync) throw new LabError('INVALID_METHOD', MISSING)
    const bytes = decompressed(() => zstdDecompressSync(coded, { params: { [WINDOW_LOG_MAX]: windowLog }, chunkSize: chunkSize(rawBytes), maxOutputLength: Math.max(1, rawBytes) }))
    if (bytes.length !== rawBytes) throw malformed('zstd', 'WrongLength', `it holds ${bytes.length} bytes where ${rawBytes} are due`)
    return bytes
  },
})

function decompressed(work: () => Buffer): Uint8Array {
  try {
    return bytesOf(work())
  } catch (error) {
    throw malformed('zstd', 'InvalidFrame', error instanceof Error ? error.message : String(error))
  }
}
