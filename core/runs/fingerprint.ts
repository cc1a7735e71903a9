import { createHash } from 'node:crypto'
import type { DataFacts, Protocol } from '#core/contract/run.ts'

/** Version of the scoring rule (handoff: logits at P..C-2 score P+1..C-1, new tokens in full precision, KL(reference || compressed) in nats). */
const SCORING_RULE = 'handoff/1'

/**
 * SHA-256 of what makes two results comparable: the mode with all its parameters and the text's token ids, not how much of it was run.
 * Hex digits.
 */
export function fingerprintOf(protocol: Protocol, data: DataFacts): string {
  const { mode, contextLength, prefixLength, block, advance, bos, bosApplied, join } = protocol
  const canonical = JSON.stringify([SCORING_RULE, mode, contextLength, prefixLength, block, advance, bos, bosApplied, join, data.tokenIdsSha256])
  return createHash('sha256').update(canonical).digest('hex')
}
