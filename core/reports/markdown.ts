import { commandLine } from '#core/contract/command-line.ts'
import type { Controls, RunResult } from '#core/contract/run.ts'
import type { GateSpec } from '#core/contract/spec.ts'
import { conclusion } from './conclusion.ts'
import { count, levelText, small } from './numbers.ts'
import type { Report } from './report.ts'
import { specOf } from './reproduce.ts'
import { methodRows } from './table.ts'

/** A page for a pull request or a note: the answer, the table, and what is needed to judge it and to measure it again. */
export const markdown: Report = {
  id: 'markdown',
  label: 'Markdown: the table with its conclusion, controls and protocol',
  render: (result) => {
    const { model, data, trials, warnings } = result
    const failed = trials.flatMap(({ method, reason }) => (reason ? [`- ${code(method)}: ${plain(`${reason.code}: ${reason.message}`)}`] : []))
    const blocks = [
      `# KV Lab: ${plain(model.name)}${model.weights === null ? '' : ` (${plain(model.weights)})`} on ${plain(data.name)}`,
      plain(conclusion(result)),
      baseline(result),
      table(result),
      'Bits per value and ratio count whole KV files, header included, against F16. KL in nats; speeds are medians, in bytes of F16 cache.',
      ...(trials.some(({ front }) => front) ? ['● is on the Pareto front: no other method has as few bytes (headers aside) and a lower mean KL.'] : []),
      ...(failed.length === 0 ? [] : ['Not measured:', failed.join('\n')]),
      controls(result.controls),
      gate(result.gate, result.intervals.level),
      protocol(result),
      `**Reproduce** (kvlab ${plain(result.engine.version)}, onnxruntime ${plain(result.engine.onnxruntime)}):`,
      fenced(commandLine(specOf(result))),
      ...(warnings.length === 0 ? [] : ['**Warnings**', warnings.map((text) => `- ${plain(text)}`).join('\n')]),
    ]
    return blocks.join('\n\n') + '\n'
  },
}

function baseline({ baseline, protocol, model }: RunResult): string {
  if (!baseline) return 'Baseline: not measured.'
  const { perplexity, standardError, tokens } = baseline
  return `**Baseline**: perplexity ${perplexity.toFixed(3)} ± ${standardError.toPrecision(2)} (standard error; ${count(tokens)} scored tokens in ${count(protocol.windows)} windows, ${model.kvDtype} cache).`
}

function table(result: RunResult): string {
  const { header, rows, align } = methodRows(result)
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const marks = align.map((side) => (side === 'right' ? '---:' : '---'))
  return [line(header.map(plain)), line(marks), ...rows.map(([method = '', ...rest]) => line([code(method), ...rest.map(plain)]))].join('\n')
}

function controls(measured: Controls | null): string {
  if (!measured) return '**Controls**: did not run, so there are no verdicts.'
  const { identity, aa, wrongCache } = measured
  const said = (passed: boolean): string => (passed ? 'passed' : '**failed**')
  return [
    `**Controls** (identity on ${identity.windows} windows, A/A on ${aa.windows}, wrong cache on ${wrongCache.windows}):`,
    `identity ${said(identity.passed)} (${identity.equalBits ? 'equal bits' : 'other bits'}, KL max ${small(identity.klMax)}, flips ${identity.flips});`,
    `A/A ${said(aa.passed)} (KL mean ${small(aa.klMean)}, max ${small(aa.klMax)}, batch ${aa.batch});`,
    `wrong cache ${said(wrongCache.passed)} (KL mean ${small(wrongCache.klMean)}, lower bound ${small(wrongCache.low)}, needed ${small(wrongCache.needed)}).`,
  ].join(' ')
}

function gate(limits: GateSpec, level: number): string {
  const names: [keyof GateSpec, string][] = [['lnRatio', 'Δ ln PPL'], ['klMean', 'mean KL'], ['klP99', 'KL p99 (as measured)'], ['deltaPerplexity', 'ΔPPL']]
  const rules = names.flatMap(([metric, name]) => (limits[metric] === null ? [] : [`${name} < ${limits[metric]}`]))
  if (rules.length === 0) return '**Gate**: none.'
  return `**Gate**: ${plain(rules.join(', '))}; passes when the upper bound of the ${levelText(level)} interval is below, fails when the lower bound is above.`
}

function protocol({ protocol }: RunResult): string {
  const { mode, block, contextLength, prefixLength, advance, windows, scoredTokens, join, bos, bosApplied, calibration, queries, fingerprint } = protocol
  const facts = [
    `${mode} ${prefixLength} → ${contextLength}`,
    ...(block === null ? [] : [`blocks of ${block}`]),
    ...(queries === undefined ? [] : [`queries rounded to ${queries}`]),
    `advance ${advance}`,
    `${count(windows)} windows`,
    `${count(scoredTokens)} scored tokens`,
    `join ${join}`,
    `BOS ${bos} (${bosApplied ? 'applied' : 'not applied'})`,
    ...(calibration ? [`calibrated on ${count(calibration.windows)} windows of ${plain(calibration.name)}, SHA-256 ${code(calibration.textSha256.slice(0, 16))}`] : []),
    `fingerprint ${code(fingerprint)}`,
  ]
  return `**Protocol**: ${facts.join(', ')}.`
}

/** Text in which nothing is markup, on one line; what is markup only in some places (an underscore within a word is none) stays as it is there. */
function plain(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\\`*|]|\](?=[([:])|<(?=[a-z/!?])|(?<!\w)_|_(?!\w)/gi, '\\$&')
}

/** Code in a line, also within a table, where a bar would end the cell. */
function code(text: string): string {
  const fence = '`'.repeat(longestRun(text) + 1)
  const inner = text.replace(/\s+/g, ' ').replaceAll('|', '\\|')
  return fence.length > 1 ? `${fence} ${inner} ${fence}` : `${fence}${inner}${fence}`
}

function fenced(text: string): string {
  const fence = '`'.repeat(Math.max(3, longestRun(text) + 1))
  return `${fence}sh\n${text}\n${fence}`
}

function longestRun(text: string): number {
  return Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length))
}
