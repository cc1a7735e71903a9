import { stat } from 'node:fs/promises'
import { LabError } from '#core/contract/errors.ts'
import type { RunEntry } from '#core/contract/library.ts'
import type { RunResult, RunStatus } from '#core/contract/run.ts'
import type { Runs } from './runs.ts'
import { RunFolder, stampOf } from './store.ts'
import { storedState } from './stored.ts'

/** What the reports say of a result. */
export type Words = { conclusion(result: RunResult): string; smallestPassing(result: RunResult): RunEntry['smallestPassing'] }

/** Folders that are read at a time. */
const AT_ONCE = 16

/** An entry with the stamp of the files it was made from. */
type Remembered = { stamp: string; entry: RunEntry }

/** The list of all runs, newest first: those of the library, those opened, those of this engine. A folder that cannot be shown is an entry that says why. */
export function createHistory(runs: Runs, words: Words): { list(): Promise<RunEntry[]> } {
  const remembered = new Map<string, Remembered>()

  async function entryOf({ id, folder }: { id: string; folder: string }): Promise<RunEntry> {
    const job = runs.working.get(id)
    const { stamp, locked } = await stampOf(folder)
    const known = remembered.get(folder)
    // Who works on a locked run may be gone by now.
    const settled = !job && !locked
    if (settled && known?.stamp === stamp && known.entry.id === id) return known.entry
    try {
      const opened = await RunFolder.open(folder)
      const { status, result } = await storedState(opened)
      const entry = await describe(id, opened, job ? { status: job.snapshot.status, result: null } : { status, result: result?.status === status ? result : null })
      if (settled) remembered.set(folder, { stamp, entry })
      return entry
    } catch (error) {
      return { ...(await unreadable(id, folder, error)), status: job?.snapshot.status ?? 'failed' }
    }
  }

  async function describe(id: string, folder: RunFolder, { status, result }: { status: RunStatus; result: RunResult | null }): Promise<RunEntry> {
    const { path, head } = folder
    const { plan, createdAt } = head
    return {
      id,
      folder: path,
      createdAt,
      status,
      model: plan.model.name,
      weights: plan.model.weights,
      data: plan.data.name,
      protocol: plan.protocol,
      methods: plan.methods.length,
      seconds: result?.timing.totalSeconds ?? null,
      ...(result ? said(result, path) : { conclusion: null, smallestPassing: null }),
      ...(await folder.notes()),
      unreadable: null,
    }
  }

  /** What the reports are functions of is checked no further than they read: what they cannot read is a damaged file. */
  function said(result: RunResult, path: string): Pick<RunEntry, 'conclusion' | 'smallestPassing'> {
    try {
      return { conclusion: words.conclusion(result), smallestPassing: words.smallestPassing(result) }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new LabError('MALFORMED_FILE', `${path}: its result.json is not what a run writes (${reason}): make the run again`, { format: 'kvlab.run', reason, at: 0 }, { cause: error })
    }
  }

  return {
    async list() {
      const all = await runs.known.all()
      const entries: RunEntry[] = []
      for (let i = 0; i < all.length; i += AT_ONCE) entries.push(...(await Promise.all(all.slice(i, i + AT_ONCE).map(entryOf))))
      const folders = new Set(all.map(({ folder }) => folder))
      for (const folder of remembered.keys()) if (!folders.has(folder)) remembered.delete(folder)
      return entries.sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : a.id < b.id ? 1 : -1))
    },
  }
}

async function unreadable(id: string, folder: string, error: unknown): Promise<RunEntry> {
  const changed = await stat(folder).then(
    ({ mtime }) => mtime.toISOString(),
    () => '',
  )
  const nothing = { model: '', weights: null, data: '', protocol: null, methods: 0, seconds: null, conclusion: null, smallestPassing: null, tags: [], notes: '' }
  return { id, folder, createdAt: changed, status: 'failed', ...nothing, unreadable: error instanceof Error ? error.message : String(error) }
}
