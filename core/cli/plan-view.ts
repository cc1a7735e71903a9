import type { RunPlan } from '#core/contract/run.ts'
import { modeText } from '#core/reports/mode.ts'
import { bytes, count, duration, percent } from '#core/reports/numbers.ts'
import { facts } from './format.ts'

/** A plan for people: what would run, what it would cost, what it could tell. */
export function planText({ protocol, model, data, methods, rungEnds, cells, passes, scoredTokens, batch, threads, resolvableLnRatio, estimate }: RunPlan): string {
  return facts([
    ['model', `${model.name}${model.weights === null ? '' : ` ${model.weights}`}: ${model.layers} layers, ${model.kvHeads} KV heads of ${model.headDim}, ${model.kvDtype}`],
    ['text', `${data.name}: ${count(data.tokens)} tokens`],
    ...(protocol.calibration ? [['calibration', `${protocol.calibration.name}: ${count(protocol.calibration.windows)} windows, SHA-256 ${protocol.calibration.textSha256.slice(0, 16)}…`] as const] : []),
    ['protocol', `${modeText(protocol)}, ${count(protocol.windows)} windows, ${count(scoredTokens)} scored tokens a method`],
    ['methods', `${methods.length}: ${methods.join(', ')}`],
    ...(rungEnds.length === 0 ? [] : [['racing', `decides after ${rungEnds.map(count).join(', ')} windows; all below are the most it can be`] as const]),
    ['cells', `${count(cells)} in ${count(passes)} passes, ${batch === 1 ? 'one row' : `up to ${batch} rows`} each, ${threads} threads`],
    ['memory', `about ${bytes(estimate.memoryBytes)}, the model included`],
    ['disk', `about ${bytes(estimate.diskBytes)}`],
    ['time', estimate.seconds === null ? 'unknown' : `about ${duration(estimate.seconds)}`],
    ['resolves', `a change of perplexity of about ${percent(resolvableLnRatio)} (an estimate for methods of 8-bit class)`],
  ])
}
