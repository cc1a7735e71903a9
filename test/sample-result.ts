import type { Controls, GateRule, Interval, Outcome, Quality, RunPlan, RunResult, Trial } from '#core/contract/run.ts'

/** A hand-made result of a run of 10,230 tokens; `change` puts other fields in place. */
export function sampleResult(trials: Trial[], change: Partial<RunResult> = {}): RunResult {
  return {
    schema: 'kvlab.run/1',
    id: '2026-01-02-030405-kvlab-demo-abc123',
    createdAt: '2026-01-02T03:04:05.000Z',
    status: 'done',
    reason: null,
    protocol: {
      mode: 'handoff',
      contextLength: 64,
      prefixLength: 32,
      block: null,
      advance: 64,
      bos: 'model',
      bosApplied: true,
      join: 'file',
      windows: 330,
      scoredTokens: 10_230,
      fingerprint: 'f1'.repeat(32),
    },
    model: {
      name: 'kvlab-demo',
      folder: '/home/someone/kvlab/resources/models/kvlab-demo',
      revision: null,
      files: [{ path: 'config.json', sha256: '0', bytes: 1 }, { path: 'onnx/model.onnx', sha256: '1', bytes: 2 }],
      weights: null,
      kvDtype: 'F32',
      layers: 2,
      kvHeads: 2,
      headDim: 64,
      vocab: 1000,
      rope: { theta: 10_000, scaling: null },
      tokenizerSha256: '2',
    },
    data: { name: 'demo', textSha256: '3', tokenIdsSha256: '4', tokens: 30_000, documents: 1 },
    engine: { version: '0.1.0', commit: null, onnxruntime: '1.30.0', node: '20.19.0', provider: 'cpu', threads: 2, batch: 1 },
    machine: { cpu: 'a processor', cores: 2, memoryBytes: 8e9, os: 'linux' },
    gate: { lnRatio: 0.01, klMean: 0.01, klP99: 0.1, deltaPerplexity: null },
    intervals: { level: 0.95, resamples: 10_000, seed: 0 },
    baseline: { nll: 25_000, perplexity: 11.5162, standardError: 0.1234, tokens: 10_230 },
    controls: soundControls(),
    trials,
    racing: null,
    warnings: [],
    timing: { totalSeconds: 10, inferenceSeconds: 8, encodeSeconds: 1, decodeSeconds: 0.5, scoreSeconds: 0.4, writeSeconds: 0.02, otherSeconds: 0.08, controlSeconds: 0.6 },
    prefill: { tokensPerSecond: 4000 },
    ...change,
  }
}

/** The plan that such a result comes from. */
export function samplePlan(methods: string[], change: Partial<RunPlan> = {}): RunPlan {
  const { protocol, model, data } = sampleResult([])
  return {
    protocol,
    model,
    data,
    methods,
    rungEnds: [],
    cells: methods.length * protocol.windows,
    passes: 40,
    scoredTokens: protocol.scoredTokens,
    batch: 2,
    threads: 2,
    resolvableLnRatio: 0.01,
    estimate: { memoryBytes: 1, diskBytes: 1, seconds: 1 },
    warnings: [],
    ...change,
  }
}

export function soundControls(change: Partial<Controls> = {}): Controls {
  return {
    identity: { windows: 4, klMax: 0, flips: 0, equalBits: true, passed: true },
    aa: { windows: 4, klMean: 1.2e-12, klMax: 3e-11, batch: 2, passed: true },
    wrongCache: { windows: 16, klMean: 0.23, low: 0.2, needed: 0.1, passed: true },
    ...change,
  }
}

export type TrialFacts = {
  bits?: number
  lnRatio?: [low: number, mean: number, high: number]
  kl?: number
  outcome?: Outcome
  withheld?: string
  moreTokens?: number | null
  rules?: GateRule[]
}

/** A trial that ran to its end; by default it costs nothing that could be measured and passes. */
export function doneTrial(method: string, facts: TrialFacts = {}): Trial {
  const { bits = 8.5, lnRatio = [-0.0008, 0.0001, 0.001], kl = 1.234e-5, outcome = 'pass', withheld = null, moreTokens = null } = facts
  const encoded = Math.round((bits / 16) * 1_600_000)
  const rules: GateRule[] = facts.rules ?? [{ metric: 'lnRatio', limit: 0.01, value: lnRatio[1], low: lnRatio[0], high: lnRatio[2], outcome, moreTokens }]
  return {
    method,
    status: 'done',
    reason: null,
    quality: qualityOf(lnRatio, kl),
    bytes: { original: 1_600_000, originalOwn: 3_200_000, encoded, ratio: 1_600_000 / encoded, bitsPerValue: (16 * encoded) / 1_600_000, header: 500, streams: {} },
    speed: {
      encode: { p50: 1.4e9, p95: 1.1e9, unit: 'bytes of F16 per second' },
      decode: { p50: 8.54e8, p95: 7e8, unit: 'bytes of F16 per second' },
      implementation: 'TypeScript',
      threads: 1,
    },
    tensors: [],
    verdict: { outcome: withheld === null ? outcome : null, rules, withheld },
    front: null,
    dropped: null,
  }
}

export function failedTrial(method: string, message = 'window 3: the cache holds no number'): Trial {
  return { method, status: 'failed', reason: { code: 'NOT_FINITE', message }, quality: null, bytes: null, speed: null, tensors: [], verdict: null, front: null, dropped: null }
}

/** A trial that a race stopped after 41 windows because `dominatedBy` was better. */
export function droppedTrial(method: string, dominatedBy: string, facts: TrialFacts = {}): Trial {
  const trial = doneTrial(method, facts)
  return { ...trial, status: 'dropped', quality: trial.quality && { ...trial.quality, tokens: 1271, clusters: 41 }, front: false, dropped: { afterWindows: 41, dominatedBy } }
}

/** A trial that was stopped after `tokens` tokens. */
export function partialTrial(method: string, tokens: number): Trial {
  const trial = doneTrial(method)
  return { ...trial, status: 'partial', quality: trial.quality && { ...trial.quality, tokens }, verdict: null }
}

function qualityOf([low, mean, high]: [number, number, number], kl: number): Quality {
  const interval = (from: number, at: number, to: number): Interval => ({ mean: at, low: from, high: to, standardError: (to - from) / 4, level: 0.95 })
  return {
    tokens: 10_230,
    clusters: 330,
    perplexity: 11.5162 * Math.exp(mean),
    lnRatio: interval(low, mean, high),
    deltaPerplexity: interval(11.5162 * Math.expm1(low), 11.5162 * Math.expm1(mean), 11.5162 * Math.expm1(high)),
    kl: { ...interval(0.9 * kl, kl, 1.1 * kl), median: kl / 2, p90: 2 * kl, p99: 10 * kl, p999: 20 * kl, max: 40 * kl, topPercentShare: 0.2, shareOfWrongCache: kl / 0.23 },
    flips: { rate: 0.0312, low: 0.03, high: 0.033 },
    deltaP: { mean: -0.0001, rms: 0.01 },
    byDepth: [],
  }
}
