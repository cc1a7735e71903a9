import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MethodCard } from '#core/contract/card.ts'
import type { CompressReport, DoctorReport, ValidationReport } from '#core/contract/api.ts'
import type { FileInfo, TensorComparison } from '#core/contract/files.ts'
import type { RunPlan, RunResult } from '#core/contract/run.ts'
import { installNode24 } from './node24.ts'
import { tinyModel } from './tiny-model.ts'

// The built program as a person runs it, on the embedded model. test/build.ts has built it.
const PROGRAM = fileURLToPath(new URL('../out/cli.js', import.meta.url))
const COMMANDS = ['demo', 'sweep', 'resume', 'validate', 'perplexity', 'extract', 'compress', 'decompress', 'metrics', 'inspect', 'report', 'methods', 'doctor', 'serve', 'models', 'datasets']
const DEMO = ['--model', 'demo', '--data', 'demo', '--context', '64']

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvlab-cli-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Ended = { code: number | null; stdout: string; stderr: string }

function start(args: readonly string[], node = process.execPath): { child: ChildProcess; ended: Promise<Ended> } {
  const { npm_lifecycle_event: _, ...env } = process.env
  const child = spawn(node, [PROGRAM, ...args], { env: { ...env, KVLAB_HOME: join(folder, 'home') }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  return { child, ended: new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr }))) }
}

function kvlab(...args: string[]): Promise<Ended> {
  return start(args).ended
}

/** The one document on stdout of a command that must succeed. */
async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await kvlab(...args, '--json')
  expect(stderr).not.toContain('error')
  expect(code).toBe(0)
  return JSON.parse(stdout) as T
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries++) {
    if (tries > 3000) throw new Error('it did not happen')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function alive(pid: number): boolean {
  try {
    // A process that nobody has waited for yet is no more alive.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

const lines = (text: string): string[] => text.trimEnd().split('\n')

describe('help and usage', () => {
  it('explains every command with examples', async () => {
    const helps = await Promise.all(COMMANDS.map((command) => kvlab(command, '--help')))
    for (const [i, { code, stdout }] of helps.entries()) {
      expect(code).toBe(0)
      expect(stdout).toContain(`Usage: kvlab ${COMMANDS[i]}`)
      expect(stdout).toContain(`Examples:\n  kvlab ${COMMANDS[i]}`)
      expect(stdout).toContain('--json')
    }
    const { stdout } = await kvlab('--help')
    for (const command of COMMANDS) expect(stdout).toContain(`\n  ${command} `)
  })

  it('says its version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
    expect(await kvlab('--version')).toMatchObject({ code: 0, stdout: `${version}\n` })
  })

  it.each([
    [['nonsense'], 'INVALID_INPUT'],
    [['sweep', '--nonsense'], 'INVALID_INPUT'],
    [['compress'], 'INVALID_INPUT'],
    [['compress', '-i', 'a'], 'INVALID_INPUT'],
    [['compress', '-i', 'a', '-o', 'b', '--method', 'int4:g64+lz5'], 'UNKNOWN_METHOD'],
    [['sweep', '--methods', 'int9'], 'UNKNOWN_METHOD'],
    [['methods', 'hadamrd'], 'UNKNOWN_METHOD'],
    [['methods', 'int4:g7'], 'INVALID_METHOD'],
    [['sweep', '--mode', 'streaming'], 'INVALID_INPUT'],
    [['sweep', '--provider', 'cuda'], 'INVALID_INPUT'],
    [['sweep', '--context', '8', '--prefix', '8'], 'INVALID_INPUT'],
    [['inspect', 'no-such-file'], 'FILE_NOT_FOUND'],
    [['resume', 'no-such-run'], 'FILE_NOT_FOUND'],
    [['perplexity', '--model', 'no-such-model', '--data', 'demo'], 'FILE_NOT_FOUND'],
  ])('%j is refused in one line with exit code 2', async (args, code) => {
    const ended = await kvlab(...args)
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(lines(ended.stderr)).toHaveLength(1)
    expect(ended.stderr).toMatch(new RegExp(`^error ${code}: `))
  })

  it('shows a stack with --verbose only', async () => {
    expect((await kvlab('inspect', 'no-such-file', '--verbose')).stderr).toMatch(/\n {4}at /)
  })
})

describe('kvlab methods', () => {
  it('prints the card of one, and the same as JSON', async () => {
    const { code, stdout } = await kvlab('methods', 'int4:g32:asym+lz4')
    expect(code).toBe(0)
    for (const text of ['quantizer int4', 'codec lz4', 'FlexGen', ':g64 (16–256 by 8)', 'key.codes', '[1, 2, 512, 32]', 'bits above the bound', 'in-pass']) expect(stdout).toContain(text)
    const card = JSON.parse((await kvlab('methods', 'kivi2', '--json')).stdout) as MethodCard
    expect(card).toMatchObject({ method: 'kivi2:g32:r128', pieces: [{ kind: 'quantizer', id: 'kivi2' }], missing: null })
    expect(card.modes.find(({ mode }) => mode === 'in-pass')?.reason).toContain('after they were read')
  })

  it('lists everything without a name', async () => {
    const { stdout } = await kvlab('methods')
    for (const text of ['Quantizers', 'q8_0', ':hadamard', '+auto', 'kvlab methods NAME']) expect(stdout).toContain(text)
  })
})

describe('caches as files', () => {
  const file = (name: string): string => join(folder, name)
  beforeAll(async () => {
    await json('extract', '--model', 'demo', '--data', 'demo', '--tokens', '48', '-o', file('cache.safetensors'))
  })

  it('compress measures what was written, as metrics of the files do', async () => {
    const report = await json<CompressReport>('compress', '-i', file('cache.safetensors'), '-o', file('cache.kv.safetensors'), '--method', 'int8:g64+lz4')
    expect(report).toMatchObject({ method: 'int8:g64+lz4', quality_level: 'EXCELLENT', quality_passed: true, violations: [] })
    expect(report.compressed_size_bytes).toBe(readFileSync(file('cache.kv.safetensors')).length)
    expect(report.original_size_bytes).toBe(2 * 2 * 6 * 2 * 48 * 64)
    expect(report.compression_ratio).toBe(report.original_size_bytes / report.compressed_size_bytes)
    expect(report.tensor_metrics).toHaveLength(12)
    const compared = await json<TensorComparison>('metrics', file('cache.safetensors'), file('cache.kv.safetensors'))
    for (const name of ['rmse', 'snr_db', 'cosine_similarity', 'max_error'] as const) expect(compared[name]).toBeCloseTo(report[name] ?? NaN, 12)

    await json('decompress', '-i', file('cache.kv.safetensors'), '-o', file('restored.safetensors'))
    const restored = await json<TensorComparison>('metrics', file('cache.safetensors'), file('restored.safetensors'))
    // The order of tensors is that of the file.
    const byName = ({ tensor_metrics }: TensorComparison): TensorComparison['tensor_metrics'] => tensor_metrics.toSorted((a, b) => (a.name < b.name ? -1 : 1))
    expect(byName(restored)).toEqual(byName(compared))
    const [kv, plain] = await Promise.all(['cache.kv.safetensors', 'restored.safetensors'].map((name) => json<FileInfo>('inspect', file(name))))
    expect(kv).toMatchObject({ kind: 'kvlab.kv', kv: { method: 'int8:g64+lz4', tokens: 48, model: 'kvlab-demo' } })
    expect(plain).toMatchObject({ kind: 'safetensors', metadata: { model: 'kvlab-demo' } })
  })

  it('the identity method gives the same file back', async () => {
    await json('compress', '-i', file('cache.safetensors'), '-o', file('identity.safetensors'), '--method', 'none+lz4')
    await json('decompress', '-i', file('identity.safetensors'), '-o', file('same.safetensors'))
    expect(readFileSync(file('same.safetensors')).equals(readFileSync(file('cache.safetensors')))).toBe(true)
  })

  it('takes the group size and sparsity of the flags, and can write nothing', async () => {
    const report = await json<CompressReport>('compress', '-i', file('cache.safetensors'), '--metrics-only', '--method', 'int4/int8', '--group-size', '32', '--sparsity', '0.25')
    expect(report.output).toBeNull()
    expect(report.method).toBe('int4:g32:sparse25/int8:g32:sparse25')
    const refused = await kvlab('compress', '-i', file('cache.safetensors'), '--metrics-only', '--method', 'q8_0', '--group-size', '32')
    expect(refused).toMatchObject({ code: 2 })
    expect(refused.stderr).toContain('INVALID_METHOD: --group-size')
  })

  it('never overwrites its input and writes nothing of a damaged file', async () => {
    await json('compress', '-i', file('cache.safetensors'), '-o', file('whole.safetensors'))
    const before = readFileSync(file('whole.safetensors'))
    for (const args of [['compress', '-i', file('cache.safetensors'), '-o', file('cache.safetensors')], ['decompress', '-i', file('whole.safetensors'), '-o', file('whole.safetensors')]]) {
      const { code, stderr } = await kvlab(...args)
      expect(code).toBe(2)
      expect(stderr).toContain('is the input itself')
    }
    expect(readFileSync(file('whole.safetensors')).equals(before)).toBe(true)
    before[before.length - 5] = (before[before.length - 5] ?? 0) ^ 1
    writeFileSync(file('damaged.safetensors'), before)
    const { code, stderr } = await kvlab('decompress', '-i', file('damaged.safetensors'), '-o', file('nothing.safetensors'))
    expect(code).toBe(2)
    expect(stderr).toMatch(/^error (CHECKSUM_MISMATCH|MALFORMED_FILE): /)
    expect(existsSync(file('nothing.safetensors'))).toBe(false)
  })
})

describe('runs', () => {
  const sweep = (out: string, ...more: string[]): string[] => ['sweep', ...DEMO, '--windows', '6', '--methods', 'int8:g64,int2:g32:asym@layers0,-1', '--out', join(folder, out), ...more]

  it('plans without running', async () => {
    const plan = await json<RunPlan>(...sweep('planned'), '--plan')
    expect(plan).toMatchObject({ methods: ['int8:g64', 'int2:g32:asym@layers0,-1'], cells: 12, protocol: { contextLength: 64, prefixLength: 32, windows: 6 } })
    expect(existsSync(join(folder, 'planned'))).toBe(false)
  })

  it('prints a table, a conclusion and what to do next; reports say the same', async () => {
    const { code, stdout } = await kvlab(...sweep('table'))
    expect(code).toBe(0)
    expect(stdout).toMatch(/method +bits +ratio/)
    expect(stdout).toMatch(/int8:g64 .* pass\n/)
    expect(stdout).toContain('\nnext:  kvlab ')
    expect(stdout).toContain(`\nrun:   ${join(folder, 'table')}`)
    expect(stdout).not.toContain('\u001b')
    const result = await json<RunResult>('report', join(folder, 'table'))
    expect(result).toMatchObject({ schema: 'kvlab.run/1', status: 'done' })
    const csv = await kvlab('report', join(folder, 'table'), '--format', 'csv', '-o', join(folder, 'table.csv'))
    expect(csv).toMatchObject({ code: 0, stdout: '' })
    expect(lines(readFileSync(join(folder, 'table.csv'), 'utf8'))).toHaveLength(3)
    const spec = join(folder, 'table', 'spec.json')
    expect((await json<RunPlan>('sweep', spec, '--windows', '4', '--plan')).protocol).toMatchObject({ windows: 4, contextLength: 64 })
  })

  it('has an exit code for every verdict that --strict asks for, and one for a failed control', async () => {
    const strict = (gate: string): Promise<Ended> => kvlab('sweep', ...DEMO, '--windows', '4', '--methods', 'int8:g64', '--strict', '--quiet', '--gate', gate)
    expect((await strict('klMean=0.01')).code).toBe(0)
    expect((await strict('klMean=0.0000001')).code).toBe(1)
    const { code, stdout } = await strict('klMean=0.5')
    expect(code).toBe(4)
    expect(stdout).toContain('withheld')
  })

  it('Ctrl-C ends after the pass in flight and says how to go on; the resumed run is whole', async () => {
    const out = join(folder, 'interrupted')
    const { child, ended } = start(sweep('interrupted', '--windows', '90'))
    await until(() => existsSync(join(out, 'scores.ndjson')))
    // npm passes the terminal's signal on: both are one key press.
    child.kill('SIGINT')
    child.kill('SIGINT')
    const { code, stdout, stderr } = await ended
    expect(code).toBe(130)
    expect(stdout).toBe('')
    expect(stderr).toContain(`continue with: kvlab resume ${out}\n`)
    expect(existsSync(join(out, 'lock'))).toBe(false)
    const result = await json<RunResult>('resume', out)
    expect(result).toMatchObject({ status: 'done', protocol: { windows: 90 } })
    expect(result.trials.map(({ status }) => status)).toEqual(['done', 'done'])
  })

  it('survives the death of its engine, names the signal and says how to go on', async () => {
    const out = join(folder, 'crashed')
    const { ended } = start(sweep('crashed', '--windows', '90'))
    await until(() => existsSync(join(out, 'scores.ndjson')))
    const { pid } = JSON.parse(readFileSync(join(out, 'lock'), 'utf8')) as { pid: number }
    process.kill(pid, 'SIGKILL')
    const { code, stderr } = await ended
    expect(code).toBe(2)
    expect(stderr).toMatch(/error ENGINE_CRASHED: .*SIGKILL.*continue with: kvlab resume /)
  })

  it.skipIf(process.platform !== 'linux')('leaves no engine behind when it is killed itself', async () => {
    const out = join(folder, 'orphaned')
    const { child, ended } = start(sweep('orphaned', '--windows', '90'))
    await until(() => existsSync(join(out, 'scores.ndjson')))
    const { pid } = JSON.parse(readFileSync(join(out, 'lock'), 'utf8')) as { pid: number }
    expect(alive(pid)).toBe(true)
    child.kill('SIGKILL')
    await until(() => !alive(pid))
    await ended
    expect(existsSync(join(out, 'lock'))).toBe(false)
  })
})

const node24 = installNode24()
describe.skipIf('missing' in node24)(`under Node 24, which has Float16Array${'missing' in node24 ? ` (skipped: ${node24.missing})` : ''}`, () => {
  it('measures a model with a float16 cache', async () => {
    const model = await tinyModel({ kv: 'float16' })
    const vocab = Object.fromEntries([...'abcdefgh'].map((letter, id) => [letter, id]))
    const parts = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, truncation: null, padding: null }
    writeFileSync(join(model, 'tokenizer.json'), JSON.stringify({ version: '1.0', ...parts, added_tokens: [], model: { type: 'BPE', vocab, merges: [], unk_token: null } }))
    const text = join(folder, 'letters.txt')
    writeFileSync(text, Array.from({ length: 200 }, (_, i) => 'abcdefgh'[(i * i + (i >> 2)) % 8]).join(''))
    const { ended } = start(['sweep', '--model', model, '--data', text, '--context', '8', '--prefix', '4', '--windows', 'all', '--methods', 'none', '--json'], 'path' in node24 ? node24.path : '')
    const { stdout, stderr } = await ended
    rmSync(model, { recursive: true })
    expect(stderr).not.toContain('error')
    const result = JSON.parse(stdout) as RunResult
    expect(result.engine.node).toMatch(/^24\./)
    expect(result.model.kvDtype).toBe('F16')
    expect(result.controls?.identity.passed).toBe(true)
    expect(result.trials[0]).toMatchObject({ status: 'done', quality: { kl: { max: 0 } } })
  })
})

describe('verdicts', () => {
  const validate = (...more: string[]): string[] => ['validate', ...DEMO, '--windows', '4', '--method', 'int8:g64', ...more]

  it('validates a method through files and scoring, against a threshold and an earlier result', async () => {
    const out = join(folder, 'validated')
    const report = await json<ValidationReport>(...validate('--out', out, '--threshold', '5'))
    expect(report).toMatchObject({ schema: 'kvlab.validation/1', outcome: 'pass', method: 'int8:g64', threshold: 5, comparison: null })
    expect(report.compression.quality_level).toBe('EXCELLENT')
    expect(report.perplexity.protocol).toEqual({ kind: 'disjoint', context: 64 })
    expect(report.delta_perplexity?.high).toBeLessThan(5)
    const kept = join(out, 'validation.json')
    expect(JSON.parse(readFileSync(kept, 'utf8'))).toEqual(report)

    const again = await json<ValidationReport>(...validate('--threshold', '5', '--baseline', kept))
    expect(again.comparison).toMatchObject({ id: report.run.id, worse: false, sameModelFiles: true })

    // An earlier result that was clearly better turns a pass into a fail.
    const lnRatio = report.run.trials[0]?.quality?.lnRatio ?? { mean: 0, low: 0, high: 0, standardError: 0, level: 0.95 }
    const better = JSON.parse(JSON.stringify(report)) as ValidationReport
    const trial = better.run.trials[0]
    if (trial?.quality) trial.quality.lnRatio = { ...lnRatio, mean: -1, low: -1, high: -0.9 }
    writeFileSync(join(folder, 'better.json'), JSON.stringify(better))
    expect((await kvlab(...validate('--threshold', '5', '--baseline', join(folder, 'better.json')))).code).toBe(1)

    const other = await kvlab(...validate('--prefix', '16', '--baseline', kept))
    expect(other.code).toBe(2)
    expect(other.stderr).toContain('prefixLength (32 there, 16 here)')
  })

  it('the doctor finds the controls sound', async () => {
    const report = await json<DoctorReport>('doctor')
    expect(report.passed).toBe(true)
    expect(report.checks.map(({ name }) => name)).toEqual(['machine', 'kvlab', 'onnxruntime', 'threads', 'memory', 'library', 'disk', 'settings', 'models', 'texts', 'lz4', 'identity', 'A/A', 'wrong cache'])
    expect(report.controls?.identity).toEqual({ windows: 4, klMax: 0, flips: 0, equalBits: true, passed: true })
  })
})
