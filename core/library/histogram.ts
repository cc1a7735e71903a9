import type { ByteSource } from '#core/bytes/source.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Histogram } from '#core/contract/library.ts'
import type { TensorInfo } from '#core/safetensors/header.ts'
import { FLOAT_DTYPES, floatDecoder } from '#core/safetensors/read.ts'
import { withTensorFile } from './inspect.ts'

const BINS = 64
/** Bytes that are read at a time, a whole number of values of any dtype: a tensor of gigabytes takes no more memory than this. */
const SLICE_BYTES = 2 ** 22

/**
 * The finite values of one float tensor in 64 bins of equal width from the smallest to the largest; around a single value, the bins span half of one to
 * each side. A value on an edge counts in the bin that begins there. Of a KV file, a stream as it is stored; its checksum is not looked at.
 * Errors: INVALID_INPUT (no such tensor, no floats), those of withTensorFile.
 */
export async function tensorHistogram(path: string, tensor: string, signal: AbortSignal): Promise<Histogram> {
  return withTensorFile(path, async ({ header }, source) => {
    const info = header.tensors.get(tensor)
    if (!info) throw new LabError('INVALID_INPUT', `${path} has no tensor ${JSON.stringify(tensor)}: inspect shows which it has`)
    const decode = floatDecoder(info.dtype)
    if (!decode) throw new LabError('INVALID_INPUT', `${tensor} of ${path} is ${info.dtype}: choose a tensor of ${FLOAT_DTYPES.join(', ')}`)
    const slices = (): AsyncGenerator<Float32Array> => slicesOf(source, header.dataStart, info, decode, signal)

    let [min, max, nonFinite] = [Infinity, -Infinity, 0]
    for await (const values of slices()) {
      for (const value of values) {
        if (!Number.isFinite(value)) nonFinite++
        else {
          if (value < min) min = value
          if (value > max) max = value
        }
      }
    }
    if (min > max) return { tensor, edges: [], counts: [], nonFinite }
    const edges = edgesOf(min, max)
    const counts = new Array<number>(BINS).fill(0)
    for await (const values of slices()) count(values, edges, counts)
    return { tensor, edges, counts, nonFinite }
  })
}

function edgesOf(min: number, max: number): number[] {
  // Half of one is lost in the rounding of a large value.
  const around = min === max ? Math.max(0.5, Math.abs(min) / 2 ** 20) : 0
  const [low, high] = [min - around, max + around]
  return [...Array.from({ length: BINS }, (_, i) => low + ((high - low) * i) / BINS), high]
}

function count(values: Float32Array, edges: readonly number[], counts: number[]): void {
  const [low = 0] = edges
  const high = edges.at(-1) ?? 0
  for (const value of values) {
    if (!Number.isFinite(value)) continue
    let bin = Math.min(BINS - 1, Math.floor(((value - low) / (high - low)) * BINS))
    // The division rounds: a value beside an edge may come out one bin off.
    if (value < (edges[bin] ?? 0)) bin--
    else if (bin < BINS - 1 && value >= (edges[bin + 1] ?? 0)) bin++
    counts[bin] = (counts[bin] ?? 0) + 1
  }
}

async function* slicesOf(source: ByteSource, dataStart: number, { begin, end }: TensorInfo, decode: (bytes: Uint8Array) => Float32Array, signal: AbortSignal): AsyncGenerator<Float32Array> {
  for (let at = begin; at < end; at += SLICE_BYTES) {
    signal.throwIfAborted()
    yield decode(await source.read(dataStart + at, dataStart + Math.min(end, at + SLICE_BYTES)))
  }
}
