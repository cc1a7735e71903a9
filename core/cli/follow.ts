import { LabError } from '#core/contract/errors.ts'
import { apply, type RunResult, type RunSnapshot } from '#core/contract/run.ts'
import { exitOfRun } from './exit.ts'
import { programName } from './format.ts'
import { shellWord } from '#core/contract/command-line.ts'
import { showResult } from './result-view.ts'
import type { Session } from './session.ts'

/** Where a run is, what the exit code follows, and what to suggest when it is done. */
export type Followed = { id: string; folder: string; strict: boolean; next: (result: RunResult) => string }

/** Watch a run to its end and show what came of it; the first Ctrl-C ends it after the pass in flight. Returns the exit code. Throws LabError where it did not come to its end. */
export async function follow(session: Session, { id, folder, strict, next }: Followed): Promise<number> {
  session.resumeWith = `${programName()} resume ${shellWord(folder)}`
  session.onInterrupt = () => void session.engine.call('run.cancel', { id }).catch(() => {})
  let snapshot: RunSnapshot | null = null
  for await (const event of session.engine.stream('run.watch', { id })) {
    const [seen, rungs]: [number, number] = [snapshot?.warnings.length ?? 0, snapshot?.rungs.length ?? 0]
    // The first event is a snapshot.
    snapshot = event.type === 'snapshot' ? event.snapshot : snapshot && apply(snapshot, event)
    if (!snapshot) continue
    for (const text of snapshot.warnings.slice(seen)) session.note(`warning: ${text}`)
    for (const { windows, dropped } of snapshot.rungs.slice(rungs)) session.note(`after ${windows} windows: ${dropped.length === 0 ? 'no method stops' : `stopped ${dropped.join(', ')}`}`)
    if (snapshot.progress) session.progress.show({ ...snapshot.progress, rate: snapshot.progress.tokensPerSecond })
  }
  session.progress.clear()
  if (!snapshot) throw new LabError('INTERNAL', `the run in ${folder} ended without a word`)
  const { status, reason, result } = snapshot
  if (session.json && result) session.printJson(result)
  if (status === 'cancelled') throw new LabError('CANCELLED', 'stopped after the pass in flight; everything measured is kept')
  if (status !== 'done' || !result) throw new LabError(reason?.code ?? 'INTERNAL', `${reason?.message ?? `the run ended as ${status}`} (everything measured is kept)`)
  if (!session.json) showResult(session, result, folder, next(result))
  return exitOfRun(result, strict)
}
