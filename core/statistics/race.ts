import type { Outcome } from '#core/contract/run.ts'
import type { GateSpec } from '#core/contract/spec.ts'
import { forecast } from './forecast.ts'
import { settledOutcome, windowMeans } from './settle.ts'
import type { TokenSamples } from './samples.ts'

/** Fewest windows that decide anything: below, how windows differ is hardly known. */
export const LEAST_WINDOWS = 8

/** A method in the race: its scores and the bytes of its coded streams in each of the first windows, the same windows for all. */
export type Racer = { readonly method: string; readonly bytes: Float64Array; readonly samples: TokenSamples }

/** What is raced for: `windows` of the whole sweep, `methods` at its start, how often decisions are made, and the gate with the level of its intervals. */
export type RaceRules = { readonly windows: number; readonly methods: number; readonly looks: number; readonly gate: GateSpec; readonly level: number }

/** A method that need not go on: one that goes on dominates it, and its verdict is settled. */
export type Stop = { readonly method: string; readonly dominatedBy: string; readonly outcome: Outcome }

/** Windows after which a sweep in `rungs` decides: by halving from the end, none with fewer than `LEAST_WINDOWS`. Ascending; empty where nothing is raced. */
export function rungEnds(windows: number, rungs: number): number[] {
  const ends = Array.from({ length: rungs - 1 }, (_, i) => Math.floor(windows / 2 ** (rungs - 1 - i)))
  return ends.filter((end) => end >= LEAST_WINDOWS && end < windows)
}

/**
 * Which of the racers stop after the windows they have. One stops only where (a) a racer that goes on will dominate it over all windows:
 * no more bytes and a lower mean KL, paired by window, and (b) the gate's verdict on it is settled. The chance that any decision of the
 * whole race differs from what all windows would have said is at most 1 - level (Bonferroni over looks, and over pairs or methods):
 * half for the front, half for verdicts. Does not depend on the order of the racers.
 */
export function stops(racers: readonly Racer[], rules: RaceRules): Stop[] {
  const { windows, methods, looks, gate, level } = rules
  const share = (1 - level) / looks / 2
  // Of two methods only one can be called the better wrongly.
  const frontError = share / Math.max(1, (methods * (methods - 1)) / 2)
  const settling = { windows, gate, level, error: share / methods }
  const ranked = racers
    .map((racer) => ({ ...racer, kl: windowMeans(racer.samples, (i) => racer.samples.kl[i]!) }))
    .map((racer) => ({ ...racer, mean: mean(racer.kl) }))
    // Whoever dominates has the lower KL: all that may dominate a racer are decided before it.
    .sort((a, b) => a.mean - b.mean || mean(a.bytes) - mean(b.bytes) || (a.method < b.method ? -1 : 1))
  const staying: typeof ranked = []
  const stopped: Stop[] = []
  for (const racer of ranked) {
    if (racer.kl.length < LEAST_WINDOWS) return []
    const better = staying.find((other) => surelyDominates(other, racer, windows, frontError))
    const outcome = better ? settledOutcome(racer.samples, settling) : null
    if (better && outcome) stopped.push({ method: racer.method, dominatedBy: better.method, outcome })
    else staying.push(racer)
  }
  return stopped
}

type Measured = { readonly bytes: Float64Array; readonly kl: Float64Array }

function surelyDominates(a: Measured, b: Measured, windows: number, error: number): boolean {
  const larger = forecast(a.bytes.map((bytes, i) => bytes - b.bytes[i]!), windows, error)
  return larger.high <= 0 && forecast(b.kl.map((kl, i) => kl - a.kl[i]!), windows, error).low > 0
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
