import { LabError } from '#core/contract/errors.ts'
import { kernels } from '#core/kernels/index.ts'
import { RANS_LEAST_STATE, RANS_STATES, RANS_TOTAL } from '#core/kernels/rans.ts'
import { BitReader, BitWriter } from './bits.ts'
import { checkLength, type Codec, defineCodec, malformed, PLAIN_BYTES, type StreamLayout } from './codec.ts'
import { histogram } from './entropy.ts'
import { codedBits, MIN_TABLE_BYTES, normalised, readFrequencies, SYMBOLS, writeFrequencies } from './frequencies.ts'
import { transpose, untranspose } from './transpose.ts'

/** Tables of a stream, and so parts: their number stands in one byte, less one. */
const MAX_PARTS = 256
const STATE_BYTES = 4 * RANS_STATES
/** Each step rounds down, which costs a state of 2^16 at most one part in 16; twice the bits are never reached. */
const ROUNDING = 2
/** A room's spare bytes, for the same roundings and the last words. */
const SPARE_BYTES = 64

const source = 'Duda, Asymmetric numeral systems (arXiv:1311.2540), the range variant with frequencies that are fixed for a stream'

/** One table for all bytes: as near to the order-0 bound as 12 bits of frequency allow. */
export const rans = ransBy('rans', 'rANS entropy coder, one table', () => 1, ['It sees bytes, not codes: two 4-bit codes are one symbol, and codes of 3 bits straddle bytes.'])
/** A table for each byte of an element: apart from each other sign and exponent, and mantissa. */
export const planesRans = ransBy('planes-rans', 'rANS entropy coder, a table for each byte of an element', ({ element }) => element, ['For F16 and BF16 streams; on codes of a byte it is rans.'])
/** A table for each byte of a row: channels differ in their scale. */
export const channelRans = ransBy('rans-channel', 'rANS entropy coder, a table for each byte of a row of channels', ({ row }) => row, ['Tables are stored and counted: on few tokens they take more than they save.'])

/**
 * A stream is the number of parts - 1 in one byte, a table for each part (writeFrequencies), zeros to a whole byte, four states and the words. Part i holds
 * byte i of every period. Where the length is no multiple of it, or the tables alone would be longer, there is one part.
 */
function ransBy(id: string, label: string, periodOf: (layout: StreamLayout) => number, caveats: string[]): Codec {
  return defineCodec({
    id,
    label,
    source,
    formula: ['a byte of frequency f of 4096 takes log2(4096 / f) bits; a table of frequencies for each part of a stream'],
    caveats,
    params: {},
    encode(raw, _, layout = PLAIN_BYTES) {
      const period = periodOf(layout)
      const fits = Number.isInteger(period) && 1 <= period && period <= MAX_PARTS && raw.length % period === 0 && raw.length > period * MIN_TABLE_BYTES
      return encoded(transpose(raw, fits ? period : 1), fits ? period : 1)
    },
    decode: (coded, rawBytes) => decoded(id, coded, rawBytes),
  })
}

function encoded(raw: Uint8Array, parts: number): Uint8Array {
  const tables = new Uint16Array(parts * SYMBOLS)
  const writer = new BitWriter()
  writer.bits(parts - 1, 8)
  let bits = 0
  for (let part = 0; part < parts; part++) {
    const length = raw.length / parts
    const table = tables.subarray(part * SYMBOLS, (part + 1) * SYMBOLS)
    const counts = histogram(raw.subarray(part * length, (part + 1) * length))
    if (length === 0) counts.fill(1, 0, 1)
    normalised(counts, table)
    bits += codedBits(counts, table)
    writeFrequencies(table, writer)
  }
  const head = writer.bytes()
  const out = new Uint8Array(head.length + STATE_BYTES + 2 * Math.ceil(bits / 16) + Math.ceil(bits / 128) + SPARE_BYTES)
  const states = new Uint32Array(RANS_STATES)
  const room = out.subarray(head.length + STATE_BYTES)
  const from = kernels.encodeRans(raw, tables, states, room)
  if (from < 0) throw new LabError('INTERNAL', `rANS needs more than ${room.length} bytes for ${raw.length}`)
  out.set(head)
  const view = new DataView(out.buffer, head.length)
  states.forEach((state, i) => view.setUint32(4 * i, state, true))
  room.copyWithin(0, from)
  return out.subarray(0, out.length - from)
}

function decoded(id: string, coded: Uint8Array, rawBytes: number): Uint8Array {
  const parts = 1 + (coded[0] ?? 0)
  if (rawBytes % parts !== 0) throw malformed(id, 'WrongLength', `it has ${parts} parts where ${rawBytes} bytes are due`)
  const tables = new Uint16Array(parts * SYMBOLS)
  const reader = new BitReader(coded, 1)
  // The bits of a byte of each part at the least.
  let least = 0
  for (let part = 0; part < parts; part++) {
    const table = tables.subarray(part * SYMBOLS, (part + 1) * SYMBOLS)
    if (!readFrequencies(reader, table)) throw malformed(id, 'InvalidTable', `the frequencies of part ${part} are cut off or do not add up to ${RANS_TOTAL}`)
    let most = 1
    for (let symbol = 0; symbol < SYMBOLS; symbol++) most = Math.max(most, table[symbol] ?? 0)
    least += Math.log2(RANS_TOTAL / most)
  }
  const statesAt = reader.end()
  if (statesAt < 0 || statesAt + STATE_BYTES > coded.length) throw malformed(id, 'InvalidTable', 'it ends with its frequencies')
  checkLength(id, coded, rawBytes, (ROUNDING * parts * 8 * (coded.length - statesAt)) / least)
  const view = new DataView(coded.buffer, coded.byteOffset + statesAt)
  const states = Uint32Array.from({ length: RANS_STATES }, (_, i) => view.getUint32(4 * i, true))
  const raw = new Uint8Array(rawBytes)
  const sound = states.every((state) => state >= RANS_LEAST_STATE) && kernels.decodeRans(coded.subarray(statesAt + STATE_BYTES), tables, states, raw)
  if (!sound) throw malformed(id, 'InvalidWords', `its words do not decode to ${rawBytes} bytes`)
  return untranspose(raw, parts)
}
