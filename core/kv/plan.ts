import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import { withoutRanges } from '#core/contract/method-layers.ts'
import { ropeText } from '#core/transforms/rope.ts'
import type { KvShape } from './cache.ts'
import { kvLayout, type KvPart, type KvStream } from './layout.ts'
import { readMethod, writeMethod } from './methods.ts'

/** What a method makes of a shape: `streams` are those of all parts, in their order. */
export type KvPlan = { readonly method: Method; readonly parts: readonly KvPart[]; readonly streams: readonly KvStream[] }

/** A run writes and reads thousands of files of few methods and one shape: their plans are worked out once. */
const MAX_PLANS = 64
const plans = new Map<string, KvPlan>()

/**
 * The plan of the method of that canonical text. It follows from the text and not from a caller's object, so that every caller gets the same.
 * Errors: those of readMethod and kvLayout, and INVALID_METHOD for a text that is not canonical (lists of layers may name each); nothing is kept of a plan that fails.
 */
export function kvPlan(text: string, shape: KvShape): KvPlan {
  const { layers, kvHeads, tokens, headDim, dtype, rope } = shape
  const name = `${layers} ${kvHeads} ${tokens} ${headDim} ${dtype} ${text} ${rope ? ropeText(rope) : ''}`
  const known = plans.get(name)
  if (known) return known
  const method = readMethod(text)
  const canonical = writeMethod(method)
  // Files are older than ranges in lists of layers.
  if (text !== canonical && text !== withoutRanges(canonical)) throw new LabError('INVALID_METHOD', `the method ${JSON.stringify(text)} is not written in its canonical form`)
  const parts = kvLayout(method, shape)
  const plan = { method, parts, streams: parts.flatMap((part) => part.streams) }
  if (plans.size === MAX_PLANS) plans.clear()
  plans.set(name, plan)
  return plan
}
