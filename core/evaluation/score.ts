import { LabError } from '#core/contract/errors.ts'
import { kernels } from '#core/kernels/index.ts'

/**
 * Of each scored token: natural-log loss, KL(reference || scored) in nats over the whole vocabulary, and 1 where the reference's most likely token
 * is among the most likely ones of the scored row: none is above it, whichever of equal ones comes first.
 */
export type TokenScores = { readonly nll: Float64Array; readonly kl: Float64Array; readonly agree: Uint8Array }

/**
 * The uncompressed pass of a window that others are scored against: row t of `logits` (`[rows, vocab]`, at least as many rows as `targets`)
 * predicts `targets[t]`. Keeps `logits` itself, which must not change. Throws LabError NOT_FINITE naming the token.
 */
export class Reference {
  readonly vocab: number
  readonly targets: Uint32Array
  /** Loss of each target. */
  readonly nll: Float64Array
  /** Most likely token of each row, the first of equals. */
  readonly argmax: Uint32Array
  readonly logits: Float32Array
  /** Per row its largest logit, and the sum of e^(logit - that). */
  readonly maxima: Float64Array
  readonly sums: Float64Array

  constructor(logits: Float32Array, vocab: number, targets: Uint32Array) {
    const rows = targets.length
    this.vocab = vocab
    this.targets = targets
    this.logits = logits
    this.nll = new Float64Array(rows)
    this.argmax = new Uint32Array(rows)
    this.maxima = new Float64Array(rows)
    this.sums = new Float64Array(rows)
    for (let t = 0; t < rows; t++) {
      const row = logits.subarray(t * vocab, (t + 1) * vocab)
      const max = largest(row, t)
      const sum = kernels.sumExps(row, max)
      this.argmax[t] = row.indexOf(max)
      this.maxima[t] = max
      this.sums[t] = sum
      this.nll[t] = max + Math.log(sum) - (row[targets[t] ?? vocab] ?? NaN)
    }
  }
}

/**
 * Scores of logits `[rows, vocab]` that begin at `offset` of `logits`, row by row against the reference; sums in F64.
 * Equal logits give a KL of exactly 0. Throws LabError NOT_FINITE naming the token.
 */
export function scoreAgainst(reference: Reference, logits: Float32Array, offset: number): TokenScores {
  const { vocab, targets } = reference
  const rows = targets.length
  const scores = { nll: new Float64Array(rows), kl: new Float64Array(rows), agree: new Uint8Array(rows) }
  for (let t = 0; t < rows; t++) {
    const begin = t * vocab
    const row = logits.subarray(offset + begin, offset + begin + vocab)
    const known = reference.logits.subarray(begin, begin + vocab)
    const knownMax = reference.maxima[t] ?? NaN
    const knownSum = reference.sums[t] ?? NaN
    const max = largest(row, t)
    const { sum, cross } = kernels.compareRows(row, max, known, knownMax)
    const logSum = max + Math.log(sum)
    scores.nll[t] = logSum - (row[targets[t] ?? vocab] ?? NaN)
    // Σ p (z_ref - z) + lse(z) - lse(z_ref).
    scores.kl[t] = cross / knownSum + (logSum - (knownMax + Math.log(knownSum)))
    scores.agree[t] = (row[reference.argmax[t] ?? vocab] ?? NaN) >= max ? 1 : 0
  }
  return scores
}

/** Losses of `targets` by rows `firstRow`… of logits `[rows, vocab]`. Throws LabError NOT_FINITE naming the token. */
export function losses(logits: Float32Array, vocab: number, firstRow: number, targets: Uint32Array): Float64Array {
  return Float64Array.from(targets, (target, t) => {
    const row = logits.subarray((firstRow + t) * vocab, (firstRow + t + 1) * vocab)
    const max = largest(row, t)
    return max + Math.log(kernels.sumExps(row, max)) - (row[target] ?? NaN)
  })
}

/** The largest logit of a row. Throws LabError NOT_FINITE with the row's token. */
function largest(row: Float32Array, token: number): number {
  const max = kernels.largestLogit(row)
  if (Number.isFinite(max)) return max
  throw new LabError('NOT_FINITE', `the logits that predict scored token ${token} hold a NaN or an infinity: its scores would mean nothing`, { token })
}
