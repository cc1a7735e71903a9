import type { GateRule, Interval, Outcome, Quality } from '#core/contract/run.ts'
import type { GateSpec } from '#core/contract/spec.ts'

/**
 * Each limit of the gate held against a method: a test of non-inferiority. An interval's rule passes when its upper bound lies below the
 * limit, fails when its lower bound lies above, and is inconclusive between; a method that improves passes. KL p99 is held as measured.
 */
export function judge(quality: Quality, gate: GateSpec, tokensPerWindow: number): GateRule[] {
  const rules: GateRule[] = []
  const byInterval = (metric: keyof GateSpec, interval: Interval): void => {
    const limit = gate[metric]
    if (limit === null) return
    const { mean: value, low, high } = interval
    const outcome = high < limit ? 'pass' : low > limit ? 'fail' : 'inconclusive'
    rules.push({ metric, limit, value, low, high, outcome, moreTokens: outcome === 'inconclusive' ? moreTokens(interval, limit, quality.tokens, tokensPerWindow) : null })
  }
  byInterval('lnRatio', quality.lnRatio)
  byInterval('klMean', quality.kl)
  if (gate.klP99 !== null) {
    const value = quality.kl.p99
    rules.push({ metric: 'klP99', limit: gate.klP99, value, low: null, high: null, outcome: value < gate.klP99 ? 'pass' : 'fail', moreTokens: null })
  }
  byInterval('deltaPerplexity', quality.deltaPerplexity)
  return rules
}

/**
 * About how many more tokens until the rule would pass, in whole windows, if the mean stays where it is: the upper half-width shrinks
 * with the root of the tokens. Null when the mean is at or over the limit: more tokens would then narrow the interval around a value
 * that does not pass.
 */
function moreTokens({ mean, high }: Interval, limit: number, tokens: number, tokensPerWindow: number): number | null {
  if (mean >= limit) return null
  const needed = tokens * ((high - mean) / (limit - mean)) ** 2
  return (Math.floor((needed - tokens) / tokensPerWindow) + 1) * tokensPerWindow
}

/** The verdict of all rules: one failure fails, one open rule leaves it open; a gate without limits decides nothing. */
export function outcomeOf(rules: readonly GateRule[]): Outcome {
  if (rules.some((rule) => rule.outcome === 'fail')) return 'fail'
  return rules.length > 0 && rules.every((rule) => rule.outcome === 'pass') ? 'pass' : 'inconclusive'
}
