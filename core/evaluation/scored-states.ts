import type { HiddenStates } from './head.ts'

/** Gathers the states of tokens P on from the blocks they were fed in. */
export class ScoredStates {
  readonly #batch: number
  readonly #tokens: number
  readonly #prefix: number
  #data: Float32Array | Uint16Array = new Float32Array()
  #width = 0

  constructor(batch: number, contextLength: number, prefix: number) {
    this.#batch = batch
    this.#tokens = contextLength - prefix
    this.#prefix = prefix
  }

  /** The states of a block whose first token is token `first` of the window. */
  take({ data, tokens, width }: HiddenStates, first: number): void {
    if (this.#width === 0) {
      const length = this.#batch * this.#tokens * width
      this.#data = data instanceof Float32Array ? new Float32Array(length) : new Uint16Array(length)
      this.#width = width
    }
    const skipped = Math.max(0, this.#prefix - first)
    for (let row = 0; row < this.#batch; row++) {
      this.#data.set(data.subarray((row * tokens + skipped) * width, (row + 1) * tokens * width), (row * this.#tokens + first + skipped - this.#prefix) * width)
    }
  }

  /** Those of all tokens P..C-1 of each row. */
  all(): HiddenStates {
    return { data: this.#data, batch: this.#batch, tokens: this.#tokens, width: this.#width }
  }
}
