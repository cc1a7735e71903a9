import { compressSync, uncompressSync } from 'lz4-napi'
import { LabError } from '#core/contract/errors.ts'
import { checkLength, defineCodec, malformed } from './codec.ts'

/** lz4-napi writes and wants the raw length in front of a block, as a little-endian 32-bit number. */
const PREFIX_BYTES = 4
/** LZ4_MAX_INPUT_SIZE of the reference library: no block holds more, and the prefix stays below 2^31. */
const MAX_RAW_BYTES = 0x7e000000
/** A length byte of a block stands for at most 255 bytes of output, so a block never grows by more than this. */
const MAX_RATIO = 255

/** Prefix and block of the last call, grown as needed: the native call wants them in one piece. */
let joined = new Uint8Array(0)

/**
 * One LZ4 block, fast compression, without length or frame. lz4-napi allocates whatever the prefix says and returns fewer bytes without
 * an error, so the prefix is never stored: it is put back from a checked length, and the length of the output is checked again.
 * Only the synchronous calls are used: the others read their input while it may change. Errors of `encode`: OUT_OF_RANGE above 2.1 GB.
 */
export const lz4 = defineCodec({
  id: 'lz4',
  label: 'LZ4 block, fast compression',
  source: 'LZ4 block format, https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md; lz4-napi (lz4_flex)',
  formula: ['repeats of 4 and more bytes within 64 kB become references; no entropy coder behind them'],
  caveats: [
    'It gains nothing on packed codes of a sound quantizer: they hardly repeat, and it has no entropy coder. It gains where levels are wasted, as on zeros of sparse.',
    'A stream that it does not make smaller is stored as it is.',
  ],
  params: {},
  encode(bytes) {
    if (bytes.length > MAX_RAW_BYTES) {
      throw new LabError('OUT_OF_RANGE', `${bytes.length} bytes are too many for one LZ4 block, which holds ${MAX_RAW_BYTES}: use +raw or fewer tokens`)
    }
    const coded = compressSync(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    return new Uint8Array(coded.buffer, coded.byteOffset + PREFIX_BYTES, coded.length - PREFIX_BYTES)
  },
  decode(coded, rawBytes) {
    checkLength('lz4', coded, rawBytes, Math.min(MAX_RAW_BYTES, MAX_RATIO * coded.length))
    const size = PREFIX_BYTES + coded.length
    if (joined.length < size) joined = new Uint8Array(size)
    new DataView(joined.buffer).setUint32(0, rawBytes, true)
    joined.set(coded, PREFIX_BYTES)
    const bytes = uncompress(joined.subarray(0, size))
    if (bytes.length !== rawBytes) throw malformed('lz4', 'WrongLength', `it holds ${bytes.length} bytes where ${rawBytes} are due`)
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  },
})

function uncompress(prefixed: Uint8Array): Uint8Array {
  try {
    return uncompressSync(prefixed)
  } catch (error) {
    throw malformed('lz4', 'InvalidBlock', error instanceof Error ? error.message : String(error))
  }
}
