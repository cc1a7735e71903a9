import type { LabErrorJson } from './errors.ts'
import type { GateSpec, RunSpec } from './spec.ts'

/** Mean with the bounds of its two-sided interval at `level`; `standardError` is the cluster-robust one. */
export type Interval = { mean: number; low: number; high: number; standardError: number; level: number }
/** A rate with the same kind of interval. */
export type RateInterval = { rate: number; low: number; high: number }

export type DepthBucket = { from: number; to: number; tokens: number; klMean: number; lnRatio: number }

export type Quality = {
  tokens: number
  clusters: number
  perplexity: number
  lnRatio: Interval
  /** PPL_ref (ratio - 1), the interval carried over from lnRatio. */
  deltaPerplexity: Interval
  kl: Interval & { median: number; p90: number; p99: number; p999: number; max: number; topPercentShare: number; shareOfWrongCache: number | null }
  flips: RateInterval
  deltaP: { mean: number; rms: number }
  byDepth: DepthBucket[]
}

/** Sizes of one stream of one method, summed over windows. `entropyBound`: order-0 Shannon bound of the raw bytes. */
export type StreamBytes = { raw: number; coded: number; entropyBound: number }
export type MethodBytes = {
  /** The cache at F16. */
  original: number
  /** The cache at the model's own dtype. */
  originalOwn: number
  /** Whole KV files. */
  encoded: number
  ratio: number
  bitsPerValue: number
  header: number
  streams: Record<string, StreamBytes>
}

/** F16 bytes of cache handled per second, whole files, over windows. */
export type SpeedQuantiles = { p50: number; p95: number; unit: 'bytes of F16 per second' }
export type MethodSpeed = { encode: SpeedQuantiles; decode: SpeedQuantiles; implementation: string; threads: number }

/** Error of one layer of one side over all windows. `nrmse` is RMSE over the RMS of the original; null SNR means no error at all. */
export type TensorError = { layer: number; side: 'key' | 'value'; rmse: number; nrmse: number | null; snrDb: number | null; cosine: number | null; maxError: number }

export type GateRule = { metric: keyof GateSpec; limit: number; value: number; low: number | null; high: number | null; outcome: Outcome; moreTokens: number | null }
export type Outcome = 'pass' | 'fail' | 'inconclusive'
/** `withheld` names the control whose failure takes the verdict away; outcome is null then. */
export type Verdict = { outcome: Outcome | null; rules: GateRule[]; withheld: string | null }

/** `dropped`: the race stopped it; what it has is of the windows it was measured on, its verdict is the one that was settled. */
export type TrialStatus = 'done' | 'failed' | 'partial' | 'dropped'
export type Trial = {
  method: string
  status: TrialStatus
  reason: LabErrorJson | null
  quality: Quality | null
  bytes: MethodBytes | null
  speed: MethodSpeed | null
  tensors: TensorError[]
  verdict: Verdict | null
  /** Whether it is on the Pareto front of stream bytes against mean KL among all methods of the run; null where that is not known. */
  front: boolean | null
  /** Where it is `dropped`: after how many windows, and the method that was then sure to dominate it. */
  dropped: { afterWindows: number; dominatedBy: string } | null
}

/** Each with the `windows` it ran on. */
export type Controls = {
  /** `none` through the file and back: equal bits, KL exactly 0, no flips. */
  identity: { windows: number; klMax: number; flips: number; equalBits: boolean; passed: boolean }
  /** The reference scored again, in its own mode, with another batch size: the floor. */
  aa: { windows: number; klMean: number; klMax: number; batch: number; passed: boolean }
  /** Another window's prefix injected, in every mode by a pass as in handoff: how much this model on this text reads its cache at all. `needed`: the mean KL it must exceed for verdicts. */
  wrongCache: { windows: number; klMean: number; low: number; needed: number; passed: boolean }
}

export type Protocol = {
  mode: RunSpec['mode']
  contextLength: number
  prefixLength: number
  block: number | null
  advance: number
  bos: RunSpec['bos']
  bosApplied: boolean
  join: RunSpec['join']
  windows: number
  scoredTokens: number
  /** The text that methods with `:cal` learned from, where there are such methods. */
  calibration?: CalibrationFacts
  /** How queries were rounded, where they were. */
  queries?: RunSpec['queries']
  /** SHA-256 of the canonical JSON of all fields above but `windows` and `scoredTokens`, and of the text's token ids. */
  fingerprint: string
}

/** A calibration text and how many windows of `contextLength` tokens of it were learned from; `tokenIdsSha256` is that of all its tokens. */
export type CalibrationFacts = { name: string; column?: string; join: RunSpec['join']; textSha256: string; tokenIdsSha256: string; windows: number }

export type ModelFacts = {
  name: string
  folder: string
  revision: string | null
  files: { path: string; sha256: string; bytes: number }[]
  weights: string | null
  kvDtype: 'F32' | 'F16'
  layers: number
  kvHeads: number
  headDim: number
  vocab: number
  rope: { theta: number | null; scaling: string | null }
  tokenizerSha256: string
}
/** The text that was scored; `column`: of a table, the one that was read. */
export type DataFacts = { name: string; column?: string; textSha256: string; tokenIdsSha256: string; tokens: number; documents: number }

/**
 * What racing in `rungs` did: `ends` are the windows after which it decided. A cell is one method on one window; the skipped ones are not measured and
 * enter no number. `secondsSaved` is an estimate: the skipped cells at the mean seconds of the same method's measured ones.
 */
export type Racing = { rungs: number; ends: number[]; dropped: number; cells: number; skippedCells: number; secondsSaved: number }

/** `queued`: another run works; `cancelling`: asked to stop, the pass in flight is not over. A folder on disk is never one of the first four. */
export type RunStatus = 'queued' | 'running' | 'paused' | 'cancelling' | 'done' | 'cancelled' | 'interrupted' | 'failed'
/** Whether an engine has the run in hand: it works on it, or will. Any other run is over, for now. */
export function isUnderWay(status: RunStatus): boolean {
  return status === 'queued' || status === 'running' || status === 'paused' || status === 'cancelling'
}

/** Whether the run ended before its end, and can go on. */
export function isStopped(status: RunStatus): boolean {
  return !isUnderWay(status) && status !== 'done'
}

/** `result.json`, schema kvlab.run/1. */
export type RunResult = {
  schema: 'kvlab.run/1'
  id: string
  createdAt: string
  status: RunStatus
  reason: LabErrorJson | null
  protocol: Protocol
  model: ModelFacts
  data: DataFacts
  engine: { version: string; commit: string | null; onnxruntime: string; node: string; provider: 'cpu'; threads: number; batch: number }
  machine: { cpu: string; cores: number; memoryBytes: number; os: string }
  gate: GateSpec
  /** How the intervals were made: two-sided level, bootstrap resamples and seed. */
  intervals: { level: number; resamples: number; seed: number }
  baseline: { nll: number; perplexity: number; standardError: number; tokens: number } | null
  controls: Controls | null
  trials: Trial[]
  racing: Racing | null
  warnings: string[]
  /** Wall seconds by what they were spent on; `controlSeconds` are part of the others: the controls' share of the passes they were in. */
  timing: { totalSeconds: number; inferenceSeconds: number; encodeSeconds: number; decodeSeconds: number; scoreSeconds: number; writeSeconds: number; otherSeconds: number; controlSeconds: number }
  /** How fast this machine computes a prefix anew, over all prefix passes of the run, one row each: what a loaded cache must beat. Null where none was timed. */
  prefill: { tokensPerSecond: number } | null
}

/** What a sweep will do, before it does it. Seconds and bytes are estimates and say so; `memoryBytes`: the engine process at its fullest, the model included. */
export type RunPlan = {
  protocol: Protocol
  model: ModelFacts
  data: DataFacts
  methods: string[]
  /** Windows after which racing decides; empty without it. With racing `cells`, `passes` and the estimates are upper bounds. */
  rungEnds: number[]
  cells: number
  passes: number
  scoredTokens: number
  batch: number
  threads: number
  /** Largest Δ ln PPL half-width expected for a method of 8-bit class, from a per-token deviation of 0.055 (llama.cpp's published errors); an estimate. */
  resolvableLnRatio: number
  estimate: { memoryBytes: number; diskBytes: number; seconds: number | null }
  warnings: string[]
}

/** A method's state while the sweep runs. Intervals are cluster-robust normal ones, exact bootstrap comes with the result. */
export type LiveTrial = { method: string; status: 'waiting' | 'running' | 'failed' | 'dropped'; reason: LabErrorJson | null; tokens: number; lnRatio: Interval | null; klMean: Interval | null; flipRate: number | null; bitsPerValue: number | null }

export type RunEvent =
  | { type: 'snapshot'; snapshot: RunSnapshot }
  | { type: 'planned'; at: string; plan: RunPlan }
  | { type: 'state'; status: 'queued' | 'running' | 'paused' | 'cancelling' }
  /** Absolute, so that it may be coalesced. */
  | { type: 'progress'; phase: string; done: number; total: number; secondsLeft: number | null; tokensPerSecond: number | null }
  | { type: 'live'; baseline: { perplexity: number; tokens: number } | null; trials: LiveTrial[] }
  /** Racing decided after `windows` windows: these methods stop. */
  | { type: 'rung'; at: string; windows: number; dropped: string[] }
  | { type: 'trial'; at: string; trial: Trial }
  | { type: 'warning'; at: string; text: string }
  | { type: 'finished'; at: string; status: RunStatus; reason: LabErrorJson | null; folder: string; result: RunResult | null }

/** All a watcher needs; built by `apply` from events, in the engine and in every client alike. `trials` are those that are over until there is a `result`, which has them all. */
export type RunSnapshot = {
  id: string
  folder: string
  createdAt: string
  spec: RunSpec
  status: RunStatus
  plan: RunPlan | null
  progress: { phase: string; done: number; total: number; secondsLeft: number | null; tokensPerSecond: number | null } | null
  baseline: { perplexity: number; tokens: number } | null
  live: LiveTrial[]
  rungs: { windows: number; dropped: string[] }[]
  trials: Trial[]
  warnings: string[]
  reason: LabErrorJson | null
  result: RunResult | null
}

/** The state before any event. */
export function emptySnapshot(of: Pick<RunSnapshot, 'id' | 'folder' | 'createdAt' | 'spec'>): RunSnapshot {
  return { ...of, status: 'running', plan: null, progress: null, baseline: null, live: [], rungs: [], trials: [], warnings: [], reason: null, result: null }
}

/** The pure fold: the snapshot after `event`. */
export function apply(snapshot: RunSnapshot, event: RunEvent): RunSnapshot {
  switch (event.type) {
    case 'snapshot':
      return event.snapshot
    case 'planned':
      return { ...snapshot, plan: event.plan }
    case 'state':
      return { ...snapshot, status: event.status }
    case 'progress': {
      const { type: _, ...progress } = event
      return { ...snapshot, progress }
    }
    case 'live':
      return { ...snapshot, baseline: event.baseline, live: event.trials }
    case 'rung':
      return { ...snapshot, rungs: [...snapshot.rungs, { windows: event.windows, dropped: event.dropped }] }
    case 'trial':
      return { ...snapshot, trials: [...snapshot.trials.filter((trial) => trial.method !== event.trial.method), event.trial] }
    case 'warning':
      return { ...snapshot, warnings: [...snapshot.warnings, event.text] }
    case 'finished':
      return { ...snapshot, status: event.status, reason: event.reason, result: event.result, trials: event.result ? [] : snapshot.trials }
  }
}
