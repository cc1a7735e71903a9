import { mkdtemp, realpath, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { openFile, replaceFile } from '#core/bytes/file.ts'
import type { CompressInput, CompressReport, DecompressInput, DecompressReport, ExtractInput, ExtractReport, Progress } from '#core/contract/api.ts'
import type { TensorMetrics } from '#core/contract/files.ts'
import { LabError } from '#core/contract/errors.ts'
import { planWindows, tokenIdsSha256 } from '#core/evaluation/windows.ts'
import { cacheValues, f16Bytes, SIDES, type KvArrays, type KvCache } from '#core/kv/cache.ts'
import type { Learned } from '#core/kv/calibration.ts'
import { decodeKv, encodeKv, type KvAbout } from '#core/kv/file.ts'
import { checkMethod, readMethod, writeMethod } from '#core/kv/methods.ts'
import { ErrorSums, tensorMetrics, violations } from '#core/kv/metrics.ts'
import { plainCacheTensors, readPlainCache } from '#core/kv/plain.ts'
import { openSafetensors } from '#core/safetensors/read.ts'
import { writeSafetensors } from '#core/safetensors/write.ts'
import { openModel } from './open-model.ts'
import { readTokens } from './token-text.ts'

/** The cache of a text's first tokens as a plain safetensors file. `home`: the library's folder. Throws LabError TEXT_TOO_SHORT and those of the model, the text and the file. */
export async function* extractCache(home: string, input: ExtractInput, signal: AbortSignal): AsyncGenerator<Progress, ExtractReport> {
  yield { phase: 'reading the text', done: 0, total: 3 }
  const { folder, streams, bosId } = await readTokens(home, input)
  const [ids = new Uint32Array()] = planWindows(streams, { contextLength: input.tokens, advance: input.tokens, bosId, windows: 1 })
  signal.throwIfAborted()
  yield { phase: 'loading the model', done: 1, total: 3 }
  const session = await openModel(home, folder, input.threads)
  try {
    signal.throwIfAborted()
    yield { phase: 'prefilling', done: 2, total: 3 }
    const cache = await session.prefill(ids)
    const sha256 = tokenIdsSha256([ids])
    await writeSafetensors(input.output, plainCacheTensors(cache), metadataOf({ model: folder.name, tokenIdsSha256: sha256 }))
    const { size } = await stat(input.output)
    return { output: resolve(input.output), model: folder.name, ...cache.shape, tokenIdsSha256: sha256, bosApplied: bosId !== null, bytes: size }
  } finally {
    await session.release()
  }
}

/**
 * Encode a plain cache by a method to a KV file, read the file back, decode it, and measure. With no `output` the file is a temporary one. `learned`: of a method that learns from another text.
 * Throws LabError of the method, the input and the output; where it throws, the output is as it was before.
 */
export async function* compressCache(input: CompressInput, signal: AbortSignal, learned: Learned | null = null): AsyncGenerator<Progress, CompressReport> {
  const method = readMethod(input.method)
  if (input.output !== null) await refuseSameFile(input.input, input.output)
  yield { phase: 'reading', done: 0, total: 3 }
  const { cache: original, about } = await readCache(input.input)
  checkMethod(method, original.shape)
  signal.throwIfAborted()
  yield { phase: 'encoding', done: 1, total: 3 }
  const encodeBegan = performance.now()
  const { bytes } = encodeKv(original, method, about, learned)
  const encodeMs = performance.now() - encodeBegan
  signal.throwIfAborted()
  const folder = input.output === null ? await mkdtemp(join(tmpdir(), 'kvlab-compress-')) : null
  try {
    const output = folder === null ? (input.output ?? '') : join(folder, 'cache.kv.safetensors')
    await replaceFile(output, [bytes])
    yield { phase: 'reading back', done: 2, total: 3 }
    const written = await readWhole(output)
    const decodeBegan = performance.now()
    const restored = decodeKv(written).arrays
    const decodeMs = performance.now() - decodeBegan
    return {
      method: writeMethod(method),
      output: folder === null ? resolve(output) : null,
      compression_ratio: f16Bytes(original.shape) / written.length,
      bits_per_value: (8 * written.length) / cacheValues(original.shape),
      original_size_bytes: f16Bytes(original.shape),
      original_own_size_bytes: f16Bytes(original.shape) * (original.shape.dtype === 'F32' ? 2 : 1),
      compressed_size_bytes: written.length,
      ...differences(original, restored),
      processing_time_ms: encodeMs + decodeMs,
      encode_time_ms: encodeMs,
      decode_time_ms: decodeMs,
    }
  } finally {
    if (folder !== null) await rm(folder, { recursive: true, force: true })
  }
}

/** Decode a KV file to a plain cache. Throws LabError MALFORMED_FILE or CHECKSUM_MISMATCH, and then writes nothing. */
export async function* decompressCache(input: DecompressInput, signal: AbortSignal): AsyncGenerator<Progress, DecompressReport> {
  await refuseSameFile(input.input, input.output)
  yield { phase: 'reading', done: 0, total: 2 }
  const bytes = await readWhole(input.input)
  signal.throwIfAborted()
  const began = performance.now()
  const { shape, arrays, method, about } = decodeKv(bytes)
  const decodeMs = performance.now() - began
  yield { phase: 'writing', done: 1, total: 2 }
  await writeSafetensors(input.output, plainCacheTensors({ shape, ...arrays }), metadataOf(about))
  const { size } = await stat(input.output)
  return { output: resolve(input.output), method: writeMethod(method), ...shape, bytes: size, processing_time_ms: decodeMs }
}

/** Errors of the whole cache, and of each layer and side, under the names of the program this one grew out of. */
function differences(original: KvCache, restored: KvArrays): TensorMetrics & Pick<CompressReport, 'quality_passed' | 'violations' | 'tensor_metrics'> {
  const whole = new ErrorSums()
  const tensors: CompressReport['tensor_metrics'] = []
  original.key.forEach((_, layer) => {
    for (const side of SIDES) {
      const sums = new ErrorSums()
      sums.add(original[side][layer] ?? new Float32Array(), restored[side][layer] ?? new Float32Array())
      whole.merge(sums)
      tensors.push({ layer, side, ...tensorMetrics(sums) })
    }
  })
  const broken = violations(whole.metrics())
  return { ...tensorMetrics(whole), quality_passed: broken.length === 0, violations: broken, tensor_metrics: tensors }
}

/** A plain cache, and what `extract` noted beside it. */
async function readCache(path: string): Promise<{ cache: KvCache; about: KvAbout }> {
  const source = await openFile(path)
  try {
    const file = await openSafetensors(source)
    const { metadata } = file.header
    const about = Object.fromEntries(ABOUT.flatMap((key) => (metadata.has(key) ? [[key, metadata.get(key)]] : []))) as KvAbout
    return { cache: await readPlainCache(file), about }
  } finally {
    await source.close()
  }
}

const ABOUT = ['model', 'tokenIdsSha256'] as const

function metadataOf(about: KvAbout): Map<string, string> {
  return new Map(ABOUT.flatMap((key) => (about[key] === undefined ? [] : [[key, about[key]] as const])))
}

async function readWhole(path: string): Promise<Uint8Array> {
  const source = await openFile(path)
  try {
    return await source.read(0, source.size)
  } finally {
    await source.close()
  }
}

/** Throws LabError INVALID_INPUT where `output` names the file that is read, by whatever path or link. */
async function refuseSameFile(input: string, output: string): Promise<void> {
  const [from, to] = await Promise.all([identity(input), identity(output)])
  if (to !== null && from === to) throw new LabError('INVALID_INPUT', `${output} is the input itself: name another output`)
}

async function identity(path: string): Promise<string | null> {
  const facts = await realpath(path).then((real) => stat(real), () => null)
  return facts && `${facts.dev}:${facts.ino}`
}
