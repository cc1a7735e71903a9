import type { Controls, RunResult, Trial } from '#core/contract/run.ts'
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
  const how = {
    failed: `The run failed${reason ? ` (${reason.code}: ${reason.message})` : ''}`,
    cancelled: 'The run was cancelled',
    interrupted: 'The run was interrupted',
    running: 'The run is not over',
    done: 'The run is done',
  }[status]
  if (tokens === 0) return `${how} before any method had two windows: there is nothing to conclude.`
  if (tokens >= protocol.scoredTokens) return `${how} after everything was scored.`
  return `${how} at ${count(tokens)} of ${count(protocol.scoredTokens)} tokens a method: what is shown is measured, but there are no verdicts.`
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
  const passing = withOutcome(judged, 'pass').sort((a, b) => bitsOf(a) - bitsOf(b))
  const lossy = passing.filter(({ quality }) => quality?.kl.max !== 0)
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

function bitsOf({ bytes }: Trial): number {
  return bytes?.bitsPerValue ?? Infinity
}

function size({ bytes }: Trial): string {
  return bytes ? `${bytes.bitsPerValue.toFixed(1)} bits a value, ${bytes.ratio.toFixed(1)}x` : 'size not measured'
}

function within({ quality }: Trial): string {
  return quality ? `Δ ln PPL within ±${percentUp(Math.max(-quality.lnRatio.low, quality.lnRatio.high))}` : ''
}

/** Methods by name where they are few, else their number. */
function namesOf(trials: readonly Trial[]): string {
  return trials.length <= MOST_NAMES ? listed(trials.map(({ method }) => method)) : plural(trials.length, 'method')
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`
}
