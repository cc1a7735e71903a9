import { DEFAULT_BLOCK } from '#core/contract/choices.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import { runSpec, type GateSpec, type RunSpec } from '#core/contract/spec.ts'
import { learnsFromText, readMethod, writeMethod } from '#core/kv/methods.ts'

/**
 * The default gate, "strict": a mean KL of 0.01 nats is what mlx-quant-fidelity calls good; Δ ln PPL 0.01 is 1 % of perplexity;
 * the 99th percentile keeps a small mean from hiding a bad tail.
 */
export const STRICT_GATE: GateSpec = { lnRatio: 0.01, klMean: 0.01, klP99: 0.1, deltaPerplexity: null }

/** What a newcomer gets without naming methods: from harmless to harmful, one of each kind. */
export const DEFAULT_METHODS: readonly string[] = ['int8:g64', 'q8_0', 'fp8-e4m3', 'int6:g64', 'int4:g64+lz4', 'int4:g32:asym', 'q4_0', 'q8_0/q4_0', 'int3:g32', 'int2:g32:asym']

/**
 * Window length for the embedded model: so small a model reads little far back. At 32 → 64 a wrong cache costs it 0.2 nats, at
 * 256 → 512 only 0.05, too little to tell methods apart.
 */
const DEMO_CONTEXT = 64

/** A spec from what the person gave; everything else by default. Throws LabError INVALID_INPUT naming the field. */
export function defaultSpec(given: Partial<RunSpec>): RunSpec {
  const contextLength = given.contextLength ?? (given.model === undefined || given.model === 'demo' ? DEMO_CONTEXT : 512)
  const prefixLength = given.prefixLength ?? Math.floor(contextLength / 2)
  return checkSpec({
    schema: 'kvlab.spec/1',
    model: 'demo',
    data: 'demo',
    column: null,
    join: 'file',
    bos: 'model',
    calibration: null,
    mode: 'handoff',
    block: null,
    queries: 'exact',
    windows: 40,
    methods: [...DEFAULT_METHODS],
    batch: 'auto',
    threads: 'auto',
    provider: 'cpu',
    memoryBudget: 'auto',
    gate: STRICT_GATE,
    level: 0.95,
    seed: 0,
    rungs: 1,
    keepKv: false,
    ...given,
    contextLength,
    prefixLength,
    advance: given.advance ?? contextLength,
  })
}

/** The sweep of `kvlab demo`: 330 windows of the embedded model and text score 10,230 tokens. */
export function demoSpec(given: Partial<RunSpec> = {}): RunSpec {
  return defaultSpec({ windows: 330, ...given })
}

/** The spec with canonical method strings, in their order and without repeats; throws LabError INVALID_INPUT, UNKNOWN_METHOD or INVALID_METHOD. */
export function checkSpec(given: unknown): RunSpec {
  const parsed = runSpec.safeParse(given)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new LabError('INVALID_INPUT', `spec: ${issue?.path.join('.') || 'document'}: ${issue?.message ?? 'not a spec'}`)
  }
  const spec = parsed.data
  if (spec.prefixLength > spec.contextLength - 2) {
    throw new LabError('INVALID_INPUT', `prefix ${spec.prefixLength} leaves nothing to score in a context of ${spec.contextLength}: give a prefix of at most ${spec.contextLength - 2}`)
  }
  if (spec.mode !== 'streaming' && spec.block !== null) throw new LabError('INVALID_INPUT', `a block of ${spec.block} tokens says how streaming feeds them: leave it out in ${spec.mode}, or give --mode streaming`)
  if (spec.mode !== 'in-pass' && spec.queries !== 'exact') throw new LabError('INVALID_INPUT', `queries are rounded in-pass only, not in ${spec.mode}: leave out --queries, or give --mode in-pass`)
  const block = spec.mode === 'streaming' ? (spec.block ?? DEFAULT_BLOCK) : null
  if (block !== null && block >= spec.contextLength) throw new LabError('INVALID_INPUT', `a block of ${block} tokens feeds a window of ${spec.contextLength} at once, and nothing is compressed: give a smaller --block`)
  if (spec.windows === 1) throw new LabError('INVALID_INPUT', 'one window gives no interval: ask for at least 2 windows')
  const methods = spec.methods.map(readMethod)
  refuseUncalibrated(spec, methods)
  return { ...spec, block, methods: [...new Set(methods.map(writeMethod))] }
}

function refuseUncalibrated({ calibration }: RunSpec, methods: readonly Method[]): void {
  const learning = methods.find(learnsFromText)
  if (learning !== undefined && calibration === null) throw new LabError('INVALID_INPUT', `${writeMethod(learning)} learns from a calibration text and none is named: give --calibration TEXT, another one than --data, or leave out :cal`)
}
