import { LabError } from '#core/contract/errors.ts'
import { losses } from './score.ts'
import type { ModelSession } from './session.ts'
import { tooShort } from './windows.ts'

/**
 * A named way to measure perplexity without compression. `context` and `stride` in tokens.
 * hf-stride: the token-weighted guide of Hugging Face; -window-mean: the mean of its windows' means, as many scripts print it;
 * disjoint: the tables of GPTQ and KVQuant; llama.cpp: llama-perplexity, which scores the second half of each window.
 */
export type PerplexityProtocol =
  | { readonly kind: 'hf-stride' | 'hf-stride-window-mean'; readonly context: number; readonly stride: number }
  | { readonly kind: 'disjoint' | 'llama.cpp'; readonly context: number }

/** Tokens `begin`..`end`-1 are fed; tokens `scored`..`end`-1 are scored. */
export type ScoredWindow = { readonly begin: number; readonly end: number; readonly scored: number }

/** Perplexity and its standard error, over `tokens` scored tokens; `nll` are their losses in order. */
export type PerplexityResult = { readonly perplexity: number; readonly standardError: number; readonly tokens: number; readonly windows: number; readonly nll: Float64Array }

/** The windows of a protocol over `tokens` tokens; none where the text is too short. Throws LabError INVALID_INPUT for lengths that make no window. */
export function perplexityWindows(protocol: PerplexityProtocol, tokens: number): ScoredWindow[] {
  const { context } = protocol
  if (!Number.isInteger(context) || context < 2) throw new LabError('INVALID_INPUT', `a context of ${context} tokens scores nothing: take at least 2`)
  const windows: ScoredWindow[] = []
  if (protocol.kind === 'hf-stride' || protocol.kind === 'hf-stride-window-mean') {
    const { stride } = protocol
    if (!Number.isInteger(stride) || stride < 1 || stride > context) throw new LabError('INVALID_INPUT', `a stride of ${stride} leaves tokens out or never ends: take 1 to ${context}`)
    for (let begin = 0, previous = 0; previous < tokens; begin += stride) {
      const end = Math.min(begin + context, tokens)
      // A window's first token has nothing that predicts it.
      const scored = Math.max(previous, begin + 1)
      if (scored < end) windows.push({ begin, end, scored })
      previous = end
    }
    return windows
  }
  const skipped = protocol.kind === 'disjoint' ? 1 : Math.floor(context / 2) + 1
  for (let begin = 0; begin + context <= tokens; begin += context) {
    if (skipped < context) windows.push({ begin, end: begin + context, scored: begin + skipped })
  }
  return windows
}

/**
 * Perplexity of `ids` (with the stream's leading BOS where that applies) by a protocol. `bosId` replaces the first token of each window of
 * llama.cpp, null leaves it; the other protocols leave the stream alone. Sums in F64. The standard error takes losses (for the window mean:
 * windows) as independent. Throws LabError TEXT_TOO_SHORT, NOT_FINITE, what the session throws, or the signal's reason.
 */
export async function* measurePerplexity(
  session: ModelSession,
  ids: Uint32Array,
  protocol: PerplexityProtocol,
  options: { bosId: number | null; signal: AbortSignal },
): AsyncGenerator<{ done: number; total: number }, PerplexityResult> {
  const windows = perplexityWindows(protocol, ids.length)
  if (windows.length === 0) throw tooShort([ids], protocol.kind.startsWith('hf') ? 2 : protocol.context)
  const all: Float64Array[] = []
  for (const { begin, end, scored } of windows) {
    yield { done: all.length, total: windows.length }
    options.signal.throwIfAborted()
    const window = ids.slice(begin, end)
    if (protocol.kind === 'llama.cpp' && options.bosId !== null) window[0] = options.bosId
    const logits = await session.logits(null, window, scored - begin - 1)
    all.push(losses(logits, session.info.vocab, 0, window.subarray(scored - begin)))
  }
  yield { done: all.length, total: windows.length }
  const nll = Float64Array.from(all.flatMap((part) => Array.from(part)))
  const { mean, error } = meanOf(protocol.kind === 'hf-stride-window-mean' ? Float64Array.from(all, (part) => meanOf(part).mean) : nll)
  const perplexity = Math.exp(mean)
  return { perplexity, standardError: perplexity * error, tokens: nll.length, windows: windows.length, nll }
}

/** Mean and its standard error; a single value has no error that could be known, and gets 0. */
function meanOf(values: Float64Array): { mean: number; error: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, error: values.length > 1 ? Math.sqrt(squares / (values.length - 1) / values.length) : 0 }
}
