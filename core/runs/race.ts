import type { Outcome, RunPlan } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { isLossy, readMethod } from '#core/kv/methods.ts'
import { rungEnds, stops, type Racer } from '#core/statistics/race.ts'
import type { MethodTally, Tally } from './tally.ts'

/** A method that the race stopped after `afterWindows` windows, and what its verdict was settled to be. */
export type Drop = { readonly method: string; readonly afterWindows: number; readonly dominatedBy: string; readonly outcome: Outcome }

/**
 * Which methods still run. Each decision is a function of what the tally holds of the windows below its rung's end, so that a resumed run
 * decides the same. A run in one rung drops nothing.
 */
export class Race {
  /** Windows after which it decides, ascending. */
  readonly ends: readonly number[]
  readonly #plan: RunPlan
  readonly #spec: RunSpec
  readonly #tally: Tally
  readonly #drops = new Map<string, Drop>()
  #decided = 0

  constructor(spec: RunSpec, plan: RunPlan, tally: Tally) {
    this.ends = rungEnds(plan.protocol.windows, spec.rungs)
    this.#plan = plan
    this.#spec = spec
    this.#tally = tally
  }

  /** The methods that run on this window: those that neither failed before it nor were dropped. Decides whatever rungs are complete. */
  methodsOn(window: number): string[] {
    this.#decide()
    return [...this.#tally.methods].filter(([text, method]) => !failedBefore(method, window) && !this.#droppedBefore(text, window)).map(([text]) => text)
  }

  /** What was dropped so far, by method. */
  drops(): ReadonlyMap<string, Drop> {
    this.#decide()
    return this.#drops
  }

  /** How many rungs have been decided. */
  get decided(): number {
    return this.#decided
  }

  #droppedBefore(method: string, window: number): boolean {
    return (this.#drops.get(method)?.afterWindows ?? Infinity) <= window
  }

  #decide(): void {
    for (let end = this.ends[this.#decided]; end !== undefined; end = this.ends[this.#decided]) {
      const racers = this.#racers(end)
      if (racers === null) return
      const { gate, level } = this.#spec
      const { methods, protocol } = this.#plan
      for (const stop of stops(racers, { windows: protocol.windows, methods: methods.length, looks: this.ends.length, gate, level })) {
        this.#drops.set(stop.method, { ...stop, afterWindows: end })
      }
      this.#decided++
    }
  }

  /** Who is in the race after `end` windows; null while one of these windows is not whole. */
  #racers(end: number): Racer[] | null {
    const running = [...this.#tally.methods].filter(([text, method]) => !failedBefore(method, end) && !this.#drops.has(text))
    const whole = (done: Uint8Array): boolean => done.subarray(0, end).every((one) => one === 1)
    if (!whole(this.#tally.reference.done) || !running.every(([, method]) => whole(method.scores.done))) return null
    return running.filter(([text, method]) => !neverEngaged(text, method, end)).map(([method, measured]) => racer(method, measured, end, this.#tally.reference.nll))
  }
}

function racer(method: string, { scores, streamBytes }: MethodTally, end: number, reference: Float64Array): Racer {
  const { tokensPerWindow } = scores
  const tokens = end * tokensPerWindow
  const samples = { tokensPerWindow, nllRef: reference.subarray(0, tokens), nll: scores.nll.subarray(0, tokens), kl: scores.kl.subarray(0, tokens), agree: scores.agree.subarray(0, tokens) }
  return { method, bytes: streamBytes.subarray(0, end), samples }
}

function failedBefore({ failure }: MethodTally, window: number): boolean {
  return failure !== null && failure.window < window
}

/** A lossy method that changed nothing is an error in the end, and no measure for others. */
function neverEngaged(text: string, { scores }: MethodTally, end: number): boolean {
  return isLossy(readMethod(text)) && scores.sums.kl.subarray(0, end).every((kl) => kl === 0)
}
