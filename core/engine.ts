import type { EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Handlers } from '#core/contract/rpc.ts'
import type { HubState } from '#core/contract/hub.ts'
import type { TextSource } from '#core/contract/library.ts'
import type { RunResult } from '#core/contract/run.ts'
import { createDownloads } from '#core/hub/downloads.ts'
import { hubPlace, type HubPlace } from '#core/hub/place.ts'
import { inspectRepo, searchHub } from '#core/hub/repository.ts'
import { methodCatalog } from '#core/kv/methods.ts'
import { compareFiles } from '#core/library/compare.ts'
import { exportShelf } from '#core/library/export.ts'
import { listFolder } from '#core/library/folders.ts'
import { tensorHistogram } from '#core/library/histogram.ts'
import { importToShelf } from '#core/library/import.ts'
import { inspectFile } from '#core/library/inspect.ts'
import { locateText } from '#core/library/locate.ts'
import { demoModel, listModels, modelEntry } from '#core/library/model-list.ts'
import { readSettings, writeSettings } from '#core/library/settings.ts'
import { removeShelved } from '#core/library/remove.ts'
import { placesOf } from '#core/library/places.ts'
import { listTexts, textEntry } from '#core/library/text-list.ts'
import { demoEntry } from '#core/library/text-entry.ts'
import { verifyShelf } from '#core/library/verify.ts'
import { conclusion, smallestPassing } from '#core/reports/conclusion.ts'
import { reportById } from '#core/reports/index.ts'
import { activity } from '#core/runs/activity.ts'
import { baselinePerplexity } from '#core/runs/baseline.ts'
import { compressCache, decompressCache, extractCache } from '#core/runs/cache-files.ts'
import { compareKnown } from '#core/runs/compare.ts'
import { examine } from '#core/runs/doctor.ts'
import { engineFacts } from '#core/runs/facts.ts'
import { countText } from '#core/runs/count.ts'
import { createHistory } from '#core/runs/history.ts'
import { methodCard } from '#core/runs/method-card.ts'
import { presetSpec, specDefaults } from '#core/runs/presets.ts'
import { createRuns } from '#core/runs/runs.ts'
import { readResult } from '#core/runs/store.ts'
import { tokenTable } from '#core/runs/token-table.ts'
import { validate } from '#core/runs/validate.ts'
import { KNOWN_DATASETS } from '#core/texts/known.ts'
import { textOverlap } from '#core/texts/overlap.ts'

/** What answers every route, and how to end what is under way. */
export type Engine = { readonly handlers: Handlers<EngineApi>; close(): Promise<void> }

/** Puts the rooms together behind the contract. `home`: the library's folder, made when first needed. */
export function createEngine({ home }: { home: string }): Engine {
  const runs = createRuns({ home })
  const history = createHistory(runs, { conclusion, smallestPassing })
  /** The token that a person gave to this engine. */
  let token: string | null = null
  const hub = async (): Promise<{ place: HubPlace; state: HubState }> => hubPlace((await readSettings(home)).hub, token)
  const place = async (): Promise<HubPlace> => (await hub()).place
  const downloads = createDownloads({ home, place })
  return {
    handlers: {
      'engine.info': async () => {
        const { version, node, onnxruntime } = engineFacts(1, 1)
        return { version, node, onnxruntime, home, pid: process.pid }
      },
      'method.list': async () => methodCatalog(),
      'method.card': async ({ name }) => methodCard(name),
      'settings.read': () => readSettings(home),
      'settings.write': (settings) => writeSettings(home, settings),
      'spec.defaults': async () => specDefaults(await readSettings(home)),
      'spec.preset': async ({ preset, model }) => presetSpec(preset, async () => modelEntry(await placesOf(home), model)),
      'folder.list': ({ path }) => listFolder(path),
      'file.inspect': ({ path }) => inspectFile(path),
      'file.histogram': ({ path, tensor }, signal) => tensorHistogram(path, tensor, signal),
      'file.metrics': ({ before, after }) => compareFiles(before, after),
      'model.list': async function* (_, signal) {
        return yield* listModels(await placesOf(home), signal)
      },
      'model.inspect': async ({ path }) => (path === 'demo' ? demoModel() : modelEntry(await placesOf(home), path)),
      'data.list': async function* (_, signal) {
        return yield* listTexts(await placesOf(home), signal)
      },
      'data.inspect': async ({ path }) => (path === 'demo' ? demoEntry() : textEntry(await placesOf(home), path)),
      'data.known': async () => [...KNOWN_DATASETS],
      'data.count': (source, signal) => countText(home, source, signal),
      'data.overlap': async function* ({ calibration, evaluation }, signal) {
        const places = await placesOf(home)
        const located = async (source: TextSource): Promise<TextSource> => ({ ...source, data: await locateText(places, source.data) })
        return yield* textOverlap(await located(calibration), await located(evaluation), signal)
      },
      'shelf.import': async function* (what, signal) {
        return yield* importToShelf(await placesOf(home), what, signal)
      },
      'shelf.verify': async function* (what, signal) {
        return yield* verifyShelf(await placesOf(home), what, signal)
      },
      'shelf.export': async function* (what, signal) {
        return yield* exportShelf(await placesOf(home), what, signal)
      },
      'shelf.removal': async (what) => removeShelved(await placesOf(home), what, { remove: false }),
      'shelf.remove': async (what) => removeShelved(await placesOf(home), what, { remove: true }),
      'hub.state': async () => (await hub()).state,
      'hub.authorize': async (given) => {
        token = given.token
        return (await hub()).state
      },
      'hub.search': async ({ kind, query }, signal) => searchHub(await place(), kind, query, signal),
      'hub.inspect': async ({ kind, repo, revision }, signal) => inspectRepo(await place(), kind, repo, revision, signal),
      'download.start': (what, signal) => downloads.start(what, signal),
      'download.watch': (_, signal) => downloads.watch(signal),
      'download.pause': ({ id }) => downloads.pause(id),
      'download.continue': ({ id }) => downloads.continue(id),
      'download.cancel': ({ id }) => downloads.cancel(id),
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
      'run.tokens': async ({ id, method, limit }, signal) => tokenTable(home, await runs.folder(id), method, limit, signal),
      'run.validate': (input, signal) => validate(runs, home, input, signal),
      'report.render': async ({ folder, format }) => render(format, folder, await readResult(folder)),
      'doctor.run': (_, signal) => examine(home, signal),
    },
    close: async () => {
      await Promise.all([runs.close(), downloads.close()])
    },
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
