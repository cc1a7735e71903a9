import type { RunResult, Trial } from '#core/contract/run.ts'
import { change, levelText, NOTHING, percent, small, speed } from './numbers.ts'

/** A table of text: a row's cells in the order of the header, and how each column is set. */
export type Table = { readonly header: readonly string[]; readonly rows: readonly (readonly string[])[]; readonly align: readonly ('left' | 'right')[] }

type Column = [title: string, align: 'left' | 'right', cell: (trial: Trial) => string | null | undefined]

/** Marks the methods on the Pareto front; only where it is known. */
const FRONT: Column = ['front', 'left', ({ front }) => (front === null ? null : front ? '●' : '')]

/** The table of a run's methods as people read it, in the order they were asked for; shared by the terminal and the Markdown report. */
export function methodRows(result: RunResult): Table {
  const columns: Column[] = [
    ['method', 'left', ({ method }) => method],
    ['bits', 'right', ({ bytes }) => bytes?.bitsPerValue.toFixed(2)],
    ['ratio', 'right', ({ bytes }) => bytes && `${bytes.ratio.toFixed(2)}x`],
    [`Δ ln PPL [${levelText(result.intervals.level)}]`, 'right', ({ quality }) => quality && change(quality.lnRatio)],
    ['KL mean', 'right', ({ quality }) => quality && small(quality.kl.mean)],
    ['KL p99', 'right', ({ quality }) => quality && small(quality.kl.p99)],
    ['flips', 'right', ({ quality }) => quality && percent(quality.flips.rate)],
    ['encode', 'right', (trial) => trial.speed && speed(trial.speed.encode.p50)],
    ['decode', 'right', (trial) => trial.speed && speed(trial.speed.decode.p50)],
    ...(result.trials.some(({ front }) => typeof front === 'boolean') ? [FRONT] : []),
    ['verdict', 'left', verdictText],
  ]
  return {
    header: columns.map(([title]) => title),
    rows: result.trials.map((trial) => columns.map(([, , cell]) => cell(trial) ?? NOTHING)),
    align: columns.map(([, align]) => align),
  }
}

/** A trial's outcome in a few words; the first is the outcome itself where there is one. */
export function verdictText(trial: Trial): string {
  const { dropped } = trial
  const outcome = outcomeText(trial)
  return trial.status === 'dropped' && dropped ? `${outcome} (stopped after ${dropped.afterWindows} windows)` : outcome
}

function outcomeText({ status, reason, verdict }: Trial): string {
  if (status === 'failed') return `error: ${reason?.code ?? 'unknown'}`
  if (status === 'partial') return 'partial'
  if (!verdict) return NOTHING
  if (verdict.withheld !== null) return 'withheld'
  return verdict.rules.length === 0 ? 'no gate' : (verdict.outcome ?? NOTHING)
}
