import { LabError } from '#core/contract/errors.ts'
import { sweepMemory } from '#core/contract/memory.ts'
import type { TokenScores } from '#core/evaluation/score.ts'
import type { ModelSession } from '#core/evaluation/session.ts'
import type { ModeRunner } from './window-mode.ts'

export type BatchChoice = {
  /** Rows of a pass. */
  readonly size: number
  /** Rows of the A/A pass: not `size` of the reference's own pass, 1, where the graph allows it. */
  readonly aaSize: number
  /** Wall seconds of one row, measured. */
  readonly secondsPerRow: number
  readonly warnings: string[]
}

/** What is asked of a mode that compresses while it reads. */
type Again = Pick<ModeRunner, 'reference' | 'again'>

/** Caches of a whole window that such a mode holds of each row: as made, as attended to, and one on its way through a file. */
const ROW_CACHES = 3
/** A larger batch is taken only if a row gets at least this much cheaper: below it the gain is noise and the memory is wasted. */
const WORTHWHILE = 0.95
/** Rows beyond this have never been measured to pay on a CPU. */
const MAX_BATCH = 16
/** A batch size is timed by the best of this many passes, or of those (at least two) that fit into this many milliseconds. */
const TIMED_PASSES = 20
const TIMED_MS = 300
/** Losses of two batch sizes that differ by more than this, in nats, come from a graph that cannot batch with a past. */
const SAME_LOSS = 1e-2

/**
 * The batch size by measurement on the first window: 1, 2, 4, … while a row gets cheaper, within `budget` bytes and `rows` (the most a
 * pass can use). A given size is checked, not measured against others. A graph that refuses a batch with a past, or scores
 * otherwise in one, runs at 1. `mode`: one that compresses while it reads, which runs the window as it does.
 */
export async function chooseBatch(session: ModelSession, window: Uint32Array, prefixLength: number, asked: number | 'auto', budget: number, rows: number, mode: Again | null = null): Promise<BatchChoice> {
  const { layers, kvHeads, headDim } = session.info
  const windowCache = 8 * layers * kvHeads * headDim * window.length
  const memory = (batch: number): number => sweepMemory({ ...session.info, split: session.info.whole === null }, window.length, prefixLength, batch) + (mode ? ROW_CACHES * batch * windowCache : 0)
  if (memory(1) > budget) {
    throw new LabError('INVALID_INPUT', `one row needs about ${Math.ceil(memory(1) / 1e6)} MB beside the model, over the budget of ${Math.floor(budget / 1e6)} MB: raise --memory or shorten --context`)
  }
  const again = mode ? await throughout(mode, window) : await afterPrefix(session, window, prefixLength)
  const single = await timeRows(again, 1)
  const tryBatch = async (size: number): Promise<number | null> => {
    if (memory(size) > budget) return null
    try {
      const tried = await timeRows(again, size)
      return farApart(tried.nll, single.nll) ? null : tried.seconds
    } catch (error) {
      if (error instanceof LabError) return null
      throw error
    }
  }

  const pair = await tryBatch(2)
  let best = { size: 1, seconds: single.seconds }
  const warnings: string[] = []
  if (asked === 'auto') {
    for (let size = 2; size <= Math.min(rows, MAX_BATCH); size *= 2) {
      const seconds = size === 2 ? pair : await tryBatch(size)
      if (seconds === null || seconds > best.seconds * WORTHWHILE) break
      best = { size, seconds }
    }
  } else if (asked > 1) {
    const wanted = Math.min(asked, rows)
    let size = wanted
    while (size > 1 && memory(size) > budget) size--
    if (size < wanted) warnings.push(`a batch of ${wanted} needs about ${Math.ceil(memory(wanted) / 1e6)} MB beside the model, over the budget of ${Math.floor(budget / 1e6)} MB: ${size} is used`)
    const seconds = size === 1 ? best.seconds : await tryBatch(size)
    if (seconds === null) warnings.push(`this graph cannot score a batch of ${size} with a past: 1 is used`)
    else best = { size, seconds }
  }
  const aaSize = best.size > 1 ? best.size : pair === null ? 1 : 2
  return { size: best.size, aaSize, secondsPerRow: best.seconds, warnings }
}

/** The scores of the last of so many equal rows. */
type Rows = (batch: number) => Promise<TokenScores>

async function throughout(mode: Again, window: Uint32Array): Promise<Rows> {
  const reference = await mode.reference(window)
  return (batch) => mode.again(window, batch, reference)
}

async function afterPrefix(session: ModelSession, window: Uint32Array, prefixLength: number): Promise<Rows> {
  const prefix = await session.prefill(window.subarray(0, prefixLength))
  const suffix = window.subarray(prefixLength)
  const alone = session.past(1, prefixLength)
  alone.fill(0, prefix)
  const reference = await session.reference(alone, suffix)
  let past = alone
  return async (batch) => {
    if (past.batch !== batch) {
      past = session.past(batch, prefixLength)
      for (let row = 0; row < batch; row++) past.fill(row, prefix)
    }
    const scores = (await session.score(past, suffix, reference)).at(-1)
    if (!scores || scores instanceof LabError) throw scores ?? new LabError('INTERNAL', 'a batch without rows')
    return scores
  }
}

/** The least wall seconds of one of `batch` equal rows, scores included, over a few passes, and the losses of the last row. */
async function timeRows(again: Rows, batch: number): Promise<{ seconds: number; nll: Float64Array }> {
  let seconds = Infinity
  let nll: Float64Array = new Float64Array()
  const began = performance.now()
  for (let pass = 0; pass < TIMED_PASSES && (pass < 2 || performance.now() - began < TIMED_MS); pass++) {
    const start = performance.now()
    nll = (await again(batch)).nll
    seconds = Math.min(seconds, (performance.now() - start) / 1000 / batch)
  }
  return { seconds, nll }
}

function farApart(a: Float64Array, b: Float64Array): boolean {
  return a.some((value, i) => !(Math.abs(value - (b[i] ?? NaN)) <= SAME_LOSS))
}
