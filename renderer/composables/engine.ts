import type { Progress } from '#core/contract/api.ts'
import type { Settings, Defaults, ModelEntry, DataEntry, RunEntry } from '#core/contract/library.ts'
import type { MethodCatalog } from '#core/contract/method.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { engine } from '../client.ts'
import { finish } from './ask.ts'

/** Questions that several pages ask, each in one place. */
export const ask = {
  catalog: async (): Promise<MethodCatalog> => (await engine()).call('method.list', {}),
  defaults: async (signal?: AbortSignal): Promise<Defaults> => (await engine(signal)).call('spec.defaults', {}),
  settings: async (): Promise<Settings> => (await engine()).call('settings.read', {}),
  runs: async (signal?: AbortSignal): Promise<RunEntry[]> => (await engine(signal)).call('run.list', {}),
  models: (signal: AbortSignal): AsyncGenerator<Progress, ModelEntry[], void> => steps(signal, (client) => client.stream('model.list', {}, { signal })),
  texts: (signal: AbortSignal): AsyncGenerator<Progress, DataEntry[], void> => steps(signal, (client) => client.stream('data.list', {}, { signal })),
}

/** Start a sweep; the result names the run to watch. */
export async function startRun(spec: RunSpec, show: (progress: Progress) => void, signal: AbortSignal): Promise<{ id: string; folder: string }> {
  return finish((await engine(signal)).stream('run.start', { spec, out: null }, { signal }), show)
}

/** A stream of the engine that waits until there is one. */
export async function* steps<E, R>(signal: AbortSignal, start: (client: Awaited<ReturnType<typeof engine>>) => AsyncGenerator<E, R, void>): AsyncGenerator<E, R, void> {
  return yield* start(await engine(signal))
}
