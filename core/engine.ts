import type { EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Handlers } from '#core/contract/rpc.ts'
import type { RunResult } from '#core/contract/run.ts'
import { methodCatalog } from '#core/kv/methods.ts'
import { inspectFile } from '#core/library/inspect.ts'
import { compareFiles } from '#core/library/compare.ts'
import { reportById } from '#core/reports/index.ts'
import { baselinePerplexity } from '#core/runs/baseline.ts'
import { compressCache, decompressCache, extractCache } from '#core/runs/cache-files.ts'
import { examine } from '#core/runs/doctor.ts'
import { engineFacts } from '#core/runs/facts.ts'
import { createRuns } from '#core/runs/runs.ts'
import { readResult } from '#core/runs/store.ts'
import { validate } from '#core/runs/validate.ts'

/** What answers every route, and how to end what is under way. */
export type Engine = { readonly handlers: Handlers<EngineApi>; close(): Promise<void> }

/** Puts the rooms together behind the contract. `home`: the library's folder, made when first needed. */
export function createEngine({ home }: { home: string }): Engine {
  const runs = createRuns({ home })
  return {
    handlers: {
      'engine.info': async () => {
        const { version, node, onnxruntime } = engineFacts(1, 1)
        return { version, node, onnxruntime, home, pid: process.pid }
      },
      'method.list': async () => methodCatalog(),
      'file.inspect': ({ path }) => inspectFile(path),
      'file.metrics': ({ before, after }) => compareFiles(before, after),
      'kv.extract': (input, signal) => extractCache(home, input, signal),
      'kv.compress': compressCache,
      'kv.decompress': decompressCache,
      'perplexity.measure': (input, signal) => baselinePerplexity(home, input, signal),
      'run.plan': (spec, signal) => runs.plan(spec, signal),
      'run.start': ({ spec, out }, signal) => runs.start(spec, { out: out ?? undefined }, signal),
      'run.resume': ({ folder }) => runs.resume(folder),
      'run.watch': ({ id }, signal) => runs.watch(id, signal),
      'run.cancel': ({ id }) => runs.cancel(id),
      'run.validate': (input, signal) => validate(runs, home, input, signal),
      'report.render': async ({ folder, format }) => render(format, folder, await readResult(folder)),
      'doctor.run': (_, signal) => examine(signal),
    },
    close: () => runs.close(),
  }
}

/** A report's text. A renderer is a function of the result alone: what it cannot read is a damaged file. */
function render(format: string, folder: string, result: RunResult): string {
  const report = reportById(format)
  try {
    return report.render(result)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new LabError('MALFORMED_FILE', `${folder}: its result.json is not what a run writes (${reason}): make the run again`, { format: 'kvlab.run', reason, at: 0 }, { cause: error })
  }
}
