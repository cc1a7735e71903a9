import type { EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Handlers } from '#core/contract/rpc.ts'
import type { RunResult } from '#core/contract/run.ts'
import { methodCatalog } from '#core/kv/methods.ts'
import { compareFiles } from '#core/library/compare.ts'
import { listFolder } from '#core/library/folders.ts'
import { tensorHistogram } from '#core/library/histogram.ts'
import { inspectFile } from '#core/library/inspect.ts'
import { listModels, modelEntry } from '#core/library/model-list.ts'
import { readSettings, writeSettings } from '#core/library/settings.ts'
import { listTexts, textEntry } from '#core/library/text-list.ts'
import { conclusion, smallestPassing } from '#core/reports/conclusion.ts'
import { reportById } from '#core/reports/index.ts'
import { activity } from '#core/runs/activity.ts'
import { baselinePerplexity } from '#core/runs/baseline.ts'
import { compressCache, decompressCache, extractCache } from '#core/runs/cache-files.ts'
import { compareKnown } from '#core/runs/compare.ts'
import { examine } from '#core/runs/doctor.ts'
import { engineFacts } from '#core/runs/facts.ts'
import { createHistory } from '#core/runs/history.ts'
import { specDefaults } from '#core/runs/presets.ts'
import { createRuns } from '#core/runs/runs.ts'
import { readResult } from '#core/runs/store.ts'
import { tokenTable } from '#core/runs/token-table.ts'
import { validate } from '#core/runs/validate.ts'

/** What answers every route, and how to end what is under way. */
export type Engine = { readonly handlers: Handlers<EngineApi>; close(): Promise<void> }

/** Puts the rooms together behind the contract. `home`: the library's folder, made when first needed. */
export function createEngine({ home }: { home: string }): Engine {
  const runs = createRuns({ home })
  const history = createHistory(runs, { conclusion, smallestPassing })
  return {
    handlers: {
      'engine.info': async () => {
        const { version, node, onnxruntime } = engineFacts(1, 1)
        return { version, node, onnxruntime, home, pid: process.pid }
      },
      'method.list': async () => methodCatalog(),
      'settings.read': () => readSettings(home),
      'settings.write': (settings) => writeSettings(home, settings),
      'spec.defaults': async () => specDefaults(await readSettings(home)),
      'folder.list': ({ path }) => listFolder(path),
      'file.inspect': ({ path }) => inspectFile(path),
      'file.histogram': ({ path, tensor }, signal) => tensorHistogram(path, tensor, signal),
      'file.metrics': ({ before, after }) => compareFiles(before, after),
      'model.list': (_, signal) => listModels(home, signal),
      'model.inspect': ({ path }) => modelEntry(home, path),
      'data.list': (_, signal) => listTexts(home, signal),
      'data.inspect': ({ path }) => textEntry(home, path),
      'kv.extract': (input, signal) => extractCache(home, input, signal),
      'kv.compress': compressCache,
      'kv.decompress': decompressCache,
      'perplexity.measure': (input, signal) => baselinePerplexity(home, input, signal),
      'run.plan': (spec, signal) => runs.plan(spec, signal),
      'run.start': ({ spec, out }, signal) => runs.start(spec, { out: out ?? undefined }, signal),
      'run.resume': async (which) => runs.resume('id' in which ? runs.known.folderOf(which.id) : which.folder),
      'run.open': ({ folder }) => runs.open(folder),
      'run.list': () => history.list(),
      'run.activity': (_, signal) => activity(runs, conclusion, signal),
      'run.watch': ({ id }, signal) => runs.watch(id, signal),
      'run.pause': async ({ id }) => runs.pause(id),
      'run.continue': async ({ id }) => runs.continue(id),
      'run.cancel': ({ id }) => runs.cancel(id),
      'run.notes': async ({ id, tags, notes }) => (await runs.folder(id)).writeNotes({ tags: [...new Set(tags)], notes }),
      'run.compare': ({ ids }) => compareKnown(runs, ids, conclusion),
      'run.tokens': async ({ id, method, limit }, signal) => tokenTable(await runs.folder(id), method, limit, signal),
      'run.validate': (input, signal) => validate(runs, home, input, signal),
      'report.render': async ({ folder, format }) => render(format, folder, await readResult(folder)),
      'doctor.run': (_, signal) => examine(home, signal),
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
