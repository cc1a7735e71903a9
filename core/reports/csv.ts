import type { RunResult, Trial } from '#core/contract/run.ts'
import type { Report } from './report.ts'

type Value = string | number | null | undefined

/** Columns with their unit in the title. The first four say what a row may be compared with, so that files can be put together. */
const COLUMNS: readonly [title: string, value: (trial: Trial, result: RunResult) => Value][] = [
  ['run', (_, { id }) => id],
  ['model', (_, { model }) => model.name],
  ['data', (_, { data }) => data.name],
  ['protocol fingerprint', (_, { protocol }) => protocol.fingerprint],
  ['method', ({ method }) => method],
  ['status', ({ status }) => status],
  ['reason', ({ reason }) => reason && `${reason.code}: ${reason.message}`],
  ['verdict', ({ verdict }) => verdict && (verdict.withheld === null ? verdict.outcome : `withheld: ${verdict.withheld}`)],
  ['rules not passed', ({ verdict }) => verdict?.rules.filter(({ outcome }) => outcome !== 'pass').map(({ metric, outcome }) => `${metric} ${outcome}`).join('; ')],
  ['on Pareto front', ({ front }) => (typeof front === 'boolean' ? (front ? 'yes' : 'no') : null)],
  ['stopped after windows', ({ dropped }) => dropped?.afterWindows],
  ['stopped for', ({ dropped }) => dropped?.dominatedBy],
  ['tokens', ({ quality }) => quality?.tokens],
  ['windows', ({ quality }) => quality?.clusters],
  ['interval level', (trial, result) => trial.quality && result.intervals.level],
  ['perplexity', ({ quality }) => quality?.perplexity],
  ['delta ln PPL', ({ quality }) => quality?.lnRatio.mean],
  ['delta ln PPL low', ({ quality }) => quality?.lnRatio.low],
  ['delta ln PPL high', ({ quality }) => quality?.lnRatio.high],
  ['delta ln PPL standard error', ({ quality }) => quality?.lnRatio.standardError],
  ['delta PPL', ({ quality }) => quality?.deltaPerplexity.mean],
  ['delta PPL low', ({ quality }) => quality?.deltaPerplexity.low],
  ['delta PPL high', ({ quality }) => quality?.deltaPerplexity.high],
  ['KL mean [nats]', ({ quality }) => quality?.kl.mean],
  ['KL mean low [nats]', ({ quality }) => quality?.kl.low],
  ['KL mean high [nats]', ({ quality }) => quality?.kl.high],
  ['KL median [nats]', ({ quality }) => quality?.kl.median],
  ['KL p90 [nats]', ({ quality }) => quality?.kl.p90],
  ['KL p99 [nats]', ({ quality }) => quality?.kl.p99],
  ['KL p99.9 [nats]', ({ quality }) => quality?.kl.p999],
  ['KL max [nats]', ({ quality }) => quality?.kl.max],
  ['KL in top 1 % of tokens [share]', ({ quality }) => quality?.kl.topPercentShare],
  ['KL over wrong-cache KL [share]', ({ quality }) => quality?.kl.shareOfWrongCache],
  ['flips [share]', ({ quality }) => quality?.flips.rate],
  ['flips low [share]', ({ quality }) => quality?.flips.low],
  ['flips high [share]', ({ quality }) => quality?.flips.high],
  ['delta p mean', ({ quality }) => quality?.deltaP.mean],
  ['delta p rms', ({ quality }) => quality?.deltaP.rms],
  ['bits per value', ({ bytes }) => bytes?.bitsPerValue],
  ['ratio to F16', ({ bytes }) => bytes?.ratio],
  ['F16 [bytes]', ({ bytes }) => bytes?.original],
  ['encoded [bytes]', ({ bytes }) => bytes?.encoded],
  ['headers [bytes]', ({ bytes }) => bytes?.header],
  ['encode p50 [bytes of F16 per second]', ({ speed }) => speed?.encode.p50],
  ['encode p95 [bytes of F16 per second]', ({ speed }) => speed?.encode.p95],
  ['decode p50 [bytes of F16 per second]', ({ speed }) => speed?.decode.p50],
  ['decode p95 [bytes of F16 per second]', ({ speed }) => speed?.decode.p95],
]

/** One row a method, RFC 4180, numbers in full precision; what was not measured is an empty field. */
export const csv: Report = {
  id: 'csv',
  label: 'CSV: one row a method',
  render: (result) => {
    const rows = [COLUMNS.map(([title]): Value => title), ...result.trials.map((trial) => COLUMNS.map(([, value]) => value(trial, result)))]
    return rows.map((row) => row.map(field).join(',') + '\r\n').join('')
  },
}

/** A field, quoted where it must be. Text that a spreadsheet would take for a formula gets an apostrophe in front. */
function field(value: Value): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : ''
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
