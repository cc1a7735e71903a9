/** Seconds that went by while it ran. `now`: a clock in milliseconds. */
export class Stopwatch {
  readonly #now: () => number
  #began: number
  #stoppedAt: number | null = null

  constructor(now: () => number) {
    this.#now = now
    this.#began = now()
  }

  get seconds(): number {
    return ((this.#stoppedAt ?? this.#now()) - this.#began) / 1000
  }

  stop(): void {
    this.#stoppedAt ??= this.#now()
  }

  /** Go on from where it was stopped. */
  go(): void {
    if (this.#stoppedAt === null) return
    this.#began += this.#now() - this.#stoppedAt
    this.#stoppedAt = null
  }
}
