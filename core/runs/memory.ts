import { headRows } from '#core/evaluation/head.ts'
import type { SessionInfo } from '#core/evaluation/session.ts'
import { f16Bytes } from '#core/kv/cache.ts'

/** Arrays as large as the logits of the head's rows that are alive at once while it compares them: the logits, differences, powers and products. */
const HEAD_ARRAYS = 3
/** … and, of all rows of a suffix: the reference's logits and weights, and logits on their way out of ONNX Runtime. */
const REFERENCE_ARRAYS = 3
/** Caches of a prefix that a sweep holds whatever its batch: the window's, that of the window before, and the workspace and file of an encoding. */
const CACHES = 4

/** Bytes a sweep of passes of `batch` rows holds beside the model, from the shapes alone: what is compared with a budget before anything is tried. */
export function sweepMemory(info: SessionInfo, contextLength: number, prefixLength: number, batch: number): number {
  const { layers, kvHeads, headDim, vocab, kvDtype, whole } = info
  const suffix = contextLength - prefixLength
  // Caches are held as F32, whatever the model's own type.
  const cache = 2 * f16Bytes({ layers, kvHeads, headDim, tokens: prefixLength, dtype: kvDtype })
  const present = (cache / prefixLength) * contextLength
  const rowLogits = 4 * vocab
  const head = whole === null ? HEAD_ARRAYS * Math.min(suffix, headRows(vocab)) * rowLogits : 2 * batch * suffix * rowLogits
  // A row's past, and what the pass makes of it with the new tokens: keys and values of all layers, and about as much of attention.
  return REFERENCE_ARRAYS * suffix * rowLogits + head + CACHES * cache + batch * (cache + 2 * present)
}

/**
 * The most memory this process will have had when a sweep is over, in bytes: what it holds now that each kind of pass has run, and `more` that is still to come;
 * or what it held at its fullest, while the model was loaded.
 */
export function expectedPeak(more: number): number {
  return Math.max(process.resourceUsage().maxRSS * 1024, process.memoryUsage.rss() + more)
}
