import type { LabErrorJson } from '#core/contract/errors.ts'
import type { Controls, MethodBytes, MethodSpeed, Racing, RunPlan, RunResult, RunStatus, SpeedQuantiles, TensorError, Trial, Verdict } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { kernels } from '#core/kernels/index.ts'
import { f16Bytes, type KvShape } from '#core/kv/cache.ts'
import { isLossy, readMethod } from '#core/kv/methods.ts'
import { Bootstrap } from '#core/statistics/bootstrap.ts'
import { clusterMean, windowSums } from '#core/statistics/clusters.ts'
import { judge, outcomeOf } from '#core/statistics/gate.ts'
import { paretoFront, type Place } from '#core/statistics/pareto.ts'
import { quality } from '#core/statistics/quality.ts'
import { engineFacts, machineFacts } from './facts.ts'
import { Race, type Drop } from './race.ts'
import type { MethodTally, Tally } from './tally.ts'

/** Resamples of the bootstrap of the final table. */
const RESAMPLES = 10_000
/** A/A floor above which the arithmetic itself is too noisy to trust: ten times the largest that providers are reported to differ by. */
const MAX_FLOOR_KL = 1e-4
/** The wrong cache must do at least this many times the gate's mean-KL limit, or passing the gate would say little. */
const ASSAY_OVER_GATE = 10
/** … and stand this far above the A/A floor, where the gate has no KL limit at least this many nats. */
const ASSAY_OVER_FLOOR = 100
const ASSAY_LEAST_KL = 0.01

export type RunFacts = { readonly id: string; readonly createdAt: string; readonly spec: RunSpec; readonly plan: RunPlan }

/** Tokens of a window whose cache a method is given: the prefix, or all of it where it is compressed while it is read. */
export function cacheTokens({ mode, prefixLength, contextLength }: Pick<RunSpec, 'mode' | 'prefixLength' | 'contextLength'>): number {
  return mode === 'handoff' ? prefixLength : contextLength
}

/** Shape of the cache that a method is given in this run. */
export function shapeOf(plan: RunPlan): KvShape {
  const { layers, kvHeads, headDim, kvDtype } = plan.model
  return { layers, kvHeads, headDim, tokens: cacheTokens(plan.protocol), dtype: kvDtype }
}

/** The run's result from all that its journal holds. Deterministic: the same journal gives the same table. */
export function resultOf(facts: RunFacts, tally: Tally, status: RunStatus, reason: LabErrorJson | null): RunResult {
  const { id, createdAt, spec, plan } = facts
  const bootstraps = new Map<number, Bootstrap>()
  const bootstrap = (clusters: number): Bootstrap => {
    const known = bootstraps.get(clusters) ?? new Bootstrap(clusters, { resamples: RESAMPLES, seed: spec.seed })
    bootstraps.set(clusters, known)
    return known
  }
  const controls = controlsOf(tally, spec, bootstrap)
  const withheld = withheldBy(controls)
  const race = new Race(spec, plan, tally)
  const context: TrialContext = { tally, spec, plan, controls, withheld, bootstrap, drops: race.drops(), over: status === 'done' }
  const trials = withFront(plan.methods.map((method) => trialOf(method, context)), context)
  const { inference, encode, decode, score, write, total } = tally.seconds
  return {
    schema: 'kvlab.run/1',
    id,
    createdAt,
    status,
    reason,
    protocol: plan.protocol,
    model: plan.model,
    data: plan.data,
    engine: engineFacts(plan.threads, plan.batch),
    machine: machineFacts(),
    gate: spec.gate,
    intervals: { level: spec.level, resamples: RESAMPLES, seed: spec.seed },
    baseline: baselineOf(tally),
    controls,
    trials,
    racing: racingOf(race, context),
    warnings: [...plan.warnings, ...controlWarnings(controls)],
    timing: {
      totalSeconds: total,
      inferenceSeconds: inference,
      encodeSeconds: encode,
      decodeSeconds: decode,
      scoreSeconds: score,
      writeSeconds: write,
      otherSeconds: Math.max(0, total - inference - encode - decode - score - write),
      controlSeconds: tally.controlSeconds,
    },
    prefill: tally.prefill.seconds > 0 ? { tokensPerSecond: tally.prefill.tokens / tally.prefill.seconds } : null,
  }
}

const EMPTY_TRIAL: Omit<Trial, 'method' | 'status'> = { reason: null, quality: null, bytes: null, speed: null, tensors: [], verdict: null, front: null, dropped: null }

/** What all trials of a run share. `over`: the run came to its end, without which no front is known and nothing that was dropped is judged. */
type TrialContext = {
  readonly tally: Tally
  readonly spec: RunSpec
  readonly plan: RunPlan
  readonly controls: Controls | null
  readonly withheld: string | null
  readonly bootstrap: (clusters: number) => Bootstrap
  readonly drops: ReadonlyMap<string, Drop>
  readonly over: boolean
}

function trialOf(method: string, { tally, spec, plan, controls, withheld, bootstrap, drops, over }: TrialContext): Trial {
  const measured = tally.methods.get(method)
  if (!measured) return { ...EMPTY_TRIAL, method, status: 'partial' }
  if (measured.failure) return { ...EMPTY_TRIAL, method, status: 'failed', reason: measured.failure.reason }
  const windows = measured.scores.windows()
  const complete = windows.length === plan.protocol.windows
  if (complete && isLossy(readMethod(method)) && measured.scores.kl.every((kl) => kl === 0)) {
    const message = `${method} changed no prediction at all: a lossy method whose KL is exactly 0 was never engaged; check its keep rules against the prefix`
    return { ...EMPTY_TRIAL, method, status: 'failed', reason: { code: 'NEVER_ENGAGED', message } }
  }
  const shape = shapeOf(plan)
  const drop = drops.get(method)
  const status = complete ? 'done' : drop ? 'dropped' : 'partial'
  const common = { method, status, reason: null, front: null, dropped: drop ? { afterWindows: drop.afterWindows, dominatedBy: drop.dominatedBy } : null } as const
  if (windows.length === 0) return { ...EMPTY_TRIAL, ...common }
  const bytes = bytesOf(measured, shape, windows.length)
  const rest = { ...common, bytes, speed: speedOf(measured, shape), tensors: tensorsOf(measured) }
  if (windows.length < 2) return { ...EMPTY_TRIAL, ...rest }
  const samples = measured.scores.samples(tally.reference.nll)
  const measuredQuality = quality(samples, { level: spec.level, bootstrap: bootstrap(windows.length), wrongCacheKl: controls?.wrongCache.klMean ?? null })
  const rules = judge(measuredQuality, spec.gate, samples.tokensPerWindow)
  // What was settled when it was dropped is the outcome of all windows; its rules are as measured.
  const outcome = withheld === null ? (drop?.outcome ?? outcomeOf(rules)) : null
  const verdict: Verdict | null = complete || (drop && over) ? { outcome, rules, withheld } : null
  return { ...rest, quality: measuredQuality, verdict }
}

/** The trials with their place on the Pareto front, where the run is over and its controls let methods be told apart. What was dropped is off it. */
function withFront(trials: readonly Trial[], { tally, withheld, over }: TrialContext): Trial[] {
  if (!over || withheld !== null) return [...trials]
  const done = trials.filter(({ status }) => status === 'done')
  const front = paretoFront(done.map(({ method, quality }): Place => ({ bytes: sum(tally.methods.get(method)?.streamBytes ?? []), kl: quality?.kl.mean ?? Infinity })))
  return trials.map((trial) => {
    const at = done.indexOf(trial)
    if (at !== -1) return { ...trial, front: front[at] ?? null }
    // Who was sure to dominate it may have failed since.
    const better = trials.find(({ method }) => method === trial.dropped?.dominatedBy)
    return better && better.status !== 'failed' ? { ...trial, front: false } : trial
  })
}

/** What racing did, null where it decided nothing because it was not asked for or had too few windows. */
function racingOf({ ends }: Race, { tally, spec, plan, drops }: TrialContext): Racing | null {
  if (ends.length === 0) return null
  const skipped = [...drops.values()].map(({ method, afterWindows }) => ({ cells: plan.protocol.windows - afterWindows, secondsPerCell: (tally.methods.get(method)?.seconds ?? 0) / afterWindows }))
  return {
    rungs: spec.rungs,
    ends: [...ends],
    dropped: drops.size,
    cells: plan.cells,
    skippedCells: sum(skipped.map(({ cells }) => cells)),
    secondsSaved: sum(skipped.map(({ cells, secondsPerCell }) => cells * secondsPerCell)),
  }
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}

function bytesOf(measured: MethodTally, shape: KvShape, windows: number): MethodBytes {
  const original = f16Bytes(shape) * windows
  return {
    original,
    originalOwn: shape.dtype === 'F32' ? 2 * original : original,
    encoded: measured.encoded,
    ratio: original / measured.encoded,
    bitsPerValue: (16 * measured.encoded) / original,
    header: measured.header,
    streams: Object.fromEntries(measured.streams),
  }
}

function speedOf(measured: MethodTally, shape: KvShape): MethodSpeed {
  const quantiles = (seconds: readonly number[]): SpeedQuantiles => {
    const sorted = seconds.map((value) => f16Bytes(shape) / Math.max(value, Number.EPSILON)).sort((a, b) => b - a)
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
    return { p50: at(0.5), p95: at(0.95), unit: 'bytes of F16 per second' }
  }
  return { encode: quantiles(measured.encodeSeconds), decode: quantiles(measured.decodeSeconds), implementation: kernels.implementation, threads: 1 }
}

function tensorsOf(measured: MethodTally): TensorError[] {
  return measured.errors.map((sums, i): TensorError => ({ layer: i >> 1, side: i % 2 === 0 ? 'key' : 'value', ...sums.metrics() }))
}

function baselineOf(tally: Tally): RunResult['baseline'] {
  const { nllRef, tokensPerWindow } = tally.reference.samples(tally.reference.nll)
  const sums = windowSums(nllRef, tokensPerWindow)
  // One window says nothing of the error.
  if (sums.length < 2) return null
  const { mean, standardError } = clusterMean(sums, tokensPerWindow)
  const perplexity = Math.exp(mean)
  return { nll: mean * nllRef.length, perplexity, standardError: perplexity * standardError, tokens: nllRef.length }
}

function controlsOf(tally: Tally, spec: RunSpec, bootstrap: (clusters: number) => Bootstrap): Controls | null {
  const [identity, aa, wrong] = [tally.controls.get('identity'), tally.controls.get('aa'), tally.controls.get('wrongCache')]
  if (!identity || !aa || !wrong) return null
  const windows = [identity, aa, wrong].map(({ scores }) => scores.windows().length)
  const [identityWindows = 0, aaWindows = 0, wrongWindows = 0] = windows
  if (Math.min(...windows) < 2) return null
  const identitySamples = identity.scores.samples(tally.reference.nll)
  const flips = countFlips(identitySamples.agree)
  const identityKl = greatest(identitySamples.kl)
  const aaSamples = aa.scores.samples(tally.reference.nll)
  const aaMean = aaSamples.kl.reduce((sum, kl) => sum + kl, 0) / aaSamples.kl.length
  const wrongSamples = wrong.scores.samples(tally.reference.nll)
  const wrongQuality = quality(wrongSamples, { level: spec.level, bootstrap: bootstrap(wrongWindows), wrongCacheKl: null })
  const needed = Math.max(spec.gate.klMean === null ? ASSAY_LEAST_KL : ASSAY_OVER_GATE * spec.gate.klMean, ASSAY_OVER_FLOOR * aaMean)
  return {
    identity: { windows: identityWindows, klMax: identityKl, flips, equalBits: identity.equalBits, passed: identityKl === 0 && flips === 0 && identity.equalBits },
    aa: { windows: aaWindows, klMean: aaMean, klMax: greatest(aaSamples.kl), batch: aa.batch, passed: aaMean <= MAX_FLOOR_KL },
    wrongCache: { windows: wrongWindows, klMean: wrongQuality.kl.mean, low: wrongQuality.kl.low, needed, passed: wrongQuality.kl.low > needed },
  }
}

function countFlips(agree: Uint8Array): number {
  return agree.reduce((flips, same) => flips + 1 - same, 0)
}

function greatest(values: Float64Array): number {
  return values.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
}

/** The control whose failure takes all verdicts away. */
function withheldBy(controls: Controls | null): string | null {
  if (controls === null) return 'controls did not run'
  if (!controls.identity.passed) return 'identity'
  if (!controls.aa.passed) return 'A/A'
  return controls.wrongCache.passed ? null : 'wrong cache'
}

function controlWarnings(controls: Controls | null): string[] {
  if (controls === null || controls.wrongCache.passed) return []
  const { klMean, low, needed } = controls.wrongCache
  return [
    `this run cannot tell methods apart: even a wrong cache changes the predictions by a mean KL of only ${klMean.toPrecision(2)} nats (lower bound ${low.toPrecision(2)}, needed ${needed.toPrecision(2)}); use a shorter context, a text with long-range ties or a stronger model`,
  ]
}
