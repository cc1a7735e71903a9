import { totalmem } from 'node:os'
import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import type { DataFacts, ModelFacts, Protocol, RunPlan } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import type { ModelSession } from '#core/evaluation/session.ts'
import { planWindows } from '#core/evaluation/windows.ts'
import { f16Bytes, type KvCache, type KvShape } from '#core/kv/cache.ts'
import type { Learned } from '#core/kv/calibration.ts'
import { checkMethod, nominalBits, readMethod } from '#core/kv/methods.ts'
import { modelFacts } from '#core/library/models.ts'
import { resolvableLnRatio } from '#core/statistics/planner.ts'
import { LEAST_WINDOWS, rungEnds } from '#core/statistics/race.ts'
import { calibrationBytes, learnAll, readCalibration, type Calibration } from './calibration.ts'
import { chooseBatch, type BatchChoice } from './batch.ts'
import { fingerprintOf } from './fingerprint.ts'
import { expectedPeak } from './memory.ts'
import { checkMode } from './mode-methods.ts'
import { openModel } from './open-model.ts'
import { cacheTokens } from './result.ts'
import { CONTROL_WINDOWS, passesOf, rowsOf } from './schedule.ts'
import { readTokens } from './token-text.ts'
import { ModeRunner } from './window-mode.ts'

export type Progress = { phase: string; done: number; total: number }

/** A sweep ready to run: the model is open and must be released. */
export type Prepared = {
  readonly spec: RunSpec
  readonly plan: RunPlan
  readonly session: ModelSession
  /** What runs a window where the cache is compressed while it is read; null in handoff. */
  readonly mode: ModeRunner | null
  /** Token ids of each window, contextLength each. */
  readonly windows: readonly Uint32Array[]
  /** Shape of the cache of one window that a method is given. */
  readonly shape: KvShape
  readonly methods: ReadonlyMap<string, Method>
  /** What methods learn from; null where none does. */
  readonly calibration: Calibration | null
  /** What they learned: nothing yet, `learn` fills it before the first pass. */
  readonly learned: Map<string, Learned | LabError>
  readonly batch: BatchChoice
}

/** Decisions that a resumed run takes over from its first start, so that it computes the same numbers. */
export type Fixed = { readonly batch: number; readonly threads: number }

/** Part of the machine's memory a sweep may use beside the model where nothing else is said. */
const MEMORY_SHARE = 0.25

/**
 * Open the model, cut the text into windows, refuse what cannot run, measure the batch size, and say what the sweep will cost.
 * Throws LabError for anything that makes the run impossible, a method that this model's cache does not allow among it.
 */
export async function* prepare(home: string, spec: RunSpec, signal: AbortSignal, fixed?: Fixed): AsyncGenerator<Progress, Prepared> {
  const steps = 3
  yield { phase: 'reading the text', done: 0, total: steps }
  const { folder, streams, bosId, data } = await readTokens(home, spec)
  const windows = planWindows(streams, { contextLength: spec.contextLength, advance: spec.advance, bosId, windows: spec.windows })
  if (windows.length < 2) throw new LabError('TEXT_TOO_SHORT', `${spec.data}: only one window of ${spec.contextLength} tokens: intervals need at least 2, give a longer text or a shorter --context`)
  const calibration = yield* readCalibration(home, spec, data, signal)
  signal.throwIfAborted()

  yield { phase: 'loading the model', done: 1, total: steps }
  const session = await openModel(home, folder, fixed?.threads ?? spec.threads, spec.mode === 'in-pass', spec.queries === 'q8_0')
  try {
    const model = await modelFacts(folder, session.info)
    signal.throwIfAborted()
    const shape = session.shape(cacheTokens(spec))
    const methods = runnable(spec.methods, shape)
    const first = windows[0] ?? new Uint32Array()
    const learned = new Map<string, Learned | LabError>()
    const mode = spec.mode === 'handoff' ? null : new ModeRunner(session, spec, model.name, learned)
    if (mode) await checkModes(session, mode, spec, [...methods.values()], first)
    yield { phase: 'measuring the batch size', done: 2, total: steps }
    const scored = spec.contextLength - spec.prefixLength - 1
    const budget = spec.memoryBudget === 'auto' ? Math.floor(totalmem() * MEMORY_SHARE) : spec.memoryBudget
    const batch = await chooseBatch(session, first, spec.prefixLength, fixed?.batch ?? spec.batch, budget, methods.size + 2, mode)
    const held = calibration ? calibrationBytes(session, calibration) : 0
    if (held > budget) throw new LabError('INVALID_INPUT', `the caches of ${calibration?.windows.length} calibration windows take ${Math.ceil(held / 1e6)} MB, over the budget of ${Math.floor(budget / 1e6)} MB: give fewer --calibration-windows or raise --memory`)
    const warnings = [...batch.warnings, ...(calibration?.warnings ?? [])]
    if (spec.calibration !== null && !calibration) warnings.push('no method learns from the calibration text: it is not read; say :cal behind one that does, such as nuq4:cal')
    if (session.info.whole !== null) warnings.push(`its graph is run whole and its logits are scored outside it, which is slower and gives the same numbers: ${session.info.whole}`)
    if (windows.length < 20) warnings.push(`only ${windows.length} windows: intervals from fewer than 20 clusters are too narrow, add windows`)
    if (typeof spec.windows === 'number' && windows.length < spec.windows) warnings.push(`the text has ${windows.length} windows, fewer than the ${spec.windows} asked for`)
    const ends = rungEnds(windows.length, spec.rungs)
    if (spec.rungs > 1 && ends.length === 0) warnings.push(`${windows.length} windows are too few for racing, which decides after ${LEAST_WINDOWS} at least: all methods run to the end`)
    const protocol: Protocol = {
      mode: spec.mode,
      contextLength: spec.contextLength,
      prefixLength: spec.prefixLength,
      block: spec.block,
      advance: spec.advance,
      bos: spec.bos,
      bosApplied: bosId !== null,
      join: spec.join,
      windows: windows.length,
      scoredTokens: windows.length * scored,
      ...(calibration ? { calibration: calibration.facts } : {}),
      ...(spec.queries === 'exact' ? {} : { queries: spec.queries }),
      fingerprint: '',
    }
    const plan = costs({ ...protocol, fingerprint: fingerprintOf(protocol, data) }, model, data, [...methods.keys()], ends, shape, batch, session.threads, spec.keepKv, warnings, held)
    return { spec, plan, session, mode, windows, shape, methods, calibration, learned, batch }
  } catch (error) {
    await session.release()
    throw error
  }
}

/** Lets methods learn from the calibration text, before the first pass. */
export async function* learn({ session, calibration, methods, learned }: Prepared, signal: AbortSignal): AsyncGenerator<Progress, void> {
  if (!calibration) return
  for (const [text, tables] of yield* learnAll(session, calibration, methods.values(), signal)) learned.set(text, tables)
}

/** The parsed methods; throws LabError INVALID_METHOD with the nearest valid spelling for the first that this model's cache does not allow. */
function runnable(requested: readonly string[], shape: KvShape): Map<string, Method> {
  return new Map(
    requested.map((text) => {
      const method = readMethod(text)
      checkMethod(method, shape)
      return [text, method]
    }),
  )
}

/** Losses of the uncompressed window that differ by more than this, in nats, between a mode's own pass and the ordinary ones come from a graph that was cut wrongly. */
const SAME_LOSS = 1e-2

/** Refuses methods that the mode cannot measure, and a graph that predicts otherwise in the mode's own passes; tried on the first window. */
async function checkModes(session: ModelSession, mode: ModeRunner, spec: RunSpec, methods: readonly Method[], window: Uint32Array): Promise<void> {
  const cache = await session.prefill(window)
  const layer: KvCache = { shape: { ...cache.shape, layers: 1 }, key: cache.key.slice(0, 1), value: cache.value.slice(0, 1) }
  for (const method of methods) checkMode(method, spec, layer)
  const past = session.past(1, spec.prefixLength)
  past.fill(0, await session.prefill(window.subarray(0, spec.prefixLength)))
  const ordinary = (await session.reference(past, window.subarray(spec.prefixLength))).nll
  const own = (await mode.reference(window)).nll
  const far = own.findIndex((nll, i) => !(Math.abs(nll - (ordinary[i] ?? NaN)) <= SAME_LOSS))
  if (far >= 0) throw new LabError('MODEL_UNSUPPORTED', `${spec.model} predicts otherwise when it is run as ${spec.mode} needs (scored token ${far}: ${own[far]} nats, else ${ordinary[far]}): use --mode handoff`)
}

function costs(
  protocol: Protocol,
  model: ModelFacts,
  data: DataFacts,
  methods: string[],
  ends: number[],
  shape: KvShape,
  batch: BatchChoice,
  threads: number,
  keepKv: boolean,
  warnings: string[],
  held: number,
): RunPlan {
  let passes = 0
  let rows = 0
  for (let window = 0; window < protocol.windows; window++) {
    const list = passesOf(window, protocol.windows, methods, batch.size, batch.aaSize)
    passes += list.length
    rows += rowsOf(list)
  }
  const kvFiles = (keepKv ? protocol.windows : 1) * methods.reduce((sum, method) => sum + (nominalBits(readMethod(method), shape) * f16Bytes(shape)) / 16, 0)
  // A recorded score is about 45 characters a token, a line about 60 a tensor; the Parquet file holds 40 bytes a token.
  const scoresBytes = protocol.scoredTokens * (methods.length + (2 * CONTROL_WINDOWS.exact + CONTROL_WINDOWS.wrongCache) / protocol.windows) * 85 + protocol.windows * methods.length * shape.layers * 2 * 60
  // Still to come: the cache of another window, an uncompressed file, and the scores of all windows (17 bytes a token and method).
  const memoryBytes = expectedPeak(Math.max(held, 3 * 2 * f16Bytes(shape) + 17 * protocol.scoredTokens * (methods.length + 4)))
  return {
    protocol,
    model,
    data,
    methods,
    rungEnds: ends,
    cells: methods.length * protocol.windows,
    passes,
    scoredTokens: protocol.scoredTokens,
    batch: batch.size,
    threads,
    resolvableLnRatio: resolvableLnRatio(protocol.scoredTokens),
    estimate: { memoryBytes, diskBytes: Math.round(scoresBytes + kvFiles), seconds: (rows + (protocol.calibration?.windows ?? 0)) * batch.secondsPerRow },
    warnings,
  }
}
