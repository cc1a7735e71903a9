import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { openSession, type ModelSession } from '#core/evaluation/session.ts'
import type { ModelFolder } from '#core/library/models.ts'

/** Open a model; its edited graphs are kept in the library's folder `home`. Throws as `openSession`. */
export function openModel(home: string, model: ModelFolder, threads: number | 'auto'): Promise<ModelSession> {
  return openSession(model, { threads: threads === 'auto' ? availableParallelism() : threads, graphs: join(home, 'graphs') })
}
