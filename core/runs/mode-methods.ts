import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { copyTokens, differingLayer, emptyArrays } from '#core/evaluation/mode.ts'
import { SIDES, type KvCache } from '#core/kv/cache.ts'
import { learnedFrom, type Learned } from '#core/kv/calibration.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { settledThrough, settledTokens, soFar } from '#core/kv/keep.ts'
import { groupMethod, groupsOf } from '#core/kv/layers.ts'
import { writeMethod } from '#core/kv/methods.ts'

/**
 * Refuse a method that the mode cannot measure, by trying it on `cache`, one layer of a whole window: what has settled when a part of the window is known must be what the
 * whole window's file says, of each override's sides as of the method's own. Throws LabError INVALID_METHOD with the reason and the mode to take instead.
 */
export function checkMode(method: Method, spec: Pick<RunSpec, 'mode' | 'block' | 'prefixLength'>, cache: KvCache): void {
  if (spec.mode === 'handoff') return
  for (const group of groupsOf(method)) checkLayer(groupMethod(method, group), writeMethod(method), spec, cache)
}

/** `name`: the method that says this one of some layers. */
function checkLayer(method: Method, name: string, spec: Pick<RunSpec, 'mode' | 'block' | 'prefixLength'>, cache: KvCache): void {
  const { mode, prefixLength } = spec
  const { tokens } = cache.shape
  const refuse = (reason: string, instead: string): LabError => new LabError('INVALID_METHOD', `${name} cannot be measured in ${mode}: ${reason}; use --mode ${instead}`, { reason })
  if (mode === 'in-pass') {
    if (method.keep.recent > 0) throw refuse(`it keeps the last ${method.keep.recent} tokens, and where all tokens are read in one pass each is the last once`, 'streaming')
    // The window may end where a method has just flushed: one token before tells.
    if (SIDES.some((side) => [tokens, tokens - 1].some((length) => settledTokens(method, side, length) + method.keep.sinks < length))) throw refuse('it encodes tokens some time after they were read', 'streaming')
  }
  const block = spec.block ?? prefixLength
  const lengths = mode === 'in-pass' ? [prefixLength, tokens - 1] : [block, Math.ceil(prefixLength / block) * block, Math.floor((tokens - 1) / block) * block]
  // What comes of another text is given; here the window itself stands for that text.
  const learned = learnedFrom([cache], method)
  const whole = restored(method, cache, learned)
  for (const length of new Set(lengths.filter((length) => 0 < length && length < tokens))) {
    const settled = { key: [settledThrough(method, 'key', length)], value: [settledThrough(method, 'value', length)] }
    if (SIDES.every((side) => settled[side][0] === 0)) continue
    const part = restored(soFar(method, length), firstTokens(cache, length), learned)
    const attended = emptyArrays(cache.shape)
    for (const side of SIDES) attended[side].forEach((values, layer) => copyTokens(cache.shape.kvHeads, cache.shape.headDim, part[side][layer] ?? new Float32Array(), 0, values, 0, length))
    if (differingLayer({ original: cache, attended, settled }, whole)) {
      throw refuse('what it makes of a token depends on tokens that come later', mode === 'in-pass' ? 'streaming, or handoff' : 'handoff')
    }
  }
}

function restored(method: Method, cache: KvCache, learned: Learned): ReturnType<typeof emptyArrays> {
  return decodeKv(encodeKv(cache, method, {}, learned).bytes).arrays
}

function firstTokens({ shape, ...arrays }: KvCache, tokens: number): KvCache {
  const first = { ...shape, tokens }
  const cache = emptyArrays(first)
  for (const side of SIDES) cache[side].forEach((values, layer) => copyTokens(shape.kvHeads, shape.headDim, arrays[side][layer] ?? new Float32Array(), 0, values, 0, tokens))
  return { shape: first, ...cache }
}
