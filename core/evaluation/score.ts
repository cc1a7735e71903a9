import { LabError } from '#core/contract/errors.ts'

/** Of each scored token: natural-log loss, KL(reference || scored) in nats over the whole vocabulary, and 1 where the most likely token is the reference's. */
export type TokenScores = { readonly nll: Float64Array; readonly kl: Float64Array; readonly agree: Uint8Array }

// e^x from a table of e^(k ln2 / 128) and a cubic in the rest: relative error below 3e-12, a third of the time of Math.exp.
const STEPS = 128
const PER_UNIT = STEPS / Math.LN2
const STEP = Math.LN2 / STEPS
/** e^x is taken as 0 below: beside a largest term of 1 (or at least e^-40, see `rowAgainst`) nothing is lost in F64. */
const LOWEST = -100
/** The table ends here; a row that rises higher above the reference's maximum is summed from its own. */
const HIGHEST = 60
const ZERO = Math.ceil(-LOWEST * PER_UNIT) + 1
const POWERS = Float64Array.from({ length: ZERO + Math.ceil(HIGHEST * PER_UNIT) + 2 }, (_, k) => Math.exp((k - ZERO) * STEP))

function exp(x: number): number {
  if (!(x > LOWEST)) return 0
  const k = (x * PER_UNIT + (ZERO + 0.5)) | 0
  const r = x - (k - ZERO) * STEP
  return POWERS[k]! * (1 + r * (1 + r * (0.5 + r * (1 / 6))))
}

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
  /** e^(logit - maximum of its row), and per row that maximum, the sum of the weights and the log of the exact sum. */
  readonly weights: Float32Array
  readonly maxima: Float64Array
  readonly weightSums: Float64Array
  readonly logSums: Float64Array

  /** `weights`: where they are to lie. */
  constructor(logits: Float32Array, vocab: number, targets: Uint32Array, weights = new Float32Array(targets.length * vocab)) {
    const rows = targets.length
    this.vocab = vocab
    this.targets = targets
    this.logits = logits
    this.nll = new Float64Array(rows)
    this.argmax = new Uint32Array(rows)
    this.weights = weights
    this.maxima = new Float64Array(rows)
    this.weightSums = new Float64Array(rows)
    this.logSums = new Float64Array(rows)
    for (let t = 0; t < rows; t++) {
      const row = logits.subarray(t * vocab, (t + 1) * vocab)
      const weights = this.weights.subarray(t * vocab, (t + 1) * vocab)
      const top = largest(row, t)
      const max = row[top] ?? NaN
      let sum = 0
      let weightSum = 0
      for (let i = 0; i < vocab; i++) {
        const power = exp(row[i]! - max)
        sum += power
        // Below e^-80 an F32 would be subnormal, which is slow to read and adds nothing.
        weights[i] = power > 1e-35 ? power : 0
        weightSum += weights[i]!
      }
      this.argmax[t] = top
      this.maxima[t] = max
      this.weightSums[t] = weightSum
      this.logSums[t] = Math.log(sum)
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
    const weights = reference.weights.subarray(begin, begin + vocab)
    let max = reference.maxima[t] ?? NaN
    if (!rowAgainst(row, known, weights, max)) {
      max = row[largest(row, t)] ?? NaN
      rowAgainst(row, known, weights, max)
    }
    if (!Number.isFinite(found.cross)) throw notFinite(t)
    const logSum = max + Math.log(found.sum)
    const knownLogSum = (reference.maxima[t] ?? NaN) + (reference.logSums[t] ?? NaN)
    scores.nll[t] = logSum - (row[targets[t] ?? vocab] ?? NaN)
    // Σ p (z_ref - z) + lse(z) - lse(z_ref), p by the weights as they are stored: their rounding cancels to second order.
    scores.kl[t] = found.cross / (reference.weightSums[t] ?? NaN) + (logSum - knownLogSum)
    scores.agree[t] = found.top === reference.argmax[t] ? 1 : 0
  }
  return scores
}

/** Losses of `targets` by rows `firstRow`… of logits `[rows, vocab]`. Throws LabError NOT_FINITE naming the token. */
export function losses(logits: Float32Array, vocab: number, firstRow: number, targets: Uint32Array): Float64Array {
  return Float64Array.from(targets, (target, t) => {
    const row = logits.subarray((firstRow + t) * vocab, (firstRow + t + 1) * vocab)
    const max = row[largest(row, t)] ?? NaN
    let sum = 0
    for (let i = 0; i < vocab; i++) sum += exp(row[i]! - max)
    return max + Math.log(sum) - (row[target] ?? NaN)
  })
}

/** What the last `rowAgainst` found: the most likely token, Σ e^(z - max) and Σ w (z_ref - z). One object, so that the inner loop allocates nothing. */
const found = { top: 0, sum: 0, cross: 0 }

/** One pass over a row. False where `max`, the reference's, is too far from the row's own for the sum to be exact: call again with that. */
function rowAgainst(row: Float32Array, known: Float32Array, weights: Float32Array, max: number): boolean {
  let best = -Infinity
  let top = 0
  let sum = 0
  let cross = 0
  for (let i = 0; i < row.length; i++) {
    const z = row[i]!
    if (z > best) {
      best = z
      top = i
      if (z - max > HIGHEST) return false
    }
    // A NaN or an infinity makes this sum not finite, even where the weight is 0.
    cross += weights[i]! * (known[i]! - z)
    sum += exp(z - max)
  }
  found.top = top
  found.sum = sum
  found.cross = cross
  return best - max > -40
}

/** Index of the largest value of a row, the first of equals. Throws LabError NOT_FINITE with the row's token. */
function largest(row: Float32Array, token: number): number {
  let best = -Infinity
  let top = 0
  let total = 0
  for (let i = 0; i < row.length; i++) {
    const z = row[i]!
    total += z
    if (z > best) {
      best = z
      top = i
    }
  }
  if (!Number.isFinite(total)) throw notFinite(token)
  return top
}

function notFinite(token: number): LabError {
  return new LabError('NOT_FINITE', `the logits that predict scored token ${token} hold a NaN or an infinity: its scores would mean nothing`, { token })
}
