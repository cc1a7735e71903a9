import type { Protocol, RunResult } from '#core/contract/run.ts'
import type { CalibrationSpec, RunSpec } from '#core/contract/spec.ts'

/** The name that the embedded model's folder has and the word that asks for it. */
const EMBEDDED = { folder: 'kvlab-demo', word: 'demo' } as const

/**
 * The spec that would measure this result again, for its command line. Model and text stand by name, without the folders of the machine
 * that ran it; batch and threads are those that were used.
 */
export function specOf(result: RunResult): RunSpec {
  const { protocol, model, data, engine, gate, intervals, trials } = result
  const graph = model.files.find(({ path }) => path.endsWith('.onnx'))
  return {
    schema: 'kvlab.spec/1',
    model: model.name === EMBEDDED.folder ? EMBEDDED.word : model.weights !== null && graph ? `${model.name}/${graph.path}` : model.name,
    data: data.name,
    column: data.column ?? null,
    join: protocol.join,
    bos: protocol.bos,
    calibration: calibrationOf(protocol),
    mode: protocol.mode,
    block: protocol.block,
    queries: protocol.queries ?? 'exact',
    contextLength: protocol.contextLength,
    prefixLength: protocol.prefixLength,
    advance: protocol.advance,
    windows: protocol.windows,
    methods: trials.map(({ method }) => method),
    batch: engine.batch,
    threads: engine.threads,
    provider: engine.provider,
    memoryBudget: 'auto',
    gate,
    level: intervals.level,
    seed: intervals.seed,
    rungs: result.racing?.rungs ?? 1,
    keepKv: false,
  }
}

function calibrationOf({ calibration }: Protocol): CalibrationSpec | null {
  if (!calibration) return null
  const { name: data, column = null, join, windows } = calibration
  return { data, column, join, windows }
}
