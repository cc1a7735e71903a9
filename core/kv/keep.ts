import type { Method, SideSpec } from '#core/contract/method.ts'
import { quantizerById } from '#core/quantizers/index.ts'
import { SIDES, type Side } from './cache.ts'
import { groupMethod, groupsOf } from './layers.ts'
import type { KvPart } from './layout.ts'

/** How kept values are stored: as they are. */
export const AS_THEY_ARE: SideSpec = { quantizer: 'none', params: {}, transforms: [] }

/**
 * How many tokens of a side, from the first after the sinks, a method encodes in a cache of `tokens`; those behind them are kept. 0 where it keeps all. It is that of the
 * method's own sides: ask it of `groupMethod` or `layerMethods` where there are others.
 */
export function settledTokens(method: Method, side: Side, tokens: number): number {
  const { sinks, recent } = method.keep
  const { quantizer, params } = method[side]
  const run = Math.max(0, tokens - sinks - recent)
  return quantizerById(quantizer).settled?.(run, side, params) ?? run
}

/** The first tokens of a cache that are as they will stay when more come, those that are kept at the beginning among them; of the method's own sides, as `settledTokens`. */
export function settledThrough(method: Method, side: Side, tokens: number): number {
  const run = settledTokens(method, side, tokens)
  return run === 0 ? 0 : method.keep.sinks + run
}

/** A method that does as much of what `method` says as a cache of `tokens` allows: a side that encodes none of them yet leaves them as they are. */
export function soFar(method: Method, tokens: number): Method {
  const [own = method, ...overrides] = groupsOf(method).map((group) => {
    const plain = groupMethod(method, group)
    const [key, value] = SIDES.map((side) => (settledTokens(plain, side, tokens) > 0 ? plain[side] : AS_THEY_ARE))
    return { key: key ?? AS_THEY_ARE, value: value ?? AS_THEY_ARE }
  })
  return { ...method, ...own, overrides: method.overrides.map((override, i) => ({ ...override, ...overrides[i] })) }
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
