import { decodeBf16, decodeF16, decodeF8e4m3, decodeF8e5m2 } from '#core/bytes/float.ts'
import { type ByteSource, naming } from '#core/bytes/source.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Dtype } from './dtype.ts'
import { type Header, LENGTH_BYTES, type TensorInfo, parseHeader, readHeaderLength } from './header.ts'

/** An open safetensors file; every tensor is read when it is asked for. */
export type Safetensors = {
  /** The path, where there is one. */
  readonly name?: string
  readonly header: Header
  /** A tensor's bytes, not to be changed. Errors: INVALID_INPUT for a name that the file does not have. */
  tensor(name: string): Promise<Uint8Array>
  /** A tensor of F32, F16, BF16, F8_E4M3 or F8_E5M2 as F32, in memory of its own. Errors: INVALID_INPUT for other names and dtypes. */
  floats(name: string): Promise<Float32Array>
}

/** Reads and checks the header, in two reads. Errors: MALFORMED_FILE with the reasons of header.ts, and those of the source. */
export async function openSafetensors(source: ByteSource): Promise<Safetensors> {
  const first = await source.read(0, Math.min(LENGTH_BYTES, source.size))
  const dataStart = LENGTH_BYTES + naming(source.name, () => readHeaderLength(first, source.size))
  const json = await source.read(LENGTH_BYTES, dataStart)
  const header = naming(source.name, () => parseHeader(json, dataStart, source.size))
  const read = ({ begin, end }: TensorInfo): Promise<Uint8Array> => source.read(dataStart + begin, dataStart + end)
  return {
    ...(source.name === undefined ? {} : { name: source.name }),
    header,
    tensor: async (name) => read(infoOf(header, name)),
    floats: async (name) => {
      const info = infoOf(header, name)
      const decode = floatDecoder(info.dtype)
      if (decode === undefined) throw new LabError('INVALID_INPUT', `the tensor ${name} is ${info.dtype}: only ${FLOAT_DTYPES.join(', ')} are read as floats`)
      return decode(await read(info))
    },
  }
}

/** How the bytes of a dtype become F32, in memory of its own; undefined for dtypes that are not read as floats. The bytes hold whole values. */
export function floatDecoder(dtype: Dtype): ((bytes: Uint8Array) => Float32Array) | undefined {
  return DECODERS.get(dtype)
}

const DECODERS: ReadonlyMap<Dtype, (bytes: Uint8Array) => Float32Array> = new Map<Dtype, (bytes: Uint8Array) => Float32Array>([
  ['F32', floatsOfF32],
  ['F16', (bytes) => decoded(halves(bytes), decodeF16)],
  ['BF16', (bytes) => decoded(halves(bytes), decodeBf16)],
  ['F8_E4M3', (bytes) => decoded(bytes, decodeF8e4m3)],
  ['F8_E5M2', (bytes) => decoded(bytes, decodeF8e5m2)],
])

/** Dtypes that `floats` reads. */
export const FLOAT_DTYPES: readonly Dtype[] = [...DECODERS.keys()]

/** Copied, since bytes in a file need not lie at a multiple of 4. Hosts are little-endian, as the format is. */
function floatsOfF32(bytes: Uint8Array): Float32Array {
  const values = new Float32Array(bytes.length / 4)
  new Uint8Array(values.buffer).set(bytes)
  return values
}

function halves(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes)
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2)
}

function decoded<T extends { readonly length: number }>(bits: T, decode: (bits: T, out: Float32Array) => void): Float32Array {
  const out = new Float32Array(bits.length)
  decode(bits, out)
  return out
}

function infoOf(header: Header, name: string): TensorInfo {
  const info = header.tensors.get(name)
  if (info === undefined) throw new LabError('INVALID_INPUT', `the file has no tensor ${name}: it has ${namesOf(header)}`)
  return info
}

/** Names for a message, not more than a line holds. */
function namesOf(header: Header): string {
  const names = [...header.tensors.keys()]
  if (names.length === 0) return 'none'
  return names.slice(0, 8).join(', ') + (names.length > 8 ? ` and ${names.length - 8} more` : '')
}
