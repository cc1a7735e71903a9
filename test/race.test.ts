import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Outcome, RunResult } from '#core/contract/run.ts'
import { createRuns, type Runs } from '#core/runs/runs.ts'
import { demoSpec, STRICT_GATE } from '#core/runs/spec.ts'
import { readResult } from '#core/runs/store.ts'
import { Bootstrap } from '#core/statistics/bootstrap.ts'
import { judge, outcomeOf } from '#core/statistics/gate.ts'
import { paretoFront } from '#core/statistics/pareto.ts'
import { quality } from '#core/statistics/quality.ts'
import { rungEnds, stops, type Racer } from '#core/statistics/race.ts'
import { Xoshiro128 } from '#core/statistics/random.ts'

// Keys and values in 8, 6, 4 and 2 bits, as they are and rotated: 24 methods of 7 sizes, from far apart to hardly to be told apart.
const METHODS = ['', ':hadamard'].flatMap((turn) => ['int8', 'int6', 'int4', 'int2'].flatMap((key) => ['int8', 'int4', 'int2'].map((value) => `${key}:g32${turn}/${value}:g32${turn}`)))
const WINDOWS = 48
const LEVEL = 0.95

let home = ''
let runs: Runs
let full: { folder: string; result: RunResult }
let raced: { folder: string; result: RunResult }

async function run(rungs: number): Promise<{ folder: string; result: RunResult }> {
  const signal = new AbortController().signal
  const steps = runs.start(demoSpec({ windows: WINDOWS, methods: METHODS, batch: 1, threads: 2, rungs }), {}, signal)
  for (;;) {
    const step = await steps.next()
    if (!step.done) continue
    const { id, folder } = step.value
    for await (const event of runs.watch(id, signal)) if (event.type === 'finished') expect(event.status).toBe('done')
    return { folder, result: await readResult(folder) }
  }
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-race-'))
  runs = createRuns({ home })
  full = await run(1)
  raced = await run(3)
})
afterAll(async () => {
  await runs.close()
  rmSync(home, { recursive: true, force: true })
})

describe('racing on the demo model', () => {
  it('has the Pareto front and the verdicts of the full sweep', () => {
    const facts = ({ trials }: RunResult): unknown => trials.map(({ method, front, verdict }) => [method, front, verdict?.outcome])
    expect(full.result.trials).toHaveLength(24)
    expect(facts(raced.result)).toEqual(facts(full.result))
    expect(raced.result.racing?.dropped).toBeGreaterThan(2)
  })

  it('never drops a method of the front nor settles another verdict, on other parts of the text and in other orders', async () => {
    const racers = await racersOf(full)
    let [races, dropped] = [0, 0]
    for (const windows of [24, 32, 48]) {
      for (let seed = 0; seed < 20; seed++) {
        const order = shuffled(WINDOWS, seed).slice(0, windows)
        const all = racers.map((racer) => part(racer, order))
        const front = paretoFront(all.map(({ bytes, samples }) => ({ bytes: mean(bytes), kl: mean(samples.kl) })))
        const outcomes = outcomesOf(all)
        for (const { method, outcome } of race(all, windows, 4)) {
          const at = all.findIndex((racer) => racer.method === method)
          expect(front[at], `${method}, ${windows} windows, seed ${seed}`).toBe(false)
          expect(outcome, `${method}, ${windows} windows, seed ${seed}`).toBe(outcomes[at])
          dropped++
        }
        races++
      }
    }
    expect(dropped).toBeGreaterThan(2 * races)
  })
})

/** Every stop of a race over these windows in their order. */
function race(all: readonly Racer[], windows: number, rungs: number): { method: string; outcome: Outcome }[] {
  const ends = rungEnds(windows, rungs)
  let running = all
  return ends.flatMap((end) => {
    const first = Array.from({ length: end }, (_, i) => i)
    const stopped = stops(running.map((racer) => part(racer, first)), { windows, methods: all.length, looks: ends.length, gate: STRICT_GATE, level: LEVEL })
    running = running.filter(({ method }) => !stopped.some((stop) => stop.method === method))
    return stopped
  })
}

function outcomesOf(all: readonly Racer[]): Outcome[] {
  return all.map(({ bytes, samples }) => {
    const measured = quality(samples, { level: LEVEL, bootstrap: new Bootstrap(bytes.length, { resamples: 1000, seed: 0 }), wrongCacheKl: null })
    return outcomeOf(judge(measured, STRICT_GATE, samples.tokensPerWindow))
  })
}

/** What a run kept of every method, window by window. */
async function racersOf({ folder, result }: { folder: string; result: RunResult }): Promise<Racer[]> {
  const file = new Uint8Array(readFileSync(join(folder, 'scores.parquet'))).buffer
  const rows = (await parquetReadObjects({ file })) as { method: string; nll_ref: number; nll_q: number; kl: number; agree: boolean }[]
  return result.trials.map(({ method, bytes }) => {
    const mine = rows.filter((row) => row.method === method)
    const series = (of: (row: (typeof mine)[number]) => number): Float64Array => Float64Array.from(mine, of)
    const samples = { tokensPerWindow: mine.length / WINDOWS, nllRef: series((row) => row.nll_ref), nll: series((row) => row.nll_q), kl: series((row) => row.kl), agree: Uint8Array.from(mine, (row) => Number(row.agree)) }
    return { method, bytes: new Float64Array(WINDOWS).fill(((bytes?.encoded ?? 0) - (bytes?.header ?? 0)) / WINDOWS), samples }
  })
}

/** These windows of a racer, in this order. */
function part({ method, bytes, samples }: Racer, windows: readonly number[]): Racer {
  const { tokensPerWindow: tokens } = samples
  const of = (series: Float64Array): Float64Array => Float64Array.from({ length: windows.length * tokens }, (_, i) => series[(windows[Math.floor(i / tokens)] ?? 0) * tokens + (i % tokens)] ?? NaN)
  const { nllRef, nll, kl, agree } = samples
  return { method, bytes: Float64Array.from(windows, (window) => bytes[window] ?? NaN), samples: { tokensPerWindow: tokens, nllRef: of(nllRef), nll: of(nll), kl: of(kl), agree: Uint8Array.from(of(Float64Array.from(agree))) } }
}

function shuffled(count: number, seed: number): number[] {
  const keys = new Uint32Array(count)
  Xoshiro128.fromSeed(seed).fill(keys)
  return Array.from(keys, (key, window) => ({ key, window })).sort((a, b) => a.key - b.key).map(({ window }) => window)
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
