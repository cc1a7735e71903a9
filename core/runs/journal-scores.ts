import { LabError } from '#core/contract/errors.ts'
import { Journal, type JournalRecord, type WindowScores } from './journal.ts'
import type { RunFolder } from './store.ts'
import type { ScoreRows } from './tokens.ts'
import { windowIds } from './window-ids.ts'

/**
 * The scores of one method or control of a run that has not come to its end, from its journal, a window at a time. The journal has no token ids:
 * they are those of the text, which is read again. Throws LabError RUN_MISMATCH where that has changed, and those of the journal, the model and the text.
 */
export async function* journalScores(home: string, folder: RunFolder, method: string): AsyncGenerator<ScoreRows, void> {
  const { spec } = folder
  const windows = await windowIds(home, folder)
  const first = spec.prefixLength + 1
  const references = new Map<number, readonly number[]>()
  for (const { window, records } of Journal.read(folder.journalPath)) {
    // A long journal must not keep all else waiting.
    await new Promise((resolve) => setImmediate(resolve))
    const ids = windows[window]?.subarray(first, spec.contextLength)
    for (const record of records) if (record.kind === 'reference') references.set(window, record.nll)
    const scores = scoresOf(records, method)
    const nllRef = references.get(window)
    if (!scores) continue
    const rows = scores.kl.length
    if (!ids || !nllRef || [ids, nllRef, scores.nll, scores.agree].some(({ length }) => length !== rows)) {
      throw new LabError('MALFORMED_FILE', `${folder.journalPath} does not fit the windows of its run: start the run again in a new folder`, { format: 'kvlab.journal', reason: 'OtherWindows', at: window })
    }
    yield {
      rows,
      window: new Int32Array(rows).fill(window),
      position: Int32Array.from({ length: rows }, (_, i) => first + i),
      tokenId: ids,
      nllRef,
      nllQ: scores.nll,
      kl: scores.kl,
      agree: Array.from(scores.agree, (same) => same === '1'),
    }
  }
}

function scoresOf(records: readonly JournalRecord[], method: string): WindowScores | null {
  for (const record of records) {
    if (record.kind === 'cell' && record.method === method) return record.scores
    if (record.kind === 'control' && `control:${record.control}` === method) return record.scores
  }
  return null
}
