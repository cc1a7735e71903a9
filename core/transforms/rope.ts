import { LabError } from '#core/contract/errors.ts'

/**
 * How keys are rotated by their positions: the frequency base, how many of the first channels of a head, an even number, and what stretches the
 * context. Channels are paired i and i + rotaryDims / 2, as Llama has them in transformers.
 */
export type RopeFacts = { readonly theta: number; readonly rotaryDims: number; readonly scaling: RopeScaling | null }

/** Scaling of frequencies by the name that config.json gives it. */
export type RopeScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | { readonly type: 'llama3'; readonly factor: number; readonly lowFactor: number; readonly highFactor: number; readonly originalTokens: number }
  | { readonly type: 'yarn'; readonly factor: number; readonly betaFast: number; readonly betaSlow: number; readonly originalTokens: number }

/** Names of the numbers of each kind of scaling, in the order in which they are written. */
const SCALINGS = {
  linear: ['factor'],
  llama3: ['factor', 'lowFactor', 'highFactor', 'originalTokens'],
  yarn: ['factor', 'betaFast', 'betaSlow', 'originalTokens'],
} as const

const MAX_CHARACTERS = 400
/** Far beyond what any model has, near enough that every frequency stays a number above zero. */
const MAX_NUMBER = 1e12

/** The facts as the one JSON text that a KV file holds of them. */
export function ropeText({ theta, rotaryDims, scaling }: RopeFacts): string {
  if (scaling === null) return JSON.stringify({ theta, rotaryDims, scaling })
  const numbers = new Map<string, unknown>(Object.entries(scaling))
  const ordered: [string, unknown][] = ['type', ...SCALINGS[scaling.type]].map((name) => [name, numbers.get(name)])
  return JSON.stringify({ theta, rotaryDims, scaling: Object.fromEntries(ordered) })
}

/** The facts that such a text says. Errors: INVALID_INPUT for a text that ropeText does not write, and for numbers that no rotation can have. */
export function readRope(text: string): RopeFacts {
  const facts = text.length <= MAX_CHARACTERS ? parsed(text) : null
  if (facts === null || ropeText(facts) !== text) throw new LabError('INVALID_INPUT', `the rotation ${JSON.stringify(text.slice(0, 60))} is not one that is written for keys`)
  return facts
}

function parsed(text: string): RopeFacts | null {
  let value: unknown
  try {
    value = JSON.parse(text) as unknown
  } catch {
    return null
  }
  const { theta, rotaryDims, scaling } = recordOf(value)
  if (!isNumber(theta) || theta <= 1 || !isWhole(rotaryDims) || rotaryDims % 2 !== 0) return null
  if (scaling === null) return { theta, rotaryDims, scaling }
  const read = scalingOf(recordOf(scaling))
  return read && { theta, rotaryDims, scaling: read }
}

/** Scaling from its own names of numbers; null where one is missing or cannot be. */
export function scalingOf({ type, ...numbers }: Readonly<Record<string, unknown>>): RopeScaling | null {
  const { factor, lowFactor, highFactor, betaFast, betaSlow, originalTokens } = numbers
  if (!isNumber(factor)) return null
  if (type === 'linear') return { type, factor }
  if (!isWhole(originalTokens)) return null
  if (type === 'llama3' && isNumber(lowFactor) && isNumber(highFactor) && lowFactor < highFactor) return { type, factor, lowFactor, highFactor, originalTokens }
  if (type === 'yarn' && isNumber(betaFast) && isNumber(betaSlow) && betaSlow < betaFast) return { type, factor, betaFast, betaSlow, originalTokens }
  return null
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && value >= 1 / MAX_NUMBER && value <= MAX_NUMBER
}

function isWhole(value: unknown): value is number {
  return isNumber(value) && Number.isInteger(value)
}

/**
 * Radians a position of each pair of channels, [rotaryDims / 2], each rounded to F32 as models hold them. transformers' modeling_rope_utils.py; yarn
 * also multiplies keys by a constant there, which a rotation does not see.
 */
export function frequencies({ theta, rotaryDims, scaling }: RopeFacts): Float32Array {
  const half = rotaryDims / 2
  const scaled = (base: number, i: number): number => {
    if (scaling === null) return base
    if (scaling.type === 'linear') return base / scaling.factor
    if (scaling.type === 'llama3') return llama3(base, scaling)
    const { factor, betaFast, betaSlow, originalTokens } = scaling
    // The pair that turns so often within the original context.
    const pair = (turns: number): number => (rotaryDims * Math.log(originalTokens / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
    const low = Math.max(Math.floor(pair(betaFast)), 0)
    const high = Math.min(Math.ceil(pair(betaSlow)), rotaryDims - 1)
    const stretched = Math.min(1, Math.max(0, (i - low) / (low === high ? 0.001 : high - low)))
    return (base / factor) * stretched + base * (1 - stretched)
  }
  return Float32Array.from({ length: half }, (_, i) => scaled(theta ** (-i / half), i))
}

function llama3(base: number, { factor, lowFactor, highFactor, originalTokens }: Extract<RopeScaling, { type: 'llama3' }>): number {
  const turns = (originalTokens * base) / (2 * Math.PI)
  if (turns < lowFactor) return base / factor
  if (turns > highFactor) return base
  const kept = (turns - lowFactor) / (highFactor - lowFactor)
  return (1 - kept) * (base / factor) + kept * base
}
