import type { Outcome, RunResult } from '#core/contract/run.ts'
import { conclusion } from '#core/reports/conclusion.ts'
import { modeText } from '#core/reports/mode.ts'
import { count, duration, small } from '#core/reports/numbers.ts'
import { methodRows } from '#core/reports/table.ts'
import type { Session } from './session.ts'
import { layOut } from './terminal-table.ts'

/** Columns by importance, the first for ever: a narrow terminal shows as many as fit. */
const IMPORTANCE = [/^method/, /^verdict/, /^Δ ln PPL/, /^bits/, /^KL mean/, /^ratio/, /^front/, /^flips/, /^KL p99/, /^encode/, /^decode/]

/** The answer of a run: what was measured, the table, the conclusion, what to do next, and where it all is. */
export function showResult(session: Session, result: RunResult, folder: string, next: string): void {
  const { colors } = session
  session.print(`\n${colors.bold(titleOf(result))}\n${baselineOf(result)}\n`)
  for (const [row, line] of tableOf(session, result).entries()) session.print(row === 0 ? colors.dim(line) : line)
  session.print(`\n${conclusion(result)}`)
  for (const { method, reason } of result.trials) if (reason) session.print(colors.red(`${method}: ${reason.code}: ${reason.message.split('\n')[0] ?? ''}`))
  if (session.quiet) return
  session.print(`\nnext:  ${next}\nrun:   ${folder}`)
}

function titleOf({ model, data, protocol, timing }: RunResult): string {
  const { windows, scoredTokens } = protocol
  const weights = model.weights === null ? '' : ` ${model.weights}`
  return `${model.name}${weights} · ${data.name} · ${modeText(protocol)} · ${count(windows)} windows · ${count(scoredTokens)} scored tokens · ${duration(timing.totalSeconds)}`
}

function baselineOf({ baseline, controls }: RunResult): string {
  const parts = baseline === null ? [] : [`baseline perplexity ${baseline.perplexity.toPrecision(5)} ± ${baseline.standardError.toPrecision(2)}`]
  if (controls) {
    const { identity, aa, wrongCache } = controls
    const mark = (passed: boolean): string => (passed ? '' : ' (failed)')
    parts.push(`identity ${identity.passed ? 'exact' : 'failed'}`, `A/A floor KL ${small(aa.klMean)}${mark(aa.passed)}`, `wrong cache KL ${small(wrongCache.klMean)}${mark(wrongCache.passed)}`)
  }
  return parts.join(' · ')
}

function tableOf(session: Session, result: RunResult): string[] {
  const { header, rows, align } = methodRows(result)
  const { colors } = session
  const paints: Record<Outcome, (text: string) => string> = { pass: colors.green, fail: colors.red, inconclusive: colors.yellow }
  const verdict = (cell: string): string => {
    const [outcome = ''] = cell.split(' ')
    return outcome in paints ? cell.replace(outcome, paints[outcome as Outcome]) : cell
  }
  const columns = header.map((title, i) => {
    const rank = IMPORTANCE.findIndex((pattern) => pattern.test(title))
    const cells = rows.map((row) => row[i] ?? '')
    return { title, align: align[i] ?? ('left' as const), rank: rank === -1 ? IMPORTANCE.length : rank, cells, ...(title === 'verdict' ? { paint: verdict } : {}) }
  })
  return layOut(columns, session.width)
}
