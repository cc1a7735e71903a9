import zlib from 'node:zlib'
import { LabError } from '#core/contract/errors.ts'
import { checkLength, defineCodec, malformed } from './codec.ts'

/** The longest match, 258 bytes, takes two bits at least (RFC 1951, 3.2.5), and a block's own header is longer than one match. */
const MAX_RATIO = 1032

/** Raw DEFLATE, without the headers of zlib or gzip. Which bytes it writes may change with the zlib of a Node.js. */
export const deflate = defineCodec({
  id: 'deflate',
  label: 'DEFLATE: LZ77 and Huffman codes',
  source: 'RFC 1951; zlib of Node.js',
  formula: ['repeats of 3 and more bytes within 32 kB become references; what is left, by Huffman codes'],
  caveats: [
    'Whole bits a symbol: on codes that are nearly even it stays above the order-0 bound that rans reaches.',
    'The bytes it writes may change with the version of Node.js.',
  ],
  params: { level: { kind: 'int', label: 'Level', option: 'deflate', default: 6, min: 1, max: 9 } },
  encode: (bytes, { level }) => bytesOf(zlib.deflateRawSync(bytes, { level })),
  decode(coded, rawBytes) {
    checkLength('deflate', coded, rawBytes, MAX_RATIO * coded.length)
    const { bytes, consumed } = inflated(coded, rawBytes)
    if (consumed !== coded.length) throw malformed('deflate', 'TrailingBytes', `it ends after ${consumed} of its ${coded.length} bytes`)
    if (bytes.length !== rawBytes) throw malformed('deflate', 'WrongLength', `it holds ${bytes.length} bytes where ${rawBytes} are due`)
    return bytes
  },
})

/** What `info` makes zlib give back; its types say a Buffer. */
type Inflated = { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } }

/** The bytes, at most `most` and one, and how many coded bytes they took. */
function inflated(coded: Uint8Array, most: number): { bytes: Uint8Array; consumed: number } {
  try {
    const { buffer, engine } = zlib.inflateRawSync(coded, { info: true, chunkSize: chunkSize(most), maxOutputLength: Math.max(1, most) }) as unknown as Inflated
    return { bytes: bytesOf(buffer), consumed: engine.bytesWritten }
  } catch (error) {
    if (error instanceof LabError) throw error
    throw malformed('deflate', 'InvalidBlock', error instanceof Error ? error.message : String(error))
  }
}

/** zlib fills buffers of this size one after the other: one that holds all needs no copy. */
export function chunkSize(rawBytes: number): number {
  return Math.max(64, rawBytes)
}

/** A Buffer's bytes as a plain Uint8Array over the same memory. */
export function bytesOf(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}
