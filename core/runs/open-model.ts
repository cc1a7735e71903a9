import { join } from 'node:path'
import { openSession, type ModelSession } from '#core/evaluation/session.ts'
import { chooseThreads } from '#core/evaluation/threads.ts'
import type { ModelFolder } from '#core/library/models.ts'

/** Open a model on as many threads as asked for, or as measured; its edited graphs are kept in the library's folder `home`. `layered`: cut at every layer too, and with `queries` at these. Throws as `openSession`. */
export async function openModel(home: string, model: ModelFolder, threads: number | 'auto', layered = false, queries = false): Promise<ModelSession> {
  return openSession(model, { layered, queries, threads: threads === 'auto' ? (await chooseThreads()).threads : threads, graphs: join(home, 'graphs') })
}
