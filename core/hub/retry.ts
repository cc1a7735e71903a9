import { setTimeout } from 'node:timers/promises'
import { LabError } from '#core/contract/errors.ts'
import type { Limits } from './limits.ts'

/**
 * Does `work` until it ends well. What may pass by itself is tried again after a wait that doubles, from `firstRetryMs` to `longestRetryMs`, shortened by up to half at random,
 * or as long as the server asked for; once `attempts` in a row brought nothing, by `progress`, the last error is thrown. `note` is told what is waited for, and null when it goes on.
 */
export async function persist<T>(work: () => Promise<T>, options: { limits: Limits; signal: AbortSignal; progress: () => number; note: (text: string | null) => void }): Promise<T> {
  const { limits, signal, progress, note } = options
  for (let vain = 0; ; ) {
    const before = progress()
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      const asked = retryOf(error)
      if (asked === null) throw error
      vain = progress() > before ? 1 : vain + 1
      if (vain >= limits.attempts) throw error
      const ownMs = Math.min(limits.longestRetryMs, limits.firstRetryMs * 2 ** (vain - 1)) * (0.5 + Math.random() / 2)
      const waitMs = Math.max(ownMs, Math.min(limits.longestRetryAfterMs, asked.afterMs))
      note(`${error instanceof Error ? error.message : String(error)}; trying again in ${Math.max(1, Math.round(waitMs / 1000))} s`)
      await setTimeout(waitMs, null, { signal }).catch(() => signal.throwIfAborted())
      note(null)
    }
  }
}

/** How long a server wants to be left alone; null where an error does not pass by itself. */
function retryOf(error: unknown): { afterMs: number } | null {
  if (!(error instanceof LabError) || error.code !== 'NETWORK_FAILED') return null
  const details = error.details
  if (typeof details !== 'object' || details === null || !('retry' in details) || details.retry !== true) return null
  const seconds = 'retryAfterSeconds' in details ? details.retryAfterSeconds : null
  return { afterMs: typeof seconds === 'number' ? 1000 * seconds : 0 }
}

/** What a server did wrong that may go right the next time. */
export function passing(message: string): LabError {
  return new LabError('NETWORK_FAILED', message, { status: null, retryAfterSeconds: null, retry: true })
}
