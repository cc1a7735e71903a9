import type { LabErrorJson } from '#core/contract/errors.ts'
import { isUnderWay } from '#core/contract/run.ts'
import type { Controls, Interval, LiveTrial, RunResult, RunSnapshot, RunStatus, Trial } from '#core/contract/run.ts'
import type { GateSpec } from '#core/contract/spec.ts'
import { about, count, percentUp, small } from './numbers.ts'

/** Most methods that are called by name in one place of a sentence. */
const MOST_NAMES = 3

/** What a run says, in one to four plain sentences: whether it may be believed, what passes at which size, what fails, what is open. */
export function conclusion(result: RunResult): string {
  const judged = result.trials.filter(({ status, quality, verdict }) => (status === 'done' || status === 'dropped') && quality && verdict)
  const failed = result.trials.filter(({ status }) => status === 'failed')
  if (result.status !== 'done' && judged.length === 0) return stopped(result)
  const sentences = result.status === 'done' ? [] : [stopped(result)]
  if (judged.length === 0) return failed.length > 0 ? `No method could be measured: ${failed[0]?.reason?.message ?? 'the reason is not known'}.` : 'There is nothing to conclude: no method was measured.'
  const distrust = brokenControl(result.controls)
  if (distrust !== null) sentences.push(distrust)
  else if (judged.every(({ verdict }) => verdict?.rules.length === 0)) sentences.push('No gate was set: the table says what each method costs, nothing passes or fails.')
  else sentences.push(verdicts(judged), ...open(judged))
  if (failed.length > 0) sentences.push(`${namesOf(failed)} could not be measured${failed.length === 1 ? ` (${failed[0]?.reason?.code ?? 'unknown'})` : ''}.`)
  return [...sentences, ...racing(result)].join(' ')
}

/** Of the lossy methods that pass the gate the one with the fewest bits a value; null where none does or verdicts are withheld. */
export function smallestPassing({ trials }: RunResult): { method: string; bitsPerValue: number; ratio: number } | null {
  const [smallest] = bySize(withOutcome(trials, 'pass')).filter(isLossy)
  return smallest?.bytes ? { method: smallest.method, bitsPerValue: smallest.bytes.bitsPerValue, ratio: smallest.bytes.ratio } : null
}

/** What a run under way lets one expect, in one to three plain sentences: nothing in it is a verdict. Of a run with a result it is the conclusion. */
export function liveConclusion(snapshot: RunSnapshot): string {
  const { status, result, reason, live, spec, plan } = snapshot
  if (result) return conclusion(result)
  const stands = status === 'running' ? [] : [`${stateText(status, reason)}.`]
  if (status === 'queued' || !isUnderWay(status)) return stands.join(' ')
  if (!live.some(({ lnRatio }) => lnRatio)) return [...stands, 'Too little is measured so far to say anything.'].join(' ')
  const tokens = Math.max(0, ...live.map((trial) => trial.tokens))
  const soFar = `So far, at ${count(tokens)}${plan ? ` of ${count(plan.scoredTokens)}` : ''} tokens a method`
  if (Object.values(spec.gate).every((limit) => limit === null)) return [...stands, `${soFar}: no gate was set, the table says what each method costs.`].join(' ')
  const tail = spec.gate.klP99 === null ? [] : ['The limit on the 99th percentile of KL is looked at when all is measured.']
  return [...stands, `${soFar}: ${tendencies(snapshot).join('; ')}.`, ...tail].join(' ')
}

/** What looks safe, what looks lost, and what the intervals do not tell yet. */
function tendencies({ live, spec, baseline }: RunSnapshot): string[] {
  const measured = live.filter(({ status }) => status !== 'failed')
  const on = (side: Side): LiveTrial[] => measured.filter((trial) => sideOf(trial, spec.gate, baseline?.perplexity ?? null) === side)
  const [below, above, failed] = [on('below'), on('above'), live.filter(({ status }) => status === 'failed')]
  const between = on('between').filter(({ status }) => status !== 'dropped')
  const dropped = live.filter(({ status }) => status === 'dropped')
  const verb = (trials: readonly LiveTrial[]): string => (trials.length === 1 ? 'looks' : 'look')
  return [
    below.length > 0 ? `${namesOf(below)} ${verb(below)} safe (upper bounds below the limits)` : 'nothing looks safe yet',
    ...(above.length > 0 ? [`${namesOf(above)} ${verb(above)} over a limit (lower bound above it)`] : []),
    ...(between.length > 0 ? [`${plural(between.length, 'method')} still open`] : []),
    ...(dropped.length > 0 ? [`the race stopped ${namesOf(dropped)}`] : []),
    ...(failed.length > 0 ? [`${namesOf(failed)} could not be measured`] : []),
  ]
}

type Side = 'below' | 'above' | 'between'

/** On which side of the limits that can be seen while the run goes on all of a method's intervals lie. */
function sideOf({ lnRatio, klMean }: LiveTrial, gate: GateSpec, perplexity: number | null): Side {
  const delta = lnRatio && perplexity !== null ? { low: perplexity * Math.expm1(lnRatio.low), high: perplexity * Math.expm1(lnRatio.high) } : null
  const pairs: [Pick<Interval, 'low' | 'high'> | null, number | null][] = [[lnRatio, gate.lnRatio], [klMean, gate.klMean], [delta, gate.deltaPerplexity]]
  const limited = pairs.flatMap(([interval, limit]) => (limit === null ? [] : [{ interval, limit }]))
  if (limited.some(({ interval, limit }) => interval && interval.low > limit)) return 'above'
  return limited.length > 0 && limited.every(({ interval, limit }) => interval && interval.high < limit) ? 'below' : 'between'
}

/** What racing saved. */
function racing({ racing, trials, timing, status }: RunResult): string[] {
  if (!racing || status !== 'done') return []
  const { dropped, cells, skippedCells, secondsSaved } = racing
  if (dropped === 0) return ['Racing stopped no method: none was sure to be dominated and judged alike.']
  const share = Math.round((100 * secondsSaved) / (timing.totalSeconds + secondsSaved))
  return [
    `Racing: ${dropped} of ${plural(trials.length, 'method')} stopped early, ${count(skippedCells)} of ${count(cells)} cells skipped, about ${share} % of the time saved (an estimate); stopped methods carry the windows they were measured on.`,
  ]
}

function stopped({ status, reason, trials, protocol }: RunResult): string {
  const tokens = Math.max(0, ...trials.map(({ quality }) => quality?.tokens ?? 0))
  const how = stateText(status, reason)
  if (tokens === 0) return `${how} before any method had two windows: there is nothing to conclude.`
  if (tokens >= protocol.scoredTokens) return `${how} after everything was scored.`
  return `${how} at ${count(tokens)} of ${count(protocol.scoredTokens)} tokens a method: what is shown is measured, but there are no verdicts.`
}

function stateText(status: RunStatus, reason: LabErrorJson | null): string {
  return {
    queued: 'The run waits for its turn',
    running: 'The run is not over',
    paused: 'The run is paused',
    cancelling: 'The run is being stopped',
    done: 'The run is done',
    cancelled: 'The run was cancelled',
    interrupted: 'The run was interrupted',
    failed: `The run failed${reason ? ` (${reason.code}: ${reason.message})` : ''}`,
  }[status]
}

/** Why no verdict can be given, or null. */
function brokenControl(controls: Controls | null): string | null {
  if (controls === null) return 'No verdicts: the controls did not run, so nothing says that this run measures soundly.'
  const { identity, aa, wrongCache } = controls
  if (!identity.passed) {
    const seen = [identity.equalBits ? '' : 'other bits', identity.klMax === 0 ? '' : `a KL of up to ${small(identity.klMax)} nats`, identity.flips === 0 ? '' : plural(identity.flips, 'flip')]
    return `No verdicts: the identity control failed. The uncompressed cache came back from its own file with ${listed(seen.filter((part) => part !== ''))}, so not only the methods change predictions.`
  }
  if (!aa.passed) return `No verdicts: the A/A control failed. The reference scored twice differs from itself by a mean KL of ${small(aa.klMean)} nats, too much to tell methods apart.`
  if (wrongCache.passed) return null
  const { klMean, low, needed } = wrongCache
  return `No verdicts: the wrong-cache control failed. Even another window's cache changes predictions by a mean KL of only ${small(klMean)} nats (lower bound ${small(low)}, needed ${small(needed)}), so this run cannot tell methods apart.`
}

function verdicts(judged: readonly Trial[]): string {
  const passing = bySize(withOutcome(judged, 'pass'))
  const lossy = passing.filter(isLossy)
  const smallest = lossy[0]
  const free = lossy.find(({ quality }) => quality && quality.lnRatio.low <= 0 && quality.lnRatio.high >= 0)
  const failing = withOutcome(judged, 'fail')
  const parts: string[] = []
  if (free && free === smallest) {
    parts.push(`${free.method} is the smallest that passes the gate (${size(free)}) and costs no perplexity that could be measured here (${within(free)})`)
  } else {
    if (free) parts.push(`${free.method} costs no perplexity that could be measured here (${within(free)})`)
    if (smallest) parts.push(`${smallest.method} is the smallest that passes the gate (${size(smallest)})`)
    else if (passing.length > 0) parts.push(`Only ${namesOf(passing)} ${passing.length === 1 ? 'passes' : 'pass'} the gate, by changing nothing`)
    else parts.push(failing.length === judged.length ? 'No method passes the gate' : 'No method passes the gate yet')
  }
  if (failing.length > 0) parts.push(failing.length === judged.length && failing.length > 1 ? `all ${failing.length} fail` : `${namesOf(failing)} ${failing.length === 1 ? 'fails' : 'fail'}`)
  return `${parts.join('; ')}.`
}

/** The methods on which the gate has not decided, and how many tokens more would let those pass that still can. */
function open(judged: readonly Trial[]): string[] {
  const undecided = withOutcome(judged, 'inconclusive')
  if (undecided.length === 0) return []
  const needs = undecided.map(({ verdict }) => {
    const more = (verdict?.rules ?? []).filter(({ outcome }) => outcome === 'inconclusive').map(({ moreTokens }) => moreTokens)
    return more.some((tokens) => tokens === null) ? null : Math.max(...more.map((tokens) => tokens ?? 0))
  })
  const known = needs.filter((tokens) => tokens !== null)
  const one = undecided.length === 1
  const subject = `${namesOf(undecided)} ${one ? 'is' : 'are'} open`
  if (known.length === 0) return [`${subject}, measured at or over a limit: more tokens are likelier to fail ${one ? 'it' : 'them'}.`]
  const more = `about ${about(Math.max(...known))} more tokens`
  if (known.length === undecided.length) return [`${subject}: ${more} would let ${one ? 'it' : 'them'} pass if what was measured holds.`]
  return [`${subject}: ${more} would let ${known.length === 1 ? 'the one' : `the ${known.length}`} measured under the limits pass, if that holds.`]
}

function withOutcome(trials: readonly Trial[], outcome: string): Trial[] {
  return trials.filter(({ verdict }) => verdict?.outcome === outcome)
}

/** Smallest first. */
function bySize(trials: readonly Trial[]): Trial[] {
  const bits = ({ bytes }: Trial): number => bytes?.bitsPerValue ?? Infinity
  return [...trials].sort((a, b) => bits(a) - bits(b))
}

/** Whether it changed any prediction at all. */
function isLossy({ quality }: Trial): boolean {
  return quality?.kl.max !== 0
}

function size({ bytes }: Trial): string {
  return bytes ? `${bytes.bitsPerValue.toFixed(1)} bits a value, ${bytes.ratio.toFixed(1)}x` : 'size not measured'
}

function within({ quality }: Trial): string {
  return quality ? `Δ ln PPL within ±${percentUp(Math.max(-quality.lnRatio.low, quality.lnRatio.high))}` : ''
}

/** Methods by name where they are few, else their number. */
function namesOf(trials: readonly { method: string }[]): string {
  return trials.length <= MOST_NAMES ? listed(trials.map(({ method }) => method)) : plural(trials.length, 'method')
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`
}
