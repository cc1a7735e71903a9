import type { LabErrorJson } from '#core/contract/errors.ts'
import type { Controls, LiveTrial, MethodBytes, MethodSpeed, RunPlan, RunResult, RunSpec, RunStatus, SpeedQuantiles, TensorError, Trial, Verdict } from '#core/contract/run.ts'
import { kernels } from '#core/kernels/index.ts'
import { f16Bytes, type KvShape } from '#core/kv/cache.ts'
import { isLossy, readMethod } from '#core/kv/methods.ts'
import { Bootstrap } from '#core/statistics/bootstrap.ts'
import { clusterMean, windowSums } from '#core/statistics/clusters.ts'
import { judge, outcomeOf } from '#core/statistics/gate.ts'
import { liveInterval } from '#core/statistics/live.ts'
import { quality } from '#core/statistics/quality.ts'
import { engineFacts, machineFacts } from './facts.ts'
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

function shapeOf(plan: RunPlan): KvShape {
  const { layers, kvHeads, headDim, kvDtype } = plan.model
  return { layers, kvHeads, headDim, tokens: plan.protocol.prefixLength, dtype: kvDtype }
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
  const trials = plan.methods.map((method) => trialOf(method, tally, spec, plan, controls, withheld, bootstrap))
  const { inference, encode, decode, score, total } = tally.seconds
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
    warnings: [...plan.warnings, ...controlWarnings(controls)],
    timing: {
      totalSeconds: total,
      inferenceSeconds: inference,
      encodeSeconds: encode,
      decodeSeconds: decode,
      scoreSeconds: score,
      otherSeconds: Math.max(0, total - inference - encode - decode - score),
    },
  }
}

const EMPTY_TRIAL: Omit<Trial, 'method' | 'status'> = { reason: null, quality: null, bytes: null, speed: null, tensors: [], verdict: null }

function trialOf(method: string, tally: Tally, spec: RunSpec, plan: RunPlan, controls: Controls | null, withheld: string | null, bootstrap: (clusters: number) => Bootstrap): Trial {
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
  const common = { method, status: complete ? ('done' as const) : ('partial' as const), reason: null }
  if (windows.length === 0) return { ...EMPTY_TRIAL, ...common }
  const bytes = bytesOf(measured, shape, windows.length)
  const rest = { ...common, bytes, speed: speedOf(measured, shape), tensors: tensorsOf(measured) }
  if (windows.length < 2) return { ...EMPTY_TRIAL, ...rest }
  const samples = measured.scores.samples(tally.reference.nll)
  const measuredQuality = quality(samples, { level: spec.level, bootstrap: bootstrap(windows.length), wrongCacheKl: controls?.wrongCache.klMean ?? null })
  return { ...rest, quality: measuredQuality, verdict: complete ? verdictOf(measuredQuality, spec, samples.tokensPerWindow, withheld) : null }
}

function verdictOf(measured: NonNullable<Trial['quality']>, spec: RunSpec, tokensPerWindow: number, withheld: string | null): Verdict {
  const rules = judge(measured, spec.gate, tokensPerWindow)
  return { outcome: withheld === null ? outcomeOf(rules) : null, rules, withheld }
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
  const windows = wrong.scores.windows()
  if (windows.length < 2 || identity.scores.windows().length < 2 || aa.scores.windows().length < 2) return null
  const identitySamples = identity.scores.samples(tally.reference.nll)
  const flips = countFlips(identitySamples.agree)
  const identityKl = greatest(identitySamples.kl)
  const aaSamples = aa.scores.samples(tally.reference.nll)
  const aaMean = aaSamples.kl.reduce((sum, kl) => sum + kl, 0) / aaSamples.kl.length
  const wrongSamples = wrong.scores.samples(tally.reference.nll)
  const wrongQuality = quality(wrongSamples, { level: spec.level, bootstrap: bootstrap(windows.length), wrongCacheKl: null })
  const needed = Math.max(spec.gate.klMean === null ? ASSAY_LEAST_KL : ASSAY_OVER_GATE * spec.gate.klMean, ASSAY_OVER_FLOOR * aaMean)
  return {
    windows: windows.length,
    identity: { klMax: identityKl, flips, equalBits: identity.equalBits, passed: identityKl === 0 && flips === 0 && identity.equalBits },
    aa: { klMean: aaMean, klMax: greatest(aaSamples.kl), batch: aa.batch, passed: aaMean <= MAX_FLOOR_KL },
    wrongCache: { klMean: wrongQuality.kl.mean, low: wrongQuality.kl.low, needed, passed: wrongQuality.kl.low > needed },
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

/** The state of every method while the run goes on, with cluster-robust normal intervals. */
export function liveTrials(tally: Tally, plan: RunPlan, level: number): LiveTrial[] {
  const shape = shapeOf(plan)
  return plan.methods.map((method): LiveTrial => {
    const measured = tally.methods.get(method)
    const windows = measured?.scores.windows() ?? []
    if (!measured || windows.length === 0 || measured.failure) {
      const reason = measured?.failure?.reason ?? null
      return { method, status: reason ? 'failed' : 'waiting', reason, tokens: 0, lnRatio: null, klMean: null, flipRate: null, bitsPerValue: null }
    }
    const { tokensPerWindow, nllRef, nll, kl, agree } = measured.scores.samples(tally.reference.nll)
    const interval = (series: Float64Array): LiveTrial['klMean'] => liveInterval(windowSums(series, tokensPerWindow), tokensPerWindow, level)
    return {
      method,
      status: 'running',
      reason: null,
      tokens: windows.length * tokensPerWindow,
      lnRatio: interval(nll.map((loss, i) => loss - (nllRef[i] ?? 0))),
      klMean: interval(kl),
      flipRate: countFlips(agree) / agree.length,
      bitsPerValue: (16 * measured.encoded) / (f16Bytes(shape) * windows.length),
    }
  })
}
