import type { Progress } from '#core/contract/api.ts'
import type { MethodCard } from '#core/contract/card.ts'
import type { KnownDataset } from '#core/contract/hub.ts'
import type { Settings, Defaults, ModelEntry, DataEntry, PresetSpec, RunEntry } from '#core/contract/library.ts'
import type { MethodCatalog } from '#core/contract/method.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { asLabError, engine } from '../client.ts'
import { finish } from './ask.ts'

/** Questions that several pages ask, each in one place. */
export const ask = {
  card: async (name: string, signal?: AbortSignal): Promise<MethodCard> => (await engine(signal)).call('method.card', { name }),
  catalog: async (): Promise<MethodCatalog> => (await engine()).call('method.list', {}),
  defaults: async (signal?: AbortSignal): Promise<Defaults> => (await engine(signal)).call('spec.defaults', {}),
  preset: async (preset: string, model: string): Promise<PresetSpec> => (await engine()).call('spec.preset', { preset, model }),
  known: async (): Promise<KnownDataset[]> => (await engine()).call('data.known', {}),
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

/** Follow what the engine tells without end, for as long as the page lives; `show` is given null when the engine goes away. Throws what is not that. */
export async function follow<E>(start: (client: Awaited<ReturnType<typeof engine>>) => AsyncGenerator<E, void, void>, show: (now: E | null) => void): Promise<never> {
  for (;;) {
    try {
      for await (const now of start(await engine())) show(now)
    } catch (thrown) {
      show(null)
      if (asLabError(thrown).code !== 'ENGINE_CRASHED') throw thrown
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
