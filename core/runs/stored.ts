import type { LabErrorJson } from '#core/contract/errors.ts'
import { apply, emptySnapshot, type RunResult, type RunSnapshot, type RunStatus } from '#core/contract/run.ts'
import { isHeld, type Holder } from '#core/bytes/lock.ts'
import type { RunFolder } from './store.ts'

/** How a run that this engine does not work on stands. `result` is that of its latest end, which an interrupted run may have from before; `holder`: the process that works on it. */
export type Stored = { status: RunStatus; reason: LabErrorJson | null; result: RunResult | null; holder: Holder | null }

/** Tells from a run's folder how it stands. Throws LabError MALFORMED_FILE. */
export async function storedState(folder: RunFolder): Promise<Stored> {
  const result = await folder.result()
  if (result?.status === 'done') return { status: 'done', reason: null, result, holder: null }
  const holder = await folder.holder()
  if (holder && isHeld(holder)) return { status: 'running', reason: null, result, holder }
  // A lock that nobody holds is what a kill left.
  if (holder) return { status: 'interrupted', reason: null, result, holder: null }
  if (result) return { status: result.status, reason: result.reason, result, holder: null }
  // Cancelled before its turn, say: over, and nothing measured.
  const last = (await folder.events()).at(-1)
  return last?.type === 'finished' ? { status: last.status, reason: last.reason, result: null, holder: null } : { status: 'interrupted', reason: null, result: null, holder: null }
}

/** All that a watcher can be told of a run that this engine does not work on. Throws LabError MALFORMED_FILE. */
export async function storedSnapshot(id: string, folder: RunFolder): Promise<RunSnapshot> {
  const { status, reason, result, holder } = await storedState(folder)
  const { head, spec, path } = folder
  const told = (await folder.events()).reduce<RunSnapshot>(
    (snapshot, event) => (event.type === 'planned' ? snapshot : apply(snapshot, event)),
    { ...emptySnapshot({ id, folder: path, createdAt: head.createdAt, spec }), plan: head.plan },
  )
  const warnings = holder ? [...told.warnings, `process ${holder.pid} on ${holder.host} works on this run: its progress can be watched there, not here`] : told.warnings
  const over = { ...told, status, reason, warnings }
  // The result of an earlier end says nothing of a run that has gone on since.
  if (!result || result.status !== status) return { ...over, result: null }
  return { ...over, result, trials: [], baseline: result.baseline && { perplexity: result.baseline.perplexity, tokens: result.baseline.tokens } }
}
