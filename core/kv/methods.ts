import { codecById, codecInfos, codecsOf } from '#core/codecs/index.ts'
import { LabError } from '#core/contract/errors.ts'
import { parseMethod, printMethod } from '#core/contract/method.ts'
import type { AnyParams, CodecSpec, KeepSpec, Method, MethodCatalog, Sides, SideSpec } from '#core/contract/method.ts'
import { defaultsOf } from '#core/contract/method-reader.ts'
import { quantizerById, quantizers } from '#core/quantizers/index.ts'
import { describe as describeQuantizer } from '#core/quantizers/quantizer.ts'
import { transformById, transforms } from '#core/transforms/index.ts'
import { describe as describeTransform } from '#core/transforms/transform.ts'
import type { BlockShape } from '#core/quantizers/quantizer.ts'
import { SIDES, type KvDtype, type KvShape, type Side } from './cache.ts'
import { settledTokens } from './keep.ts'
import { groupMethod, groupSizes, groupsOf, layersMisfit } from './layers.ts'

const catalog: MethodCatalog = {
  quantizers: quantizers.map(describeQuantizer),
  transforms: transforms.map(describeTransform),
  codecs: codecInfos,
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

/** Whether decoding may give other values than were encoded; a rotation rounds, and so is lossy. */
export function isLossy(method: Method): boolean {
  return allSides(method).some(({ quantizer, transforms }) => quantizerById(quantizer).lossy || transforms.some(({ id }) => transformById(id).lossy))
}

/** As checkFit, and INVALID_METHOD where this Node.js does not have the method's codec: what is about to encode asks before it begins. */
export function checkMethod(method: Method, shape: KvShape): void {
  checkFit(method, shape)
  for (const { codec } of codecsOf(method.codec)) {
    if (codec.missing === undefined) continue
    const details = { reason: codec.missing, nearest: writeMethod({ ...method, codec: OTHER_CODEC }) }
    throw new LabError('INVALID_METHOD', `${writeMethod(method)}: ${codec.missing}; nearest valid: ${details.nearest}`, details)
  }
}

/** What every Node.js has in place of a codec that it has not. */
const OTHER_CODEC: CodecSpec = { id: 'deflate', params: defaultsOf(codecById('deflate')) }

/** Whether a method can be decoded only by who knows how the keys were rotated. */
export function usesRope(method: Method): boolean {
  return allSides(method).some(({ transforms }) => transforms.some(({ id }) => transformById(id).usesRope === true))
}

/** Whether a method learns what it encodes by from another text. */
export function learnsFromText(method: Method): boolean {
  return allSides(method).some(({ quantizer, params }) => quantizerById(quantizer).learner?.asked(params) === true)
}

/** Every side of a method, those of its overrides included. */
function allSides(method: Method): SideSpec[] {
  return [method, ...method.overrides].flatMap((sides: Sides) => SIDES.map((side) => sides[side]))
}

/**
 * Throws LabError INVALID_METHOD where a method cannot work on a cache of this shape or leaves nothing of it to encode; details `{ reason, nearest }`,
 * the nearest method that fits.
 */
export function checkFit(method: Method, shape: KvShape): void {
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
export function nominalBits(method: Method, shape: KvShape): number {
  const { layers, tokens, dtype } = shape
  const sizes = groupSizes(method, layers)
  const sides = SIDES.map((side) => {
    let bits = 0
    let kept = 1
    for (const group of groupsOf(method)) {
      const own = groupMethod(method, group)
      const settled = settledTokens(own, side, tokens)
      const share = ((sizes.get(group) ?? 0) / layers) * (settled / tokens)
      if (share === 0) continue
      bits += share * sideBits(own[side], { ...shape, side, tokens: settled })
      kept -= share
    }
    return bits + kept * DTYPE_BITS[dtype]
  })
  return sides.reduce((sum, bits) => sum + bits, 0) / SIDES.length
}

const DTYPE_BITS: Record<KvDtype, number> = { F32: 32, F16: 16, BF16: 16 }

function sideBits({ quantizer, params, transforms }: SideSpec, block: BlockShape): number {
  return transforms.reduce((sum, { id, params: own }) => sum + (transformById(id).bits?.(own, block) ?? 0), quantizerById(quantizer).bits(params, block))
}

/** Why a method does not fit, and the nearest one that does not have this fault. */
type Misfit = { readonly reason: string; readonly instead: Method }

function misfit(method: Method, shape: KvShape): Misfit | null {
  const keep = keepMisfit(method.keep, shape)
  const tokens = shape.tokens - method.keep.sinks - method.keep.recent
  for (const group of groupsOf(method)) {
    const own = groupMethod(method, group)
    for (const side of SIDES) {
      const wrong = sideMisfit(own[side], side, shape, keep ? undefined : { side, tokens })
      if (wrong) return { reason: wrong.reason, instead: withSide(method, group, side, wrong.instead) }
    }
  }
  return layersMisfit(method, shape.layers) ?? (keep && { reason: keep.reason, instead: { ...method, keep: keep.instead } })
}

function withSide(method: Method, group: number, side: Side, spec: SideSpec): Method {
  if (group === 0) return { ...method, [side]: spec }
  return { ...method, overrides: method.overrides.map((override, i) => (i + 1 === group ? { ...override, [side]: spec } : override)) }
}

/** `run`: the tokens that the keep rules leave, where they leave any. */
function sideMisfit(spec: SideSpec, side: Side, shape: KvShape, run: Pick<BlockShape, 'side' | 'tokens'> | undefined): { reason: string; instead: SideSpec } | null {
  const { headDim } = shape
  for (const { id, params } of spec.transforms) {
    const reason = transformById(id).refuse(params, { ...shape, side }, shape.rope ?? null)
    if (reason !== null) return { reason: `${id}: ${reason}`, instead: { ...spec, transforms: spec.transforms.filter((other) => other.id !== id) } }
  }
  const refused = quantizerById(spec.quantizer).refuse(spec.params, headDim, run)
  if (refused === null) return null
  const reason = `${spec.quantizer}: ${refused.reason}`
  if (Object.keys(refused.nearest).length > 0) {
    return { reason, instead: { ...spec, params: { ...spec.params, ...(refused.nearest as AnyParams) } } }
  }
  const other = quantizers.find((candidate) => candidate.lossy && candidate.refuse(defaultsOf(candidate), headDim) === null)
  if (!other) throw new LabError('INTERNAL', `no quantizer fits a head size of ${headDim}`)
  return { reason, instead: { ...spec, quantizer: other.id, params: defaultsOf(other) } }
}

function keepMisfit(keep: KeepSpec, { tokens }: KvShape): { reason: string; instead: KeepSpec } | null {
  if (keep.sinks + keep.recent === 0 || keep.sinks + keep.recent < tokens) return null
  const sinks = Math.max(0, Math.min(keep.sinks, tokens - 1))
  return { reason: `it keeps all ${tokens} tokens and leaves nothing to encode`, instead: { ...keep, sinks, recent: Math.max(0, tokens - 1 - sinks) } }
}
