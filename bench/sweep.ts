import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunResult } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { createRuns } from '#core/runs/runs.ts'
import { defaultSpec } from '#core/runs/spec.ts'
import { printTable } from './measure.ts'

/** The twelve methods of the comparison with other tools. */
export const TWELVE = ['int8:g64', 'int8:g32', 'int6:g64', 'int6:g32', 'int4:g64', 'int4:g32', 'int4:g64:asym', 'int4:g32:asym', 'int3:g64', 'int3:g32', 'int3:g32:asym', 'int2:g32:asym']

/** A finished sweep, and the wall seconds from the first pass to the last byte of its folder: the loading of the model is not in it. */
export type Swept = { readonly result: RunResult; readonly wall: number }

/** Run a sweep in a library of its own, which is removed. Throws where it does not end well. */
export async function runSweep(given: Partial<RunSpec>): Promise<Swept> {
  const home = await mkdtemp(join(tmpdir(), 'kvlab-bench-'))
  const runs = createRuns({ home })
  const { signal } = new AbortController()
  try {
    const starting = runs.start(defaultSpec({ methods: TWELVE, ...given }), {}, signal)
    let step = await starting.next()
    while (!step.done) step = await starting.next()
    const began = performance.now()
    for await (const event of runs.watch(step.value.id, signal)) {
      if (event.type !== 'finished') continue
      if (!event.result || event.status !== 'done') throw new Error(`the sweep ended as ${event.status}: ${event.reason?.message ?? ''}`)
      return { result: event.result, wall: (performance.now() - began) / 1000 }
    }
    throw new Error('the sweep ended without a word')
  } finally {
    await runs.close()
    await rm(home, { recursive: true, force: true })
  }
}

/** A whole sweep of twelve methods: scored tokens a second and the share of wall time inside ONNX Runtime. */
export async function benchSweep(given: Partial<RunSpec>): Promise<void> {
  const { result, wall } = await runSweep(given)
  const { timing, protocol, trials, engine } = result
  const share = (seconds: number): string => `${((100 * seconds) / wall).toFixed(1)} %`
  const tokens = protocol.scoredTokens * trials.length
  printTable(`sweep of ${trials.length} methods on ${result.model.name}, ${protocol.prefixLength} -> ${protocol.contextLength}, ${protocol.windows} windows, batch ${engine.batch}, ${engine.threads} threads`, [
    ['scored tokens of all methods a second', (tokens / wall).toFixed(0)],
    ['wall seconds', wall.toFixed(2)],
    ['inside ONNX Runtime', share(timing.inferenceSeconds)],
    ['scoring outside it', share(timing.scoreSeconds)],
    ['encoding', share(timing.encodeSeconds)],
    ['decoding', share(timing.decodeSeconds)],
    ['all else', share(wall - timing.inferenceSeconds - timing.scoreSeconds - timing.encodeSeconds - timing.decodeSeconds)],
  ])
}
