import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { freemem, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileError, freeBytes } from '#core/bytes/file.ts'
import type { Check, DoctorReport, Progress } from '#core/contract/api.ts'
import { toLabErrorJson } from '#core/contract/errors.ts'
import type { Controls, RunResult } from '#core/contract/run.ts'
import { listBackends } from '#core/evaluation/runtime.ts'
import { chooseThreads } from '#core/evaluation/threads.ts'
import type { KvCache } from '#core/kv/cache.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { checkFolder } from '#core/library/folders.ts'
import { listModels } from '#core/library/model-list.ts'
import { placesOf } from '#core/library/places.ts'
import { readSettings } from '#core/library/settings.ts'
import { listTexts } from '#core/library/text-list.ts'
import { engineFacts, machineFacts } from './facts.ts'
import { createRuns } from './runs.ts'
import { demoSpec } from './spec.ts'

/** Windows of the self-test. */
const SELF_TEST_WINDOWS = 12
/** The weights of a model of a billion parameters at F16. */
const ENOUGH_DISK_BYTES = 2e9
/** Below it the demo model is what still runs. */
const ENOUGH_MEMORY_BYTES = 1e9

/**
 * Whether this machine measures soundly: what it is, whether the library's folder `home` can be worked in and what is in it, whether the parts work, and the
 * controls of a short sweep on the demo model. Makes nothing in `home`.
 */
export async function* examine(home: string, signal: AbortSignal): AsyncGenerator<Progress | Check, DoctorReport> {
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
  yield found(await check('memory', async () => memory()))
  yield found(await check('library', () => writable(home)))
  yield found(await check('disk', () => freeDisk(home)))
  const settings = found(await check('settings', () => settingsFolders(home)))
  yield settings
  if (settings.status !== 'failed') {
    const places = placesOf(home)
    yield found(await check('models', async () => countOf('models', listModels(await places, signal))))
    yield found(await check('texts', async () => countOf('texts', listTexts(await places, signal))))
  }
  signal.throwIfAborted()
  yield found(await check('lz4', async () => selfTestLz4()))
  const controls = yield* selfTestSweep(found, signal)
  return { passed: checks.every(({ status }) => status !== 'failed'), checks, controls }
}

/** What a check found: a text, or one that is to be warned of. */
type Finding = string | { readonly warning: string }

async function check(name: string, work: () => Promise<Finding>): Promise<Check> {
  try {
    const finding = await work()
    return typeof finding === 'string' ? { name, status: 'ok', text: finding } : { name, status: 'warning', text: finding.warning }
  } catch (error) {
    return { name, status: 'failed', text: toLabErrorJson(error).message }
  }
}

function memory(): Finding {
  const text = `${gigabytes(freemem())} of ${gigabytes(totalmem())} free`
  return freemem() >= ENOUGH_MEMORY_BYTES ? text : { warning: `${text}: close other programs before a sweep of a larger model` }
}

/** Makes a folder where the library is, or will be, and removes it. */
async function writable(home: string): Promise<Finding> {
  const folder = nearestFolder(home)
  try {
    await rm(await mkdtemp(join(folder, '.kvlab-doctor-')), { recursive: true })
  } catch (error) {
    throw fileError(error, folder, 'write')
  }
  return folder === home ? `${home} can be written` : `${home} is made when it is first needed`
}

async function freeDisk(home: string): Promise<Finding> {
  const free = await freeBytes(home)
  if (free === null) return { warning: 'the system does not say how much of the disk is free' }
  const text = `${gigabytes(free)} free where the library is`
  return free >= ENOUGH_DISK_BYTES ? text : { warning: `${text}: a sweep of a larger model may need ${gigabytes(ENOUGH_DISK_BYTES)}; free some space` }
}

function nearestFolder(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestFolder(dirname(path))
}

async function settingsFolders(home: string): Promise<Finding> {
  const { modelFolders, dataFolders } = await readSettings(home)
  const folders = [...modelFolders, ...dataFolders]
  for (const folder of folders) {
    try {
      await checkFolder(folder)
    } catch (error) {
      return { warning: `${toLabErrorJson(error).message}, or take it out of the settings` }
    }
  }
  return folders.length === 0 ? 'no folders beside the library’s own' : `${folders.length} folders beside the library’s own`
}

async function countOf(what: string, steps: AsyncGenerator<Progress, { name: string; unusable: string | null }[]>): Promise<Finding> {
  for (;;) {
    const step = await steps.next()
    if (!step.done) continue
    const [first, ...more] = step.value.filter(({ unusable }) => unusable !== null)
    const text = `${step.value.length} ${what} found`
    return first ? { warning: `${text}; ${first.name} cannot be used: ${first.unusable ?? ''}${more.length > 0 ? `; nor can ${more.length} more` : ''}` } : text
  }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
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
