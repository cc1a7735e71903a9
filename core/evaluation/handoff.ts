import { LabError } from '#core/contract/errors.ts'
import { SIDES, type KvCache } from '#core/kv/cache.ts'
import { Reference, scoreAgainst, type TokenScores } from './score.ts'
import type { ModelSession, Past } from './session.ts'

// One window of the handoff mode: tokens 0..P-1 are a cache, tokens P..C-1 are fed after it, and the logits at positions P..C-2 score
// tokens P+1..C-1.

/** Copy a cache, bit for bit, into one row of a batch. */
export function fill(past: Past, row: number, cache: KvCache): void {
  const target = past.row(row)
  for (const side of SIDES) cache[side].forEach((values, layer) => target[side][layer]?.set(values))
}

/** The uncompressed prefix scored at batch 1. `past` is a batch of one to reuse. Throws LabError NOT_FINITE, or what the session throws. */
export async function referenceOf(session: ModelSession, prefix: KvCache, suffix: Uint32Array, past: Past = session.past(1, prefix.shape.tokens)): Promise<Reference> {
  fill(past, 0, prefix)
  const logits = await session.logits(past, suffix, 1)
  return timed(session, () => new Reference(logits.data, session.info.vocab, suffix.subarray(1)))
}

/** The rows of a batch whose pasts hold restored caches, scored against the reference; a row that is not finite is an error of its own. Throws what the session throws. */
export async function scoreRows(session: ModelSession, past: Past, rows: number, suffix: Uint32Array, reference: Reference): Promise<(TokenScores | LabError)[]> {
  const logits = await session.logits(past, suffix, rows)
  const scores = timed(session, () =>
    Array.from({ length: rows }, (_, row) => {
      try {
        return scoreAgainst(reference, logits.data, row * suffix.length * session.info.vocab)
      } catch (error) {
        if (error instanceof LabError) return error
        throw error
      }
    }),
  )
  logits.release()
  return scores
}

function timed<T>(session: ModelSession, work: () => T): T {
  const began = performance.now()
  const result = work()
  session.scoreSeconds += (performance.now() - began) / 1000
  return result
}
