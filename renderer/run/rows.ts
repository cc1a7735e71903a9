import type { Controls, Interval, RunSnapshot, Trial, TrialStatus } from '#core/contract/run.ts'
import type { LabErrorJson } from '#core/contract/errors.ts'
import { verdictText } from '#core/reports/table.ts'
import { paretoFront } from '#core/statistics/pareto.ts'

/** One method of a run as the page shows it, whether it is still measured or done; null where nothing was measured yet. */
export type Row = {
  method: string
  status: TrialStatus | 'waiting' | 'running'
  tokens: number
  bits: number | null
  ratio: number | null
  lnRatio: Interval | null
  kl: Interval | null
  klP99: number | null
  flips: number | null
  encode: number | null
  decode: number | null
  outcome: 'pass' | 'fail' | 'open' | null
  verdict: string
  front: boolean
  reason: LabErrorJson | null
  trial: Trial | null
}

/** The rows of a run in the order of its methods: of methods that are over their trial, of the others what is known so far. */
export function rowsOf(snapshot: RunSnapshot): Row[] {
  const methods = snapshot.plan?.methods ?? snapshot.spec.methods
  const trials = new Map((snapshot.result?.trials ?? snapshot.trials).map((trial) => [trial.method, trial]))
  const running = new Map(snapshot.live.map((live) => [live.method, live]))
  const rows = methods.map((method): Row => {
    const trial = trials.get(method)
    if (trial) return ofTrial(trial)
    const live = running.get(method)
    return {
      method,
      status: live?.status ?? 'waiting',
      tokens: live?.tokens ?? 0,
      bits: live?.bitsPerValue ?? null,
      ratio: live && live.bitsPerValue !== null ? 16 / live.bitsPerValue : null,
      lnRatio: live?.lnRatio ?? null,
      kl: live?.klMean ?? null,
      klP99: null,
      flips: live?.flipRate ?? null,
      encode: null,
      decode: null,
      outcome: null,
      verdict: live?.status === 'failed' ? `error: ${live.reason?.code ?? 'unknown'}` : live?.status === 'dropped' ? 'stopped by the race' : live ? 'measuring' : 'waiting',
      front: false,
      reason: live?.reason ?? null,
      trial: null,
    }
  })
  // A run that is not over does not know its front: the page draws that of what was measured so far.
  const placed = rows.filter(({ bits, kl }) => bits !== null && kl !== null)
  const fronts = paretoFront(placed.map(({ bits, kl }) => ({ bytes: bits ?? 0, kl: kl?.mean ?? 0 })))
  placed.forEach((row, i) => (row.front = row.trial?.front ?? fronts[i] ?? false))
  return rows
}

function ofTrial(trial: Trial): Row {
  const { quality, bytes, speed, verdict, status } = trial
  const outcome = verdict?.withheld === null && verdict.rules.length > 0 ? (verdict.outcome === 'inconclusive' ? 'open' : verdict.outcome) : null
  return {
    method: trial.method,
    status,
    tokens: quality?.tokens ?? 0,
    bits: bytes?.bitsPerValue ?? null,
    ratio: bytes?.ratio ?? null,
    lnRatio: quality?.lnRatio ?? null,
    kl: quality?.kl ?? null,
    klP99: quality?.kl.p99 ?? null,
    flips: quality?.flips.rate ?? null,
    encode: speed?.encode.p50 ?? null,
    decode: speed?.decode.p50 ?? null,
    outcome,
    verdict: verdictText(trial),
    front: trial.front ?? false,
    reason: trial.reason,
    trial,
  }
}

/** The controls, once the run has them. */
export function controlsOf(snapshot: RunSnapshot): Controls | null {
  return snapshot.result?.controls ?? null
}
