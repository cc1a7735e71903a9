import { type FileSource, openFile } from '#core/bytes/file.ts'
import { naming } from '#core/bytes/source.ts'
import { LabError } from '#core/contract/errors.ts'
import type { FileInfo, TensorFileInfo, TensorStats } from '#core/contract/files.ts'
import { decodeKv, describeKvFile, isKvFile } from '#core/kv/file.ts'
import { describeModel } from '#core/onnx/describe.ts'
import { FLOAT_DTYPES, openSafetensors, type Safetensors } from '#core/safetensors/read.ts'
import { readGraphHead } from './graph-head.ts'

/**
 * Header, tensors and their statistics of a safetensors or KV file, read one tensor at a time; of an ONNX model what its graph says.
 * Errors: INVALID_INPUT for any other kind of file, MALFORMED_FILE or CHECKSUM_MISMATCH for a broken one, those of openFile.
 */
export async function inspectFile(path: string): Promise<FileInfo> {
  return path.endsWith('.onnx') ? inspectModel(path) : inspectTensors(path)
}

async function inspectModel(path: string): Promise<FileInfo> {
  const source = await openFile(path)
  try {
    return describeModel(await readGraphHead(source, path), path, source.size)
  } finally {
    await source.close()
  }
}

async function inspectTensors(path: string): Promise<TensorFileInfo> {
  return withTensorFile(path, async (file, source) => {
    const { header } = file
    const kv = isKvFile(header) ? naming(path, () => describeKvFile(header)) : null
    // Every checksum and every stream: what is shown of a KV file is what its reader would get.
    if (kv) {
      const bytes = await source.read(0, source.size)
      naming(path, () => decodeKv(bytes))
    }
    const tensors: TensorFileInfo['tensors'] = []
    for (const { name, dtype, shape, begin, end } of header.tensors.values()) {
      const stats = FLOAT_DTYPES.includes(dtype) ? statsOf(await file.floats(name)) : null
      tensors.push({ name, dtype, shape: [...shape], bytes: end - begin, stats })
    }
    const kind = kv === null ? 'safetensors' : 'kvlab.kv'
    return { kind, path, bytes: source.size, headerBytes: header.dataStart, metadata: Object.fromEntries(header.metadata), tensors, kv }
  })
}

/** Opens a file of tensors for `work` and closes it. Errors: INVALID_INPUT for another kind of file, MALFORMED_FILE where one named .safetensors is broken. */
export async function withTensorFile<T>(path: string, work: (file: Safetensors, source: FileSource) => Promise<T>): Promise<T> {
  if (path.endsWith('.onnx')) throw new LabError('INVALID_INPUT', `${path} is an ONNX model: a file of tensors is wanted`)
  const source = await openFile(path)
  try {
    const file = await openSafetensors(source).catch((error: unknown) => {
      if (path.endsWith('.safetensors') || !(error instanceof LabError) || error.code !== 'MALFORMED_FILE') throw error
      throw new LabError('INVALID_INPUT', `${error.message}; only safetensors, KV and .onnx files are read here`, error.details, { cause: error })
    })
    return await work(file, source)
  } finally {
    await source.close()
  }
}

/** Two passes, so that the deviation does not drown in the rounding of a large mean. */
function statsOf(values: Float32Array): TensorStats {
  let [min, max, sum, zeros, finite] = [Infinity, -Infinity, 0, 0, 0]
  for (const value of values) {
    if (!Number.isFinite(value)) continue
    finite++
    sum += value
    if (value === 0) zeros++
    if (value < min) min = value
    if (value > max) max = value
  }
  const nonFinite = values.length - finite
  if (finite === 0) return { min: null, max: null, mean: null, std: null, zeros, nonFinite }
  const mean = sum / finite
  let squares = 0
  for (const value of values) if (Number.isFinite(value)) squares += (value - mean) ** 2
  return { min, max, mean, std: Math.sqrt(squares / finite), zeros, nonFinite }
}
