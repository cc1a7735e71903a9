import { setTimeout } from 'node:timers/promises'
import type { Progress } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'

/** Often enough to look alive; a page takes no more than ten a second. */
const TELL_MS = 100

/**
 * Does `work` and tells how far it is until it ends, and once then. Work is over, and has put away what it began, once this generator has ended, whether it was
 * followed to the end, left, or aborted.
 */
export async function* underWay<T>(work: (signal: AbortSignal) => Promise<T>, progress: () => Progress, signal: AbortSignal): AsyncGenerator<Progress, T, void> {
  signal.throwIfAborted()
  const left = new AbortController()
  const running = work(AbortSignal.any([signal, left.signal]))
  const ended = running.then(
    () => true,
    () => true,
  )
  try {
    for (;;) {
      yield progress()
      if (!(await Promise.race([ended, setTimeout(TELL_MS, false, { ref: false })]))) continue
      const result = await running
      yield progress()
      return result
    }
  } finally {
    left.abort(new LabError('CANCELLED', 'cancelled'))
    await ended
  }
}
