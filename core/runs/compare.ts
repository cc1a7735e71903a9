import { LabError, type Json } from '#core/contract/errors.ts'
import type { RunComparison } from '#core/contract/library.ts'
import type { RunResult } from '#core/contract/run.ts'
import type { Runs } from './runs.ts'
import { readResult } from './store.ts'

/** Fields of a protocol that its fingerprint is made of, in the order they are named in. */
const FIELDS = ['mode', 'contextLength', 'prefixLength', 'block', 'advance', 'bos', 'bosApplied', 'join', 'queries'] as const

/** A run's result with the id it is known by. */
export type Compared = { id: string; folder: string; result: RunResult }

/** The runs of these ids side by side. Throws LabError INVALID_INPUT for one that works now, and those of `readResult` and `compareRuns`. */
export async function compareKnown(runs: Runs, ids: readonly string[], conclusion: (result: RunResult) => string): Promise<RunComparison> {
  const compared = ids.map(async (id): Promise<Compared> => {
    if (runs.working.has(id)) throw new LabError('INVALID_INPUT', `run ${id} is not over: compare it when it has ended`)
    const folder = runs.known.folderOf(id)
    return { id, folder, result: await readResult(folder) }
  })
  return compareRuns(await Promise.all(compared), conclusion)
}

/** Runs of one protocol side by side, methods in the order of their first run. Throws LabError RUN_MISMATCH with `{ field, values }`, the values in the order of the runs. */
export function compareRuns(runs: readonly Compared[], conclusion: (result: RunResult) => string): RunComparison {
  const [first] = runs
  if (!first) throw new LabError('INVALID_INPUT', 'there is nothing to compare: give two runs')
  for (const run of runs) refuseOther(first, run, runs)
  const methods = [...new Set(runs.flatMap(({ result }) => result.trials.map(({ method }) => method)))]
  return {
    runs: runs.map(({ id, folder, result }) => ({
      id,
      folder,
      createdAt: result.createdAt,
      model: result.model.name,
      weights: result.model.weights,
      status: result.status,
      conclusion: conclusion(result),
    })),
    protocol: first.result.protocol,
    rows: methods.map((method) => ({ method, trials: runs.map(({ result }) => result.trials.find((trial) => trial.method === method) ?? null) })),
  }
}

function refuseOther(first: Compared, other: Compared, runs: readonly Compared[]): void {
  const [mine, theirs] = [first.result, other.result]
  if (mine.protocol.fingerprint === theirs.protocol.fingerprint) return
  // What is not said of queries is that they are exact.
  const [ours, others, ...all] = [mine, theirs, ...runs.map(({ result }) => result)].map(({ protocol }) => ({ queries: 'exact' as const, ...protocol }))
  const field = FIELDS.find((name) => ours?.[name] !== others?.[name])
  if (field) throw mismatch(`${field} is ${JSON.stringify(ours?.[field])} in ${first.id} and ${JSON.stringify(others?.[field])} in ${other.id}`, field, all.map((protocol) => protocol[field]))
  const calibrations = runs.map(({ result: { protocol: { calibration } } }) => calibration && `${calibration.windows} windows of ${calibration.name}, ${calibration.tokenIdsSha256.slice(0, 8)}…`)
  const [mineLearned, theirLearned] = [mine, theirs].map((result) => calibrations[runs.findIndex((run) => run.result === result)] ?? 'nothing')
  if (mineLearned !== theirLearned) throw mismatch(`methods learned from ${mineLearned} in ${first.id} and from ${theirLearned} in ${other.id}`, 'calibration', calibrations.map((text) => text ?? null))
  const tokens = runs.map(({ result }) => result.data.tokenIdsSha256)
  if (mine.data.tokenIdsSha256 !== theirs.data.tokenIdsSha256) {
    const [a, b] = [mine, theirs].map(({ data }) => `${data.name}, ${data.tokenIdsSha256.slice(0, 8)}…`)
    throw mismatch(`the token ids of the text are others in ${first.id} (${a}) than in ${other.id} (${b})`, 'tokenIds', tokens)
  }
  const prints = runs.map(({ result }) => result.protocol.fingerprint)
  throw mismatch(`the rule of scoring is another in ${first.id} than in ${other.id}, which another version of this program made`, 'fingerprint', prints)
}

function mismatch(what: string, field: string, values: Json[]): LabError {
  return new LabError('RUN_MISMATCH', `these runs cannot be compared, ${what}: compare runs of one protocol on one text`, { field, values })
}
