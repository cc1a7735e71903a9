import type { Outcome } from '#core/contract/run.ts'
import type { GateSpec } from '#core/contract/spec.ts'
import { windowSums } from './clusters.ts'
import { forecast, hypergeometricAtMost } from './forecast.ts'
import type { TokenSamples } from './samples.ts'
import { studentQuantile } from './student.ts'

/** Tokens of one window fall over a limit together, so they count as fewer: by the measured design effect, and by this where less is measured (demo model and SmolLM2: about 1.2). */
const LEAST_DESIGN_EFFECT = 1.5
/** The share of tokens over the 99th percentile. */
const TAIL = 0.01
/**
 * A tail is taken to thin out by at least half a power: were 1 % of tokens over the limit, √c % would be over a c-th of it. Measured tails
 * thin out by more than one power. So few windows can settle the tail of a method that is far below the limit.
 */
const FAR_BELOW = 16

/** What a sweep of `windows` will hold a method against. `error`: the most that the outcome may be wrong with. */
export type Settling = { readonly windows: number; readonly gate: GateSpec; readonly level: number; readonly error: number }

type Side = 'pass' | 'fail' | null
/** What a rule may wrongly pass with, and wrongly fail with. */
type Errors = { readonly pass: number; readonly fail: number }

/**
 * The outcome that the gate will give after all `windows`, from the first ones: where it is certain but for `error`; else null. A rule
 * by interval is settled when the final interval, wherever the mean may still move, lies on one side of the limit. One rule that fails
 * settles a failure; a pass needs all. A gate without limits is inconclusive from the start.
 */
export function settledOutcome(samples: TokenSamples, settling: Settling): Outcome | null {
  const { gate, error } = settling
  const limits = Object.values(gate).filter((limit) => limit !== null).length
  if (limits === 0) return 'inconclusive'
  // A pass is wrong only where one certain rule is wrong, a failure where any is.
  const errors = { pass: error / 2, fail: error / 2 / limits }
  const change = windowMeans(samples, (i) => samples.nll[i]! - samples.nllRef[i]!)
  const rules: Side[] = []
  if (gate.lnRatio !== null) rules.push(side(finalInterval(change, settling, errors), gate.lnRatio))
  if (gate.klMean !== null) rules.push(side(finalInterval(windowMeans(samples, (i) => samples.kl[i]!), settling, errors), gate.klMean))
  if (gate.klP99 !== null) rules.push(tailSide(samples, gate.klP99, settling.windows, errors))
  if (gate.deltaPerplexity !== null) rules.push(perplexitySide(samples, change, gate.deltaPerplexity, settling, errors))
  if (rules.includes('fail')) return 'fail'
  return rules.every((rule) => rule === 'pass') ? 'pass' : null
}

/** Mean of a per-token series over each window. */
export function windowMeans({ nll, tokensPerWindow }: TokenSamples, value: (token: number) => number): Float64Array {
  return windowSums(Float64Array.from(nll, (_, i) => value(i)), tokensPerWindow).map((sum) => sum / tokensPerWindow)
}

/** Where both bounds of the interval over all windows will lie: the forecast of its mean, and its own half-width on either side. */
function finalInterval(values: Float64Array, { windows, level }: Settling, errors: Errors): { low: number; high: number } {
  const { deviation, low } = forecast(values, windows, errors.fail)
  const { high } = forecast(values, windows, errors.pass)
  const half = (studentQuantile((1 + level) / 2, values.length - 1) * deviation) / Math.sqrt(windows)
  return { low: low - half, high: high + half }
}

function side({ low, high }: { low: number; high: number }, limit: number): Side {
  return high < limit ? 'pass' : low > limit ? 'fail' : null
}

/** ΔPPL = PPL_ref (exp(d) - 1), both of which may still move and share the errors. */
function perplexitySide(samples: TokenSamples, change: Float64Array, limit: number, settling: Settling, { pass, fail }: Errors): Side {
  const { low, high } = finalInterval(change, settling, { pass: pass / 2, fail: fail / 2 })
  const reference = forecast(windowMeans(samples, (i) => samples.nllRef[i]!), settling.windows, Math.min(pass, fail) / 2)
  const corners = (d: number): number[] => [reference.low, reference.high].map((loss) => Math.exp(loss) * Math.expm1(d))
  return side({ low: Math.min(...corners(low)), high: Math.max(...corners(high)) }, limit)
}

/**
 * The rule of the 99th percentile by how many tokens lie over the limit, or far below it, were they drawn from those of all windows of which
 * just so many are that the rule would go the other way. Both ways to pass share their error.
 */
function tailSide(samples: TokenSamples, limit: number, windows: number, errors: Errors): Side {
  const atMost = (from: number, share: number, below: number): number => {
    const { count, tokens } = counted(samples, from)
    const all = Math.round((tokens * windows * samples.tokensPerWindow) / samples.kl.length)
    return hypergeometricAtMost(count - below, tokens, Math.round(share * all), all)
  }
  if (atMost(limit, TAIL, 0) < errors.pass / 2) return 'pass'
  if (1 - atMost(limit, TAIL, 1) < errors.fail) return 'fail'
  return atMost(limit / FAR_BELOW, TAIL * Math.sqrt(FAR_BELOW), 0) < errors.pass / 2 ? 'pass' : null
}

/** Tokens with a KL of at least `limit`, and all tokens, both as if they were independent: divided by the design effect of the windows. */
function counted({ kl, tokensPerWindow }: TokenSamples, limit: number): { count: number; tokens: number } {
  const counts = windowSums(Float64Array.from(kl, (value) => (value >= limit ? 1 : 0)), tokensPerWindow)
  const { mean, deviation } = forecast(counts, counts.length, 0.5)
  const share = mean / tokensPerWindow
  const independent = tokensPerWindow * share * (1 - share)
  const effect = Math.max(LEAST_DESIGN_EFFECT, independent > 0 ? deviation ** 2 / independent : 1)
  return { count: Math.round((mean * counts.length) / effect), tokens: Math.floor(kl.length / effect) }
}
