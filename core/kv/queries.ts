import type { SideSpec } from '#core/contract/method.ts'
import type { BlockShape } from '#core/quantizers/quantizer.ts'
import { quantizerById } from '#core/quantizers/index.ts'
import { transformById } from '#core/transforms/index.ts'

/** What llama.cpp's cache turns keys by, and with them queries. */
const TURNS = new Set(['interleaved', 'hadamard'])

/** Why queries of this head size cannot be rounded; null where they can. */
export function queriesMisfit(headDim: number): string | null {
  return quantizerById('q8_0').refuse({}, headDim)?.reason ?? null
}

/**
 * Rounds rows of headDim values of queries in place as llama.cpp's CPU kernel does before it multiplies them with rounded keys: to ggml's q8_0, in the order of channels and the rotation of the side
 * `key`. Queries stay as they are where that side does not round. The head size must be one that `queriesMisfit` allows. Throws LabError NOT_FINITE and OUT_OF_RANGE for values that q8_0 cannot hold.
 */
export function roundQueries(values: Float32Array, headDim: number, key: SideSpec): void {
  if (!quantizerById(key.quantizer).lossy) return
  const q8 = quantizerById('q8_0')
  const shape: BlockShape = { side: 'key', kvHeads: 1, tokens: values.length / headDim, headDim, dtype: 'F32' }
  const context = { from: 0, rope: null }
  const turns = key.transforms.filter(({ id }) => TURNS.has(id))
  for (const { id, params } of turns) transformById(id).forward(values, shape, params, context, {})
  const { blocks } = q8.layout(shape, {})
  const streams = { blocks: new Uint8Array((blocks?.shape ?? []).reduce((product, size) => product * size, 1)) }
  q8.encode(values, shape, {}, streams)
  q8.decode(streams, shape, {}, values)
  for (const { id, params } of turns.toReversed()) transformById(id).inverse(values, shape, params, context, {})
}
