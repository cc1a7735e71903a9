/**
 * xoshiro128** 1.1 by David Blackman and Sebastiano Vigna ("Scrambled linear pseudorandom number generators", ACM TOMS 2021): 32 bits a step.
 * The state is filled from the seed by SplitMix32, a Weyl sequence through the finaliser of MurmurHash3, as its authors advise for small seeds.
 */
export class Xoshiro128 {
  readonly #state: Uint32Array

  private constructor(state: Uint32Array) {
    this.#state = state
  }

  /** `seed`: an integer from 0 to 2^53 - 1; all its bits count. */
  static fromSeed(seed: number): Xoshiro128 {
    const state = new Uint32Array(4)
    let weyl = (seed >>> 0) ^ Math.imul(Math.floor(seed / 2 ** 32), 0x85ebca6b)
    for (let i = 0; i < 4; i++) {
      weyl = (weyl + 0x9e3779b9) >>> 0
      let mixed = Math.imul(weyl ^ (weyl >>> 16), 0x85ebca6b)
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
      state[i] = mixed ^ (mixed >>> 16)
    }
    return new Xoshiro128(state)
  }

  /** Continue from four 32-bit words, not all zero. */
  static fromState(words: readonly [number, number, number, number]): Xoshiro128 {
    return new Xoshiro128(Uint32Array.from(words))
  }

  /** Fill `out` with the next 32-bit numbers. */
  fill(out: Uint32Array): void {
    let a = this.#state[0]!
    let b = this.#state[1]!
    let c = this.#state[2]!
    let d = this.#state[3]!
    for (let i = 0; i < out.length; i++) {
      const product = Math.imul(b, 5)
      out[i] = Math.imul((product << 7) | (product >>> 25), 9)
      const shifted = b << 9
      c ^= a
      d ^= b
      b ^= c
      a ^= d
      c ^= shifted
      d = (d << 11) | (d >>> 21)
    }
    this.#state.set([a, b, c, d])
  }
}
