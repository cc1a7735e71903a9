import { codecs } from '#core/codecs/index.ts'
import { describe as describeCodec } from '#core/codecs/codec.ts'
import { LabError } from '#core/contract/errors.ts'
import { parseMethod, printMethod } from '#core/contract/method.ts'
import type { AnyParams, KeepSpec, Method, MethodCatalog, SideSpec } from '#core/contract/method.ts'
import { defaultsOf } from '#core/contract/method-reader.ts'
import { quantizerById, quantizers } from '#core/quantizers/index.ts'
import { describe as describeQuantizer } from '#core/quantizers/quantizer.ts'
import { transformById, transforms } from '#core/transforms/index.ts'
import { describe as describeTransform } from '#core/transforms/transform.ts'
import { SIDES, type KvDtype, type KvShape } from './cache.ts'
import { keptLayers } from './keep.ts'

/** What of a cache's shape decides whether a method fits and how many bits it takes. */
export type MethodShape = Pick<KvShape, 'layers' | 'headDim' | 'tokens' | 'dtype'>

const catalog: MethodCatalog = {
  quantizers: quantizers.map(describeQuantizer),
  transforms: transforms.map(describeTransform),
  codecs: codecs.map(describeCodec),
}

/** The registries as the method grammar knows them. */
export function methodCatalog(): MethodCatalog {
  return catalog
}

/** The method that a string says; LabError UNKNOWN_METHOD or INVALID_METHOD, details `{ reason, at, nearest }`. */
export function readMethod(text: string): Method {
  return parseMethod(text, catalog)
}

/** The canonical string of a method. */
export function writeMethod(method: Method): string {
  return printMethod(method, catalog)
}

/** Whether decoding may give other values than were encoded; a rotation rounds, so every transform counts. */
export function isLossy(method: Method): boolean {
  return SIDES.some((side) => quantizerById(method[side].quantizer).lossy || method[side].transforms.length > 0)
}

/**
 * Throws LabError INVALID_METHOD where a method cannot work on a cache of this shape or leaves nothing of it to encode; details `{ reason, nearest }`,
 * the nearest method that fits.
 */
export function checkMethod(method: Method, shape: MethodShape): void {
  const first = misfit(method, shape)
  if (first === null) return
  let nearest = first.instead
  for (let next = misfit(nearest, shape); next !== null; next = misfit(nearest, shape)) nearest = next.instead
  const details = { reason: first.reason, nearest: writeMethod(nearest) }
  throw new LabError('INVALID_METHOD', `${writeMethod(method)}: ${first.reason}; nearest valid: ${details.nearest}`, details)
}

/**
 * Bits per value of the whole cache before any codec, headers aside; what is kept counts at the cache's own dtype.
 * An estimate for plans, not a measurement.
 */
export function nominalBits(method: Method, shape: MethodShape): number {
  const { layers, tokens, dtype } = shape
  const { sinks, recent } = method.keep
  const whole = keptLayers(method.keep, layers).size
  const share = ((layers - whole) / layers) * (Math.max(0, tokens - sinks - recent) / tokens)
  const encoded = SIDES.reduce((sum, side) => sum + sideBits(method[side], shape), 0) / SIDES.length
  return share * encoded + (1 - share) * DTYPE_BITS[dtype]
}

const DTYPE_BITS: Record<KvDtype, number> = { F32: 32, F16: 16, BF16: 16 }

function sideBits({ quantizer, params }: SideSpec, shape: MethodShape): number {
  return quantizerById(quantizer).bits(params, shape)
}

/** Why a method does not fit, and the nearest one that does not have this fault. */
type Misfit = { readonly reason: string; readonly instead: Method }

function misfit(method: Method, shape: MethodShape): Misfit | null {
  for (const side of SIDES) {
    const wrong = sideMisfit(method[side], shape.headDim)
    if (wrong) return { reason: wrong.reason, instead: { ...method, [side]: wrong.instead } }
  }
  const wrong = keepMisfit(method.keep, shape)
  return wrong && { reason: wrong.reason, instead: { ...method, keep: wrong.instead } }
}

function sideMisfit(side: SideSpec, headDim: number): { reason: string; instead: SideSpec } | null {
  for (const { id, params } of side.transforms) {
    const reason = transformById(id).refuse(params, headDim)
    if (reason !== null) return { reason: `${id}: ${reason}`, instead: { ...side, transforms: side.transforms.filter((other) => other.id !== id) } }
  }
  const refused = quantizerById(side.quantizer).refuse(side.params, headDim)
  if (refused === null) return null
  const reason = `${side.quantizer}: ${refused.reason}`
  if (Object.keys(refused.nearest).length > 0) {
    return { reason, instead: { ...side, params: { ...side.params, ...(refused.nearest as AnyParams) } } }
  }
  const other = quantizers.find((candidate) => candidate.lossy && candidate.refuse(defaultsOf(candidate), headDim) === null)
  if (!other) throw new LabError('INTERNAL', `no quantizer fits a head size of ${headDim}`)
  return { reason, instead: { ...side, quantizer: other.id, params: defaultsOf(other) } }
}

function keepMisfit(keep: KeepSpec, { layers, tokens }: MethodShape): { reason: string; instead: KeepSpec } | null {
  const beyond = keep.layers.find((layer) => layer >= layers || layer < -layers)
  if (beyond !== undefined) {
    const within = keep.layers.filter((layer) => -layers <= layer && layer < layers)
    return { reason: `there is no layer ${beyond} among ${layers}`, instead: { ...keep, layers: within } }
  }
  if (keep.layers.length > 0 && keptLayers(keep, layers).size === layers) {
    return { reason: `it keeps all ${layers} layers and leaves nothing to encode`, instead: { ...keep, layers: keep.layers.slice(0, -1) } }
  }
  if (keep.sinks + keep.recent === 0 || keep.sinks + keep.recent < tokens) return null
  const sinks = Math.max(0, Math.min(keep.sinks, tokens - 1))
  return { reason: `it keeps all ${tokens} tokens and leaves nothing to encode`, instead: { ...keep, sinks, recent: Math.max(0, tokens - 1 - sinks) } }
}
