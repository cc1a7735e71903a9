import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { fileError, makeFolder, replaceFile } from '#core/bytes/file.ts'
import type { BaselineComparison, Progress, ValidateEvent, ValidateInput, ValidationReport } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { RunPlan, RunResult, Trial } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { baselinePerplexity } from './baseline.ts'
import { learnOne } from './calibration.ts'
import { compressCache, decompressCache, extractCache } from './cache-files.ts'
import type { Runs } from './runs.ts'
import { checkSpec } from './spec.ts'

/**
 * The full validation of one method: baseline perplexity, the first window's prefix through files (extract, compress, decompress, metrics),
 * then a sweep of that method with its controls and its gate. Everything is kept in one folder, `validation.json` among it.
 * Aborting the signal ends the sweep after the pass in flight. Throws LabError for whatever makes a verdict impossible.
 */
export async function* validate(runs: Runs, home: string, input: ValidateInput, signal: AbortSignal): AsyncGenerator<ValidateEvent, ValidationReport> {
  const spec = checkSpec(input.spec)
  const [method, ...others] = spec.methods
  if (method === undefined || others.length > 0) throw new LabError('INVALID_INPUT', `validate takes one method, not ${spec.methods.length}: use kvlab sweep to compare several`)
  const earlier = input.baseline === null ? null : await readEarlier(input.baseline, method)
  // Before hours of work: the plan knows the protocol.
  if (earlier) refuseOtherProtocol(earlier, yield* runs.plan(spec, signal))
  const folder = await newFolder(resolve(input.out ?? join(home, 'validations', new Date().toISOString().slice(0, 23).replaceAll(':', ''))))
  yield { folder }

  const { model, data, column, join: rule, bos, threads, contextLength, prefixLength } = spec
  const text = { model, data, column, join: rule, bos, threads }
  const perplexity = yield* baselinePerplexity(home, { ...text, protocol: 'disjoint', context: contextLength, stride: null, tokens: tokensOf(spec) }, signal)
  const [original, compressed, restored] = ['prefix', 'prefix.kv', 'prefix.restored'].map((name) => join(folder, `${name}.safetensors`)) as [string, string, string]
  yield* extractCache(home, { ...text, tokens: prefixLength, output: original }, signal)
  const compression = yield* compressCache({ input: original, output: compressed, method }, signal, yield* learnOne(home, spec, method, signal))
  yield* decompressCache({ input: compressed, output: restored }, signal)

  const run = yield* sweepOf(runs, spec, join(folder, 'run'), signal)
  const trial = run.trials[0]
  if (!trial) throw new LabError('INTERNAL', `the run in ${folder} has no trial`)
  const comparison = earlier && compare(earlier, run, trial)
  const report: ValidationReport = {
    schema: 'kvlab.validation/1',
    folder,
    method,
    threshold: spec.gate.deltaPerplexity,
    ...outcomeOf(trial, comparison),
    reason: trial.reason,
    baseline_perplexity: run.baseline?.perplexity ?? null,
    compressed_perplexity: trial.quality?.perplexity ?? null,
    delta_perplexity: trial.quality?.deltaPerplexity ?? null,
    perplexity,
    compression,
    comparison,
    run,
  }
  await replaceFile(join(folder, 'validation.json'), [Buffer.from(JSON.stringify(report, null, 2) + '\n')])
  return report
}

/** Start a run, tell where it is, follow it to its end. */
async function* sweepOf(runs: Runs, spec: RunSpec, out: string, signal: AbortSignal): AsyncGenerator<ValidateEvent, RunResult> {
  const { id, folder } = yield* runs.start(spec, { out }, signal)
  yield { run: { id, folder } }
  try {
    for await (const event of runs.watch(id, signal)) {
      if (event.type === 'warning') yield { warning: event.text }
      if (event.type === 'progress') yield progressOf(event)
      if (event.type !== 'finished') continue
      if (event.result && event.status === 'done') return event.result
      throw new LabError(event.reason?.code ?? 'INTERNAL', event.reason?.message ?? `the run in ${folder} ended without a result`)
    }
    throw new LabError('INTERNAL', `the run in ${folder} ended without a word`)
  } finally {
    // Where the watcher was called off the run still goes on; where it is over this does nothing.
    await runs.cancel(id)
  }
}

function progressOf({ phase, done, total }: Progress): Progress {
  return { phase, done, total, unit: 'passes' }
}

/** Tokens of the text that the sweep's windows cover. */
function tokensOf({ windows, advance, contextLength }: RunSpec): number | 'all' {
  return windows === 'all' ? 'all' : (windows - 1) * advance + contextLength
}

/** A failed trial fails; a failed control takes the verdict away; an earlier result that was better turns a pass into a fail. */
function outcomeOf({ status, verdict }: Trial, comparison: BaselineComparison | null): Pick<ValidationReport, 'outcome' | 'withheld'> {
  if (status !== 'done' || !verdict) return { outcome: 'fail', withheld: null }
  if (verdict.outcome === null) return { outcome: null, withheld: verdict.withheld }
  return { outcome: comparison?.worse ? 'fail' : verdict.outcome, withheld: null }
}

/** What is read of an earlier result: enough to see that it is comparable, and its interval. */
const earlierResult = z.object({
  schema: z.literal('kvlab.run/1'),
  id: z.string(),
  protocol: z.looseObject({ fingerprint: z.string() }),
  model: z.object({ files: z.array(z.object({ path: z.string(), sha256: z.string() })) }),
  trials: z.array(
    z.object({
      method: z.string(),
      quality: z.object({ lnRatio: z.object({ mean: z.number(), low: z.number(), high: z.number(), standardError: z.number(), level: z.number() }) }).nullable(),
    }),
  ),
})
type Earlier = { file: string; result: z.infer<typeof earlierResult>; lnRatio: BaselineComparison['earlier'] }

async function readEarlier(file: string, method: string): Promise<Earlier> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw fileError(error, file, 'read')
  })
  let json: unknown = null
  try {
    json = JSON.parse(text)
  } catch {
    // Said below, with what else is not a result.
  }
  const parsed = z.union([z.object({ schema: z.literal('kvlab.validation/1'), run: earlierResult }).transform(({ run }) => run), earlierResult]).safeParse(json)
  if (!parsed.success) {
    throw new LabError('MALFORMED_FILE', `${file} is neither a result.json nor a validation.json of this program: give --baseline one of these`, { format: 'kvlab.run', reason: 'NotAResult', at: 0 })
  }
  const lnRatio = parsed.data.trials.find((trial) => trial.method === method)?.quality?.lnRatio
  if (!lnRatio) throw new LabError('INVALID_INPUT', `${file} has no measurement of ${method}: it has ${parsed.data.trials.map((trial) => trial.method).join(', ')}`)
  return { file, result: parsed.data, lnRatio }
}

/** Throws LabError INVALID_INPUT naming each field of the protocol that is not the same. */
function refuseOtherProtocol({ file, result }: Earlier, { protocol }: RunPlan): void {
  if (result.protocol.fingerprint === protocol.fingerprint) return
  const { windows: _w, scoredTokens: _s, fingerprint: _f, ...fields } = protocol
  const differing = Object.entries(fields).filter(([name, value]) => result.protocol[name] !== value)
  const named = differing.map(([name, value]) => `${name} (${JSON.stringify(result.protocol[name])} there, ${JSON.stringify(value)} here)`)
  throw new LabError('INVALID_INPUT', `${file} was measured by another protocol, it differs in ${named.join(', ') || 'the token ids of the text'}: validate with the same`, {
    fields: differing.length > 0 ? differing.map(([name]) => name) : ['tokenIds'],
  })
}

function compare({ file, result, lnRatio }: Earlier, run: RunResult, { quality }: Trial): BaselineComparison | null {
  if (!quality) return null
  const sameModelFiles = run.model.files.every((mine) => result.model.files.some((theirs) => theirs.path === mine.path && theirs.sha256 === mine.sha256))
  return { file, id: result.id, earlier: lnRatio, now: quality.lnRatio, worse: quality.lnRatio.low > lnRatio.high, sameModelFiles }
}

/** A folder with nothing in it. Throws LabError FILE_EXISTS and those of the file system. */
async function newFolder(path: string): Promise<string> {
  try {
    await makeFolder(path)
    if ((await readdir(path)).length > 0) throw new LabError('FILE_EXISTS', `${path} is not empty: give another --out`)
    return path
  } catch (error) {
    throw fileError(error, path, 'make the folder')
  }
}
