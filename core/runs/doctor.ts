import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Check, DoctorReport, Progress } from '#core/contract/api.ts'
import { toLabErrorJson } from '#core/contract/errors.ts'
import type { Controls, RunResult } from '#core/contract/run.ts'
import { listBackends } from '#core/evaluation/runtime.ts'
import { chooseThreads } from '#core/evaluation/threads.ts'
import type { KvCache } from '#core/kv/cache.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { engineFacts, machineFacts } from './facts.ts'
import { createRuns } from './runs.ts'
import { demoSpec } from './spec.ts'

/** Windows of the self-test. */
const SELF_TEST_WINDOWS = 12

/** Whether this machine measures soundly: what it is, whether the parts work, and the controls of a short sweep on the demo model. */
export async function* examine(signal: AbortSignal): AsyncGenerator<Progress | Check, DoctorReport> {
  const checks: Check[] = []
  const found = (check: Check): Check => {
    checks.push(check)
    return check
  }
  const machine = machineFacts()
  const { threads, timings } = await chooseThreads()
  const engine = engineFacts(threads, 1)
  yield found({ name: 'machine', status: 'ok', text: `${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 1e9).toFixed(1)} GB, ${machine.os}` })
  yield found({ name: 'kvlab', status: 'ok', text: `${engine.version}${engine.commit === null ? '' : ` (${engine.commit.slice(0, 10)})`} on Node ${engine.node}` })
  yield found({ name: 'onnxruntime', status: 'ok', text: `${engine.onnxruntime}, provider ${engine.provider}; built with ${(await listBackends()).join(', ')}` })
  yield found({ name: 'threads', status: 'ok', text: `${threads} by measurement: a probe of matrix products takes ${timings.map((timing) => `${(1000 * timing.seconds).toFixed(1)} ms on ${timing.threads}`).join(', ')}` })
  yield found(check('lz4', () => selfTestLz4()))
  const controls = yield* selfTestSweep(found, signal)
  return { passed: checks.every(({ status }) => status !== 'failed'), checks, controls }
}

function check(name: string, work: () => string): Check {
  try {
    return { name, status: 'ok', text: work() }
  } catch (error) {
    return { name, status: 'failed', text: toLabErrorJson(error).message }
  }
}

/** A cache that compresses well, through a KV file and back. */
function selfTestLz4(): string {
  const values = Float32Array.from({ length: 2 * 64 * 32 }, (_, i) => i % 7)
  const cache: KvCache = { shape: { layers: 1, kvHeads: 2, tokens: 64, headDim: 32, dtype: 'F32' }, key: [values], value: [values] }
  const [plain, coded] = ['none', 'none+lz4'].map((method) => encodeKv(cache, readMethod(method)).bytes)
  if (!plain || !coded || coded.length >= plain.length) throw new Error('LZ4 did not make repeating values smaller')
  const { arrays: restored } = decodeKv(coded)
  if (![restored.key[0], restored.value[0]].every((side) => side?.every((value, i) => value === values[i]))) throw new Error('values came back from LZ4 changed')
  return `${plain.length} bytes to ${coded.length} and back, equal`
}

async function* selfTestSweep(found: (check: Check) => Check, signal: AbortSignal): AsyncGenerator<Progress | Check, Controls | null> {
  const home = await mkdtemp(join(tmpdir(), 'kvlab-doctor-'))
  const runs = createRuns({ home })
  try {
    const { id } = yield* runs.start(demoSpec({ windows: SELF_TEST_WINDOWS, methods: ['int8:g64'] }), {}, signal)
    let result: RunResult | null = null
    for await (const event of runs.watch(id, signal)) {
      if (event.type === 'progress') yield { phase: 'self-test', done: event.done, total: event.total, unit: 'passes' }
      if (event.type === 'finished') {
        result = event.result
        if (event.status !== 'done') yield found({ name: 'self-test', status: 'failed', text: event.reason?.message ?? event.status })
      }
    }
    const controls = result?.controls ?? null
    if (controls) for (const each of controlChecks(controls)) yield found(each)
    return controls
  } catch (error) {
    signal.throwIfAborted()
    yield found({ name: 'self-test', status: 'failed', text: toLabErrorJson(error).message })
    return null
  } finally {
    await runs.close()
    await rm(home, { recursive: true, force: true })
  }
}

function controlChecks({ identity, aa, wrongCache }: Controls): Check[] {
  const status = (passed: boolean): Check['status'] => (passed ? 'ok' : 'failed')
  const kl = (value: number): string => value.toPrecision(2)
  return [
    { name: 'identity', status: status(identity.passed), text: `uncompressed through a file and back: KL at most ${kl(identity.klMax)}, ${identity.flips} flips, bits ${identity.equalBits ? 'equal' : 'different'}` },
    { name: 'A/A', status: status(aa.passed), text: `the reference again in a batch of ${aa.batch}: mean KL ${kl(aa.klMean)}, at most ${kl(aa.klMax)}` },
    { name: 'wrong cache', status: status(wrongCache.passed), text: `another text's prefix: mean KL ${kl(wrongCache.klMean)}, at least ${kl(wrongCache.low)} where ${kl(wrongCache.needed)} is needed` },
  ]
}
