import type { ModelEntry } from './library.ts'

/** What the memory of a pass depends on. `split`: the graph is cut before its LM head, so that logits are made some rows at a time. */
export type PassSizes = { readonly layers: number; readonly kvHeads: number; readonly headDim: number; readonly vocab: number; readonly split: boolean }

/** Logits that are held at once by the LM head of a split graph, in bytes: it runs on as many rows at a time as that allows. */
const LOGITS_BYTES = 64 * 2 ** 20

/** Rows of a pass of the LM head of a split graph. */
export function headRows(vocab: number): number {
  return Math.max(1, Math.floor(LOGITS_BYTES / (4 * vocab)))
}

/** Arrays as large as the logits of the head's rows that are alive at once while it compares them: the logits, differences, powers and products. */
const HEAD_ARRAYS = 3
/** … and, of all rows of a suffix: the reference's logits and weights, and logits on their way out of ONNX Runtime. */
const REFERENCE_ARRAYS = 3
/** Caches of a prefix that a sweep holds whatever its batch: the window's, that of the window before, and the workspace and file of an encoding. */
const CACHES = 4

/** Bytes a sweep of passes of `batch` rows holds beside the model, from the shapes alone: what is compared with a budget before anything is tried. */
export function sweepMemory(sizes: PassSizes, contextLength: number, prefixLength: number, batch: number): number {
  const { layers, kvHeads, headDim, vocab, split } = sizes
  const suffix = contextLength - prefixLength
  // Caches are held as F32, whatever the model's own type.
  const token = 2 * layers * kvHeads * headDim * 4
  const cache = token * prefixLength
  const present = token * contextLength
  const rowLogits = 4 * vocab
  const head = split ? HEAD_ARRAYS * Math.min(suffix, headRows(vocab)) * rowLogits : 2 * batch * suffix * rowLogits
  // A row's past, and what the pass makes of it with the new tokens: keys and values of all layers, and about as much of attention.
  return REFERENCE_ARRAYS * suffix * rowLogits + head + CACHES * cache + batch * (cache + 2 * present)
}

/**
 * Bytes that a sweep with this model needs at a context of so many tokens, half of them the prefix: the weights (graph and external data, once), and what
 * `sweepMemory` says of passes of one row: keys and values in F32, and the logits of the scored half. null where the model cannot be evaluated. An estimate from
 * shapes: what ONNX Runtime unpacks and rearranges of the weights comes on top, and of 4-bit weights can be several times their file.
 */
export function memoryAt(entry: ModelEntry, context: number): number | null {
  const { cache, vocab, bytes, edits, unusable } = entry
  if (cache === null || vocab === null || unusable !== null) return null
  const sizes = { ...cache, vocab, split: edits.every(({ reason }) => reason === null) }
  return bytes + sweepMemory(sizes, context, Math.floor(context / 2), 1)
}
