import { createHash } from 'node:crypto'
import type { DataFacts, Protocol } from '#core/contract/run.ts'

/** Version of each mode's scoring rule (logits at P..C-2 score P+1..C-1, KL(reference || compressed) in nats; when tokens are compressed is docs/protocols.md). */
const SCORING_RULES = { handoff: 'handoff/1', streaming: 'streaming/1', 'in-pass': 'in-pass/1' } as const satisfies Record<Protocol['mode'], string>

/**
 * SHA-256 of what makes two results comparable: the mode with all its parameters and the text's token ids, not how much of it was run.
 * Hex digits.
 */
export function fingerprintOf(protocol: Protocol, data: DataFacts): string {
  const { mode, contextLength, prefixLength, block, advance, bos, bosApplied, join, calibration, queries = 'exact' } = protocol
  // Absent where nothing is calibrated or rounded, so that fingerprints are those of versions that did not know it.
  const learned = calibration ? [[calibration.tokenIdsSha256, calibration.windows]] : []
  const rounded = queries === 'exact' ? [] : [{ queries }]
  const canonical = JSON.stringify([SCORING_RULES[mode], mode, contextLength, prefixLength, block, advance, bos, bosApplied, join, data.tokenIdsSha256, ...learned, ...rounded])
  return createHash('sha256').update(canonical).digest('hex')
}
