import { replaceFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { DTYPE_BITS, DTYPES, type Dtype } from './dtype.ts'
import { LENGTH_BYTES } from './header.ts'

/** A tensor to write: `bytes` are its values row-major and little-endian. */
export type TensorData = { readonly name: string; readonly dtype: Dtype; readonly shape: readonly number[]; readonly bytes: Uint8Array }

/** The header is padded with spaces to a multiple of this, so that the data starts aligned. */
const HEADER_ALIGNMENT = 8

const encoder = new TextEncoder()

/**
 * The 8 length bytes and the header of a file, and the order in which the tensors' bytes must follow it: as the reference
 * writes, from the largest alignment to the smallest, then by name. Errors: INVALID_INPUT for a name that comes twice or is reserved.
 */
export function headerBytes(
  tensors: readonly Omit<TensorData, 'bytes'>[],
  metadata: ReadonlyMap<string, string>,
): { header: Uint8Array; order: readonly string[] } {
  const sorted = inFileOrder(tensors)
  return { header: headerOf(sorted, metadata), order: sorted.map(({ name }) => name) }
}

/** Length bytes and header of tensors that already are in the order of the file. */
function headerOf(sorted: readonly Omit<TensorData, 'bytes'>[], metadata: ReadonlyMap<string, string>): Uint8Array {
  const members: string[] = []
  if (metadata.size > 0) members.push(`"__metadata__":{${[...metadata].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`)
  let begin = 0
  for (const { name, dtype, shape } of sorted) {
    const end = begin + tensorBytes(dtype, shape)
    members.push(`${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${begin},${end}]}`)
    begin = end
  }
  const json = encoder.encode(`{${members.join(',')}}`)
  const padded = Math.ceil(json.length / HEADER_ALIGNMENT) * HEADER_ALIGNMENT
  const header = new Uint8Array(LENGTH_BYTES + padded).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true)
  header.set(json, LENGTH_BYTES)
  return header
}

/** A whole file in memory. Errors: INVALID_INPUT as headerBytes, or where a tensor's bytes do not fit its shape. */
export function serialize(tensors: readonly TensorData[], metadata: ReadonlyMap<string, string>): Uint8Array {
  const parts = fileParts(tensors, metadata)
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    file.set(part, at)
    at += part.length
  }
  return file
}

/** Writes a file beside `path` and renames it, replacing what is there. Errors: as serialize and replaceFile. */
export async function writeSafetensors(path: string, tensors: readonly TensorData[], metadata: ReadonlyMap<string, string>): Promise<void> {
  await replaceFile(path, fileParts(tensors, metadata))
}

/** Header, then every tensor's bytes. */
function fileParts(tensors: readonly TensorData[], metadata: ReadonlyMap<string, string>): Uint8Array[] {
  for (const { name, dtype, shape, bytes } of tensors) {
    const due = tensorBytes(dtype, shape)
    if (bytes.length !== due) throw new LabError('INVALID_INPUT', `the tensor ${name} has ${bytes.length} bytes, ${dtype} [${shape.join(', ')}] takes ${due}`)
  }
  const sorted = inFileOrder(tensors)
  return [headerOf(sorted, metadata), ...sorted.map(({ bytes }) => bytes)]
}

/** Tensors in the order of their bytes in a file. Errors: INVALID_INPUT as headerBytes. */
export function inFileOrder<T extends Omit<TensorData, 'bytes'>>(tensors: readonly T[]): T[] {
  const names = new Set(['__metadata__'])
  for (const { name } of tensors) {
    if (names.has(name)) throw new LabError('INVALID_INPUT', `the tensor name ${name} is reserved or comes twice: name each tensor differently`)
    names.add(name)
  }
  return [...tensors].sort((a, b) => DTYPES.indexOf(b.dtype) - DTYPES.indexOf(a.dtype) || (a.name < b.name ? -1 : 1))
}

function tensorBytes(dtype: Dtype, shape: readonly number[]): number {
  const bytes = shape.reduce((product, size) => product * size, DTYPE_BITS[dtype]) / 8
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new LabError('INVALID_INPUT', `${dtype} [${shape.join(', ')}] is no whole number of bytes that a file can hold`)
  return bytes
}
