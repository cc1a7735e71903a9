import { makeFolder } from '#core/bytes/file.ts'
import { engineApi, type EngineApi } from '#core/contract/api.ts'
import type { Client } from '#core/contract/rpc.ts'
import { confine } from './confine.ts'
import { forward } from './forward.ts'
import { startHost, type Host, type HostOptions } from './http.ts'

/** Serve an engine that is asked through `client`, its file routes confined to `roots` and the library. Throws LabError as `startHost` and `confine`. */
export async function startEngineHost(options: Omit<HostOptions<EngineApi>, 'api' | 'handlers'> & { client: Client<EngineApi>; roots: readonly string[] }): Promise<Host> {
  const { client, roots, ...rest } = options
  await makeFolder(rest.home)
  const handlers = await confine(forward(engineApi, client), roots, rest.home)
  return startHost({ api: engineApi, handlers, ...rest })
}
