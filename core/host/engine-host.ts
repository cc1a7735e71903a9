import { makeFolder } from '#core/bytes/file.ts'
import { engineApi, type EngineApi } from '#core/contract/api.ts'
import type { Client } from '#core/contract/rpc.ts'
import { placesOf } from '#core/library/places.ts'
import { confine } from './confine.ts'
import { forward } from './forward.ts'
import { startHost, type Host, type HostOptions } from './http.ts'

/** Serve an engine that is asked through `client`, its file routes confined to `roots` and the library. Throws LabError as `startHost` and `confine`. */
export async function startEngineHost(options: Omit<HostOptions<EngineApi>, 'api' | 'handlers'> & { client: Client<EngineApi>; roots: readonly string[] }): Promise<Host> {
  const { client, roots, ...rest } = options
  await makeFolder(rest.home)
  // Damaged settings do not say where the cache is, and the engine must be reached to have them corrected.
  const cache = await placesOf(rest.home).then((places) => places.cache, () => null)
  const handlers = await confine(forward(engineApi, client), roots, { home: rest.home, cache })
  return startHost({ api: engineApi, handlers, ...rest })
}
