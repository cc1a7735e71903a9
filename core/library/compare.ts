import type { FileSource } from '#core/bytes/file.ts'
import { naming } from '#core/bytes/source.ts'
import { LabError } from '#core/contract/errors.ts'
import type { TensorComparison } from '#core/contract/files.ts'
import type { KvCache } from '#core/kv/cache.ts'
import { decodeKv, isKvFile } from '#core/kv/file.ts'
import { ErrorSums, tensorMetrics, violations } from '#core/kv/metrics.ts'
import { readPlainCache } from '#core/kv/plain.ts'
import type { Safetensors } from '#core/safetensors/read.ts'
import { withTensorFile } from './inspect.ts'

/** The tensors of one side of a comparison. */
type Tensors = { readonly shapes: ReadonlyMap<string, readonly number[]>; floats(name: string): Promise<Float32Array> }

/**
 * Errors of the tensors of `b` against those of `a`, each and all together. Where either is a KV file it is decoded, and the other one is
 * read as a cache too. Errors: INVALID_INPUT where names or shapes differ, NOT_FINITE with the tensor's name, those of the files.
 */
export async function compareFiles(a: string, b: string): Promise<TensorComparison> {
  return withTensorFile(a, (fileA, sourceA) =>
    withTensorFile(b, async (fileB, sourceB) => {
      if (!isKvFile(fileA.header) && !isKvFile(fileB.header)) return compare(tensorsOf(fileA), tensorsOf(fileB), a, b)
      return compare(await cacheOf(fileA, sourceA), await cacheOf(fileB, sourceB), a, b)
    }),
  )
}

function tensorsOf(file: Safetensors): Tensors {
  const shapes = [...file.header.tensors.values()].map(({ name, shape }) => [name, shape] as const)
  return { shapes: new Map(shapes), floats: (name) => file.floats(name) }
}

async function cacheOf(file: Safetensors, source: FileSource): Promise<Tensors> {
  const { shape, key, value } = await (isKvFile(file.header) ? decodedCache(source) : readPlainCache(file))
  const { kvHeads, tokens, headDim } = shape
  const arrays = new Map<string, Float32Array>()
  for (const [layer, values] of key.entries()) arrays.set(`layer_${layer}_key`, values)
  for (const [layer, values] of value.entries()) arrays.set(`layer_${layer}_value`, values)
  return {
    shapes: new Map([...arrays.keys()].map((name) => [name, [kvHeads, tokens, headDim]])),
    floats: async (name) => arrays.get(name) ?? new Float32Array(),
  }
}

async function decodedCache(source: FileSource): Promise<KvCache> {
  const bytes = await source.read(0, source.size)
  const { shape, arrays } = naming(source.name, () => decodeKv(bytes))
  return { shape, ...arrays }
}

async function compare(before: Tensors, after: Tensors, a: string, b: string): Promise<TensorComparison> {
  checkAlike(before.shapes, after.shapes, a, b)
  const whole = new ErrorSums()
  const each: TensorComparison['tensor_metrics'] = []
  for (const name of before.shapes.keys()) {
    const sums = new ErrorSums()
    const [original, restored] = [await before.floats(name), await after.floats(name)]
    naming(name, () => sums.add(original, restored))
    whole.merge(sums)
    each.push({ name, ...tensorMetrics(sums) })
  }
  return { ...tensorMetrics(whole), violations: violations(whole.metrics()), tensor_metrics: each }
}

function checkAlike(before: Tensors['shapes'], after: Tensors['shapes'], a: string, b: string): void {
  if (before.size === 0) throw new LabError('INVALID_INPUT', `${a} has no tensors to compare`)
  const lacking = (from: Tensors['shapes'], of: Tensors['shapes']): string[] => [...of.keys()].filter((name) => !from.has(name))
  for (const [path, names] of [[a, lacking(before, after)], [b, lacking(after, before)]] as const) {
    if (names.length > 0) throw new LabError('INVALID_INPUT', `${path} has no ${names.slice(0, 8).join(', ')}, which the other file has: compare files with the same tensors`, { missing: names.slice(0, 100) })
  }
  for (const [name, shape] of before) {
    const other = after.get(name) ?? []
    if (shape.join() !== other.join()) throw new LabError('INVALID_INPUT', `${name} is [${shape.join(', ')}] in ${a} and [${other.join(', ')}] in ${b}: compare files with the same shapes`)
  }
}
