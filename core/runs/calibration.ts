import type { CalibrationFacts, DataFacts } from '#core/contract/run.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import type { ModelSession } from '#core/evaluation/session.ts'
import { planWindows } from '#core/evaluation/windows.ts'
import { type Learned, learnTables } from '#core/kv/calibration.ts'
import { cacheValues, type KvCache } from '#core/kv/cache.ts'
import { learnsFromText, readMethod, writeMethod } from '#core/kv/methods.ts'
import { locateText } from '#core/library/locate.ts'
import { placesOf } from '#core/library/places.ts'
import { refuseOverlap } from '#core/texts/overlap.ts'
import { openModel } from './open-model.ts'
import type { Progress } from './prepare.ts'
import { readTokens } from './token-text.ts'

/** The windows that methods learn from, contextLength tokens each, and what is said of them. */
export type Calibration = { readonly windows: readonly Uint32Array[]; readonly facts: CalibrationFacts; readonly warnings: readonly string[] }

/** What each method that learns came to know, by its canonical text; an error where it could not learn. */
export type LearnedMethods = ReadonlyMap<string, Learned | LabError>

/**
 * The calibration windows of a spec; null where none of its methods learns from a text. `data`: the text that is scored. Throws LabError INVALID_INPUT where the two texts share
 * anything, TEXT_TOO_SHORT, and those of the readers.
 */
export async function* readCalibration(home: string, spec: RunSpec, data: DataFacts, signal: AbortSignal): AsyncGenerator<Progress, Calibration | null> {
  const { calibration, contextLength } = spec
  if (calibration === null || !spec.methods.some((text) => learnsFromText(readMethod(text)))) return null
  yield { phase: 'reading the calibration text', done: 0, total: 1 }
  const { column, join, windows: most } = calibration
  const text = await readTokens(home, { ...spec, data: calibration.data, column, join })
  if (text.data.textSha256 === data.textSha256) throw new LabError('INVALID_INPUT', `${calibration.data} is the text that is scored: calibrate on another text, or another split of the data set`)
  const places = await placesOf(home)
  const [learnedFrom, scored] = [await locateText(places, calibration.data), await locateText(places, spec.data)]
  yield* refuseOverlap({ data: learnedFrom, column, join }, { data: scored, column: spec.column, join: spec.join }, signal)
  const windows = planWindows(text.streams, { contextLength, advance: contextLength, bosId: text.bosId, windows: most })
  const { tokens: _tokens, documents: _documents, ...facts } = text.data
  const warnings = windows.length < most ? [`the calibration text has ${windows.length} windows, fewer than the ${most} asked for`] : []
  return { windows, facts: { ...facts, join, windows: windows.length }, warnings }
}

/** Bytes that the caches of so many calibration windows take while methods learn. */
export function calibrationBytes(session: ModelSession, { windows }: Calibration): number {
  return windows.length * 4 * cacheValues(session.shape(windows[0]?.length ?? 0))
}

/** Prefill the calibration windows and let each method that learns do so; the same for the same model, windows and threads. A method that cannot learn from them has its error. */
export async function* learnAll(session: ModelSession, calibration: Calibration, methods: Iterable<Method>, signal: AbortSignal): AsyncGenerator<Progress, LearnedMethods> {
  const caches: KvCache[] = []
  const total = calibration.windows.length
  for (const ids of calibration.windows) {
    yield { phase: 'prefilling calibration windows', done: caches.length, total }
    signal.throwIfAborted()
    caches.push(await session.prefill(ids))
  }
  const learning = [...methods].filter(learnsFromText)
  const learned = new Map<string, Learned | LabError>()
  for (const method of learning) {
    const phase = `learning ${writeMethod(method)}`
    const layers = 2 * session.info.layers
    try {
      const steps = learnTables(caches, method)
      for (let done = 0; ; done++) {
        const step = steps.next()
        if (step.done) {
          learned.set(writeMethod(method), step.value)
          break
        }
        yield { phase, done, total: layers }
        await new Promise((resolve) => setImmediate(resolve))
        signal.throwIfAborted()
      }
    } catch (error) {
      if (!(error instanceof LabError) || signal.aborted) throw error
      learned.set(writeMethod(method), error)
    }
  }
  return learned
}

/** What one method of a spec learns, with a model opened for it alone; null where it learns nothing. Throws LabError as readCalibration and of the model and the method. */
export async function* learnOne(home: string, spec: RunSpec, method: string, signal: AbortSignal): AsyncGenerator<Progress, Learned | null> {
  if (!learnsFromText(readMethod(method))) return null
  const { folder, data } = await readTokens(home, spec)
  const calibration = yield* readCalibration(home, spec, data, signal)
  if (!calibration) return null
  const session = await openModel(home, folder, spec.threads)
  try {
    return learnedOf(yield* learnAll(session, calibration, [readMethod(method)], signal), method)
  } finally {
    await session.release()
  }
}

/** What was learned for a method of that canonical text; null where it learns nothing. Throws the LabError where it could not learn. */
export function learnedOf(learned: LearnedMethods, text: string): Learned | null {
  const own = learned.get(text) ?? null
  if (own instanceof LabError) throw own
  return own
}

