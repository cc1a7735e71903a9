import { availableParallelism } from 'node:os'
import { PROBE, probeModel } from '#core/onnx/probe.ts'
import { openGraph } from './runtime.ts'

/** Seconds of one pass of the probe with so many threads, the least of a few. */
export type ThreadTiming = { readonly threads: number; readonly seconds: number }
/** `threads`: what a model runs on unless told otherwise, and the timings that decided it. */
export type ThreadChoice = { readonly threads: number; readonly timings: readonly ThreadTiming[] }

/** Passes that are timed of each number of threads, after one that warms up. */
const TIMED_PASSES = 8
/** Fewer threads must take at most this part of the time: a machine that is busy for a moment must not cost a run half its cores. */
const CLEARLY_FASTER = 0.8

let known: Promise<ThreadChoice> | null = null

/**
 * How many threads a pass should have here, measured once a process on matrix products alone: all cores, or half as many again and again while that is
 * faster, as it can be where two cores share their units or a container gets less than it sees. A tenth of a second where it is not.
 */
export function chooseThreads(): Promise<ThreadChoice> {
  return (known ??= measureThreads(availableParallelism()))
}

async function measureThreads(cores: number): Promise<ThreadChoice> {
  const timings: ThreadTiming[] = [{ threads: cores, seconds: await probe(cores) }]
  let best = timings[0] ?? { threads: cores, seconds: Infinity }
  for (let threads = cores >> 1; threads >= 1; threads >>= 1) {
    const timing = { threads, seconds: await probe(threads) }
    timings.push(timing)
    if (timing.seconds > CLEARLY_FASTER * best.seconds) break
    best = timing
  }
  return { threads: best.threads, timings }
}

async function probe(threads: number): Promise<number> {
  const graph = await openGraph({ name: 'the probe of threads', bytes: Buffer.concat(probeModel()), folder: '.' }, threads)
  try {
    const { rows, width, layers } = PROBE
    const feeds = { x: graph.floats(new Float32Array(rows * width).fill(0.5), [rows, width]) }
    let least = Infinity
    for (let pass = 0; pass <= TIMED_PASSES; pass++) {
      const before = graph.seconds
      await graph.run(feeds, [`bounded.${layers - 1}`])
      if (pass > 0) least = Math.min(least, graph.seconds - before)
    }
    return least
  } finally {
    await graph.release()
  }
}
