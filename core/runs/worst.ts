/** A scored token. */
export type ScoredToken = { window: number; position: number; tokenId: number; nllRef: number; nllQ: number; kl: number; agree: boolean }

/** Keeps the `limit` tokens of the greatest KL of any number that are offered in their order; of equal ones the first. Holds at most twice as many. */
export class WorstTokens {
  readonly #limit: number
  #kept: ScoredToken[] = []
  /** What a token must exceed to be kept. */
  #bar = -Infinity

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Whether a token of this KL would be kept: asked before one is made. */
  takes(kl: number): boolean {
    return kl > this.#bar
  }

  add(token: ScoredToken): void {
    this.#kept.push(token)
    if (this.#kept.length >= 2 * this.#limit) this.#prune()
  }

  /** The kept tokens by falling KL. */
  sorted(): readonly ScoredToken[] {
    this.#prune()
    return this.#kept
  }

  #prune(): void {
    // The sort is stable: of equal tokens the first stays first.
    this.#kept.sort((a, b) => b.kl - a.kl)
    this.#kept.length = Math.min(this.#kept.length, this.#limit)
    if (this.#kept.length === this.#limit) this.#bar = this.#kept.at(-1)?.kl ?? -Infinity
  }
}

/** Half decades of KL in nats from 1e-9 to 10. */
const [LEAST_POWER, GREATEST_POWER, PER_DECADE] = [-9, 1, 2]
const BINS = (GREATEST_POWER - LEAST_POWER) * PER_DECADE

/** Counts KLs in half decades; what lies outside is in the first or the last bin, a KL of exactly 0 in `zeros`. */
export class KlHistogram {
  readonly edges = Array.from({ length: BINS + 1 }, (_, i) => 10 ** (LEAST_POWER + i / PER_DECADE))
  readonly counts = new Array<number>(BINS).fill(0)
  zeros = 0

  add(kl: number): void {
    if (kl === 0) {
      this.zeros++
      return
    }
    // The arithmetic leaves a KL that is nothing but noise a little below zero.
    const at = kl > 0 ? Math.floor((Math.log10(kl) - LEAST_POWER) * PER_DECADE) : 0
    const bin = Math.min(BINS - 1, Math.max(0, at))
    this.counts[bin] = (this.counts[bin] ?? 0) + 1
  }
}
