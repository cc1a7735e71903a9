import type { LiveTrial, RunEvent, RunPlan } from '#core/contract/run.ts'
import { f16Bytes } from '#core/kv/cache.ts'
import { liveInterval } from '#core/statistics/live.ts'
import type { Race } from './race.ts'
import { shapeOf } from './result.ts'
import type { Tally } from './tally.ts'

/** The state of the run while it goes on, from sums by window: cheap enough to be asked every second however long the run is. */
export function liveState(tally: Tally, plan: RunPlan, race: Race, level: number): Extract<RunEvent, { type: 'live' }> {
  const tokens = tally.reference.windows().length * tally.reference.tokensPerWindow
  const loss = tally.reference.sums.nll.reduce((sum, nll) => sum + nll, 0)
  return { type: 'live', baseline: tokens === 0 ? null : { perplexity: Math.exp(loss / tokens), tokens }, trials: liveTrials(tally, plan, race, level) }
}

/** The state of every method, with cluster-robust normal intervals. */
function liveTrials(tally: Tally, plan: RunPlan, race: Race, level: number): LiveTrial[] {
  const cacheBytes = f16Bytes(shapeOf(plan))
  const drops = race.drops()
  return plan.methods.map((method): LiveTrial => {
    const measured = tally.methods.get(method)
    const windows = measured?.scores.windows() ?? []
    if (!measured || windows.length === 0 || measured.failure) {
      const reason = measured?.failure?.reason ?? null
      return { method, status: reason ? 'failed' : 'waiting', reason, tokens: 0, lnRatio: null, klMean: null, flipRate: null, bitsPerValue: null }
    }
    const { sums, tokensPerWindow } = measured.scores
    const tokens = windows.length * tokensPerWindow
    const of = (series: Float64Array): Float64Array => Float64Array.from(windows, (window) => series[window] ?? NaN)
    return {
      method,
      status: drops.has(method) ? 'dropped' : 'running',
      reason: null,
      tokens,
      lnRatio: liveInterval(of(sums.change), tokensPerWindow, level),
      klMean: liveInterval(of(sums.kl), tokensPerWindow, level),
      flipRate: of(sums.flips).reduce((sum, flips) => sum + flips, 0) / tokens,
      bitsPerValue: (16 * measured.encoded) / (cacheBytes * windows.length),
    }
  })
}
