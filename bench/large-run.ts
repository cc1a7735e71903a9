import { join } from 'node:path'
import type { TensorError } from '#core/contract/run.ts'
import { scoreChunks } from '#core/runs/scores-parquet.ts'
import { defaultSpec } from '#core/runs/spec.ts'
import { RunFolder } from '#core/runs/store.ts'
import { Tally } from '#core/runs/tally.ts'
import { doneTrial, samplePlan, sampleResult } from '../test/sample-result.ts'

const TOKENS = 31
const SECONDS = { inference: 0, encode: 0, decode: 0, score: 0, write: 0, total: 0 }

/** A run in a library that is larger than anyone's: so many methods and layers, and so many windows of 31 scored tokens of the first method. Its numbers are made up. */
export async function makeLargeRun(home: string, id: string, size: { methods: number; layers: number; windows: number }): Promise<void> {
  const methods = Array.from({ length: size.methods }, (_, i) => `int${2 + (i % 7)}:g64${i < 7 ? '' : `@recent${i}`}`)
  const tensors = (i: number): TensorError[] =>
    Array.from({ length: 2 * size.layers }, (_, j) => ({ layer: j >> 1, side: j % 2 === 0 ? 'key' : 'value', rmse: 0.01 * (1 + (j % 9)), nrmse: 0.01 * (1 + ((i + j) % 9)), snrDb: 30 + (j % 7), cosine: 0.999, maxError: 0.1 }))
  const trials = methods.map((method, i) => ({ ...doneTrial(method, { bits: 2.2 + (i % 70) / 10, kl: 10 ** (-1 - (i % 50) / 10), outcome: (['pass', 'fail', 'inconclusive'] as const)[i % 3] ?? 'pass' }), tensors: tensors(i), front: i % 20 === 0 }))
  const protocol = { ...samplePlan(methods).protocol, windows: size.windows, scoredTokens: size.windows * TOKENS }
  const createdAt = new Date().toISOString()
  const folder = await RunFolder.create(join(home, 'runs', id), defaultSpec({ methods: methods.slice(0, 1000) }), { schema: 'kvlab.head/1', id, createdAt, plan: { ...samplePlan(methods), protocol } })
  const tally = new Tally(methods.slice(0, 1), size.windows, TOKENS, 1)
  for (let window = 0; window < size.windows; window++) {
    const scores = { nll: Array.from({ length: TOKENS }, (_, i) => 3 + (i % 5)), kl: Array.from({ length: TOKENS }, (_, i) => ((7 * i + window) % 997) / 1e5), agree: '1'.repeat(TOKENS) }
    tally.add({ window, pass: 0, seconds: SECONDS, records: [{ kind: 'reference', nll: scores.nll }] })
    tally.add({ window, pass: 2, seconds: SECONDS, records: [{ kind: 'cell', method: methods[0] ?? '', scores, bytes: { encoded: 1, header: 1, streams: {} }, encodeSeconds: 0, decodeSeconds: 0, errors: [] }] })
  }
  const ids = Array.from({ length: size.windows }, () => Uint32Array.from({ length: 64 }, (_, i) => i))
  await folder.writeScores(scoreChunks(tally, ids, 32))
  await folder.writeResult(sampleResult(trials, { id, createdAt, protocol }))
}
