import type { KeepSpec, Method } from '#core/contract/method.ts'
import { quantizerById } from '#core/quantizers/index.ts'
import type { Side } from './cache.ts'
import type { KvPart } from './layout.ts'

/** Layers that a keep rule keeps whole, counted from 0; those that the cache does not have are left out. */
export function keptLayers(keep: KeepSpec, layers: number): Set<number> {
  return new Set(keep.layers.map((layer) => (layer < 0 ? layers + layer : layer)).filter((layer) => 0 <= layer && layer < layers))
}

/** How many tokens of a side, from the first after the sinks, a method encodes in a cache of `tokens`; those behind them are kept. 0 where it keeps all. */
export function settledTokens(method: Method, side: Side, tokens: number): number {
  const { sinks, recent } = method.keep
  const { quantizer, params } = method[side]
  const run = Math.max(0, tokens - sinks - recent)
  return quantizerById(quantizer).settled?.(run, side, params) ?? run
}

/** The layers of a part, ascending: the order in which its streams are stacked. */
export function layersOf(part: KvPart, keep: KeepSpec, layers: number): number[] {
  const kept = keptLayers(keep, layers)
  const own: number[] = []
  for (let layer = 0; layer < layers; layer++) if (kept.has(layer) === part.wholeLayers) own.push(layer)
  return own
}

/** Copies a part's tokens of one layer `[kvHeads, tokens, headDim]` to `out` `[kvHeads, part tokens, headDim]`. */
export function gather(layer: Float32Array, part: KvPart, out: Float32Array): void {
  eachHead(layer, part, (run, at) => out.set(run, at))
}

/** Copies a part's tokens back: the inverse of `gather`; the layer's other tokens stay as they are. */
export function scatter(values: Float32Array, part: KvPart, layer: Float32Array): void {
  eachHead(layer, part, (run, at) => run.set(values.subarray(at, at + run.length)))
}

/** The part's run of tokens in each head of a layer, and where it begins in the part's own values. */
function eachHead(layer: Float32Array, { from, block }: KvPart, copy: (run: Float32Array, at: number) => void): void {
  const headValues = layer.length / block.kvHeads
  const runValues = block.tokens * block.headDim
  for (let head = 0; head < block.kvHeads; head++) {
    const begin = head * headValues + from * block.headDim
    copy(layer.subarray(begin, begin + runValues), head * runValues)
  }
}

let scratch = new Float32Array(0)

/** Room for one layer's values, the same at every call: what was in it is lost. */
export function layerScratch(length: number): Float32Array {
  if (scratch.length < length) scratch = new Float32Array(length)
  return scratch.subarray(0, length)
}
