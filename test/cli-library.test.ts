import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Download, HubRepo } from '#core/contract/hub.ts'
import type { DataEntry, Exported, Imported, ModelEntry, Removal, TextCount, TextOverlap, Verification } from '#core/contract/library.ts'
import type { RunResult } from '#core/contract/run.ts'
import type { FixtureFile } from './hub-files.ts'
import { startHub, type TestHub } from './hub-server.ts'
import { shared } from './torch.ts'

// `kvlab models` and `kvlab datasets` as a person runs them: built programs, one process a command, against a hub on real sockets. test/build.ts has built them.
const PROGRAM = fileURLToPath(new URL('../out/cli.js', import.meta.url))
const DEMO = fileURLToPath(new URL('../resources/models/kvlab-demo/', import.meta.url))
/** Test data that stays where it is. */
const SMOLLM2 = shared('models/SmolLM2-135M-Instruct')
const TOKEN = 'hf_secretsecretsecret'
const MODEL = 'lab/tiny-llama'
const GATED = 'lab/gated'
const TEXTS = 'lab/texts'

const SMALL = ['config.json', 'generation_config.json', 'special_tokens_map.json', 'tokenizer.json', 'tokenizer_config.json']
const modelFiles: Record<string, FixtureFile> = { 'README.md': 'A model of the tests.\n', 'onnx/model_q4.onnx': { path: join(DEMO, 'onnx', 'model.onnx') } }
for (const file of SMALL) modelFiles[file] = { path: join(DEMO, file) }
const paragraph = (word: string): string => `${`${word} `.repeat(20)}is what this paragraph is about, and it is long enough to be compared.`
const textFiles = { 'train.txt': `${paragraph('whale')}\n\n${paragraph('ship')}\n`, 'test.txt': `${paragraph('ship')}\n\n${paragraph('harpoon')}\n` }

let hub: TestHub
let folder = ''
let home = ''
/** Everything that any command said, to look for what must never be there. */
let said = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kvlab-cli-library-'))
  hub = await startHub({
    repos: [
      { name: MODEL, files: modelFiles, licence: 'apache-2.0' },
      { name: GATED, files: modelFiles, gated: true, licence: 'llama3.2' },
      { name: TEXTS, kind: 'dataset', files: textFiles, licence: 'cc0-1.0' },
      ...(existsSync(SMOLLM2) ? [{ name: 'lab/SmolLM2-135M-Instruct', files: Object.fromEntries(filesUnder(SMOLLM2).map((path) => [relative(SMOLLM2, path), { path }])) }] : []),
    ],
    readers: [TOKEN],
  })
})
afterAll(async () => {
  await hub.close()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => {
  home = mkdtempSync(join(folder, 'home-'))
  hub.fault = () => null
  hub.requests.length = 0
})

type Ended = { code: number | null; stdout: string; stderr: string }

function start(args: readonly string[], env: Record<string, string> = {}): { child: ChildProcess; ended: Promise<Ended>; stderr: () => string } {
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|HF_|HUGGING|TRANSFORMERS_|https?_proxy$|all_proxy$|XDG_)/i.test(name)))
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...kept, KVLAB_HOME: join(home, 'kvlab'), HF_HOME: join(home, 'hf'), HF_ENDPOINT: hub.endpoint.href, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })))
  void ended.then(() => (said += stdout + stderr))
  return { child, ended, stderr: () => stderr }
}

function kvlab(...args: string[]): Promise<Ended> {
  return start(args).ended
}

/** The one document on stdout of a command that must end with this exit code. */
async function json<T>(args: readonly string[], code = 0): Promise<T> {
  const ended = await start([...args, '--json']).ended
  expect(ended, ended.stderr).toMatchObject({ code })
  return JSON.parse(ended.stdout) as T
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries++) {
    if (tries > 3000) throw new Error('it did not happen')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function filesUnder(path: string): string[] {
  return existsSync(path) ? readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name)).filter((name) => statSync(name).isFile()) : []
}

const lines = (text: string): string[] => text.trimEnd().split('\n')

describe('a model from the hub', () => {
  it('is looked at, added, verified, measured by its name, found damaged, and removed', async () => {
    const repo = await json<HubRepo>(['models', 'show', MODEL])
    expect(repo).toMatchObject({ repo: MODEL, licence: 'apache-2.0', gated: false })
    expect(repo.choices.map(({ name, unusable }) => [name, unusable])).toEqual([['q4', null]])
    expect(repo.choices[0]?.missing).toBe(repo.choices[0]?.bytes)

    const added = await kvlab('models', 'add', MODEL)
    expect(added).toMatchObject({ code: 0 })
    expect(added.stderr).toContain('licence: apache-2.0')
    expect(added.stdout).toContain(`${MODEL} q4 is here`)
    expect(added.stdout).toContain(`kvlab sweep --model ${MODEL}:q4 --data demo`)
    const sent = hub.requests.filter(({ body }) => body).length
    const again = await json<Download>(['models', 'add', `${MODEL}:q4`])
    expect(again).toMatchObject({ status: 'done', repo: MODEL })
    expect(hub.requests.filter(({ body }) => body)).toHaveLength(sent)

    const [entry] = (await json<ModelEntry[]>(['models'])).filter(({ origin }) => origin === 'hub')
    expect(entry).toMatchObject({ name: MODEL, weights: 'q4', unusable: null, source: { repo: MODEL, commit: repo.commit }, path: again.path })
    expect((await kvlab('models', 'show', `${MODEL}:q4`, '--context', '512')).stdout).toMatch(/^model {2,}lab\/tiny-llama q4[^]*KV cache {2,}6 layers, 2 KV heads of 64[^]*at 512 tokens/)
    expect(await json<Verification[]>(['models', 'verify', MODEL])).toMatchObject([{ passed: true }])

    const result = await json<RunResult>(['sweep', '--model', `${MODEL}:q4`, '--data', 'demo', '--context', '64', '--windows', '4', '--methods', 'int8:g64'])
    expect(result).toMatchObject({ status: 'done', model: { weights: 'q4', revision: repo.commit } })

    const blob = realpathSync(again.path)
    const bytes = readFileSync(blob)
    bytes[1_000_000] = (bytes[1_000_000] ?? 0) ^ 1
    writeFileSync(blob, bytes)
    const damaged = await kvlab('models', 'verify', MODEL)
    expect(damaged).toMatchObject({ code: 1 })
    expect(damaged.stdout).toMatch(/^DAMAGED {2}lab\/tiny-llama:q4: 1 of \d+ files\n {2}changed {2}\S*onnx\/model_q4\.onnx: should be [0-9a-f]{64}, is [0-9a-f]{64}\n$/)

    const refused = await kvlab('models', 'remove', MODEL)
    expect(refused).toMatchObject({ code: 2 })
    expect(refused.stderr).toContain('add --yes')
    const dry = await json<Removal>(['models', 'remove', MODEL, '--dry-run'])
    expect(existsSync(blob)).toBe(true)
    expect(dry.frees).toBeGreaterThan(bytes.length)
    expect(await json<Removal>(['models', 'remove', MODEL, '--yes'])).toEqual(dry)
    expect(filesUnder(join(home, 'hf', 'hub')).filter((name) => name.includes('blobs'))).toEqual([])
    expect((await json<ModelEntry[]>(['models'])).filter(({ origin }) => origin === 'hub')).toEqual([])
  })

  it('goes on at the byte after Ctrl-C', async () => {
    hub.fault = ({ server }) => (server === 'cdn' ? { kind: 'trickle', bytesPerChunk: 65_536, msBetween: 10 } : null)
    const { child, ended, stderr } = start(['models', 'add', MODEL])
    const graph = (): number => hub.requests.filter(({ file, body }) => body && file === 'onnx/model_q4.onnx').reduce((sum, { sentBytes }) => sum + sentBytes, 0)
    await until(() => graph() > 2_000_000)
    child.kill('SIGINT')
    expect(await ended, stderr()).toMatchObject({ code: 130, stdout: '' })
    expect(stderr()).toMatch(/\nerror CANCELLED: paused with [\d.]+ MB of [\d.]+ MB here; continue with: kvlab models add lab\/tiny-llama --weights q4\n$/)

    const [paused] = await json<Download[]>(['models', 'downloads'])
    expect(paused).toMatchObject({ status: 'paused', repo: MODEL })
    expect(paused?.done).toBeGreaterThan(1_000_000)
    expect((await kvlab('models', 'downloads')).stdout).toContain(`go on:  kvlab models add ${MODEL} --weights q4`)

    hub.fault = () => null
    hub.requests.length = 0
    expect(await json<Download>(['models', 'add', MODEL, '--weights', 'q4'])).toMatchObject({ status: 'done' })
    const first = hub.requests.find(({ file, body }) => body && file === 'onnx/model_q4.onnx')
    expect(first?.from).toBeGreaterThan(1_000_000)
    expect(await json<Verification[]>(['models', 'verify', '--all'])).toMatchObject([{ passed: true }])
  })

  it('says how fast it comes, and is taken off the list with its parts', async () => {
    hub.fault = ({ file, server }) => (server === 'cdn' && file === 'onnx/model_q4.onnx' ? { kind: 'trickle', bytesPerChunk: 32_768, msBetween: 50 } : null)
    const { child, ended, stderr } = start(['models', 'add', MODEL])
    await until(() => /^downloading: \d+ %, [\d.]+ [kM]B\/s, .* left$/m.test(stderr()))
    child.kill('SIGINT')
    await ended
    const [paused] = await json<Download[]>(['models', 'downloads'])
    expect(await json<Download[]>(['models', 'downloads', '--cancel', paused?.id ?? ''])).toEqual([])
    expect(filesUnder(join(home, 'hf')).filter((name) => /part/.test(name))).toEqual([])
  })

  it('is refused with a true reason', async () => {
    const refusals: [string[], Record<string, string>, RegExp][] = [
      [['models', 'add', GATED], {}, /^error ACCESS_DENIED: lab\/gated is gated: accept its terms at http.*\/lab\/gated, then set HF_TOKEN/m],
      [['models', 'add', GATED], { HF_TOKEN: 'hf_anotherone' }, /error ACCESS_DENIED: /m],
      [['models', 'add', 'lab/nothing'], {}, /^error (FILE_NOT_FOUND|ACCESS_DENIED): .*lab\/nothing/m],
      [['models', 'add', MODEL, '--weights', 'q9'], {}, /^error INVALID_INPUT: --weights: lab\/tiny-llama has no "q9": it has q4$/m],
      [['models', 'add', MODEL, '--revision', 'v9'], {}, /^error FILE_NOT_FOUND: /m],
      [['models', 'add', TEXTS], {}, /^error (FILE_NOT_FOUND|ACCESS_DENIED): /m],
      [['models', 'add', MODEL], { HF_HUB_OFFLINE: '1' }, /^error OFFLINE: /m],
      [['models', 'search', 'llama'], { HF_HUB_OFFLINE: '1' }, /^error OFFLINE: /m],
      [['models', 'add', MODEL], { HF_ENDPOINT: 'http://127.0.0.1:1' }, /^error NETWORK_FAILED: 127\.0\.0\.1:1/m],
      [['models', 'add', MODEL], { HF_ENDPOINT: 'nonsense' }, /^error INVALID_INPUT: HF_ENDPOINT/m],
    ]
    for (const [args, env, expected] of refusals) {
      const ended = await start(args, env).ended
      expect(ended, args.join(' ')).toMatchObject({ code: 2, stdout: '' })
      expect(ended.stderr).toMatch(expected)
    }
    expect(filesUnder(join(home, 'hf')).filter((name) => name.includes('snapshots'))).toEqual([])
  })

  it('is found by a search', async () => {
    const { stdout } = await kvlab('models', 'search', 'tiny')
    expect(stdout).toContain(`${MODEL} `)
    expect(stdout).not.toContain(GATED)
  })

  it('shows no one its token', async () => {
    said = ''
    const added = await start(['models', 'add', GATED, '--verbose'], { HF_TOKEN: TOKEN }).ended
    expect(added, added.stderr).toMatchObject({ code: 0 })
    hub.fault = () => ({ kind: 'status', status: 401 })
    await start(['models', 'show', MODEL, '--remote', '--verbose'], { HF_TOKEN: TOKEN }).ended
    await start(['models', 'downloads', '--json'], { HF_TOKEN: TOKEN }).ended
    expect(said).toContain(GATED)
    expect(said).not.toContain(TOKEN)
    expect(hub.requests.filter(({ server, headers }) => server === 'cdn' && headers.authorization !== undefined)).toEqual([])
    const files = filesUnder(home)
    expect(files.length).toBeGreaterThan(8)
    expect(files.filter((name) => readFileSync(name).includes(TOKEN))).toEqual([])
  })
})

describe('a model without a network', () => {
  it('is exported here, imported there, verified and removed', async () => {
    const tar = join(folder, 'demo.tar')
    const exported = await json<Exported>(['models', 'export', 'demo', '-o', tar])
    expect(exported.bytes).toBe(statSync(tar).size)
    const imported = await json<Imported>(['models', 'import', tar, '--name', 'carried'])
    expect(imported).toMatchObject({ name: 'carried' })
    expect(await json<Verification[]>(['models', 'verify', 'carried'])).toMatchObject([{ passed: true }])
    const taken = await kvlab('models', 'import', tar, '--name', 'carried')
    expect(taken).toMatchObject({ code: 2 })
    expect(taken.stderr).toMatch(/^error FILE_EXISTS: /)
    expect((await kvlab('models', 'show', 'carried')).stdout).toMatch(/^model {2,}carried[^]*runs here {2,}yes/)
    rmSync(join(home, 'kvlab', 'models', 'carried', 'tokenizer_config.json'))
    const damaged = await kvlab('models', 'verify', 'carried')
    expect(damaged).toMatchObject({ code: 1 })
    expect(damaged.stdout).toContain('missing  tokenizer_config.json')
    expect(await json<Removal>(['models', 'remove', 'carried', '--yes'])).toMatchObject({ refused: null })
    expect(existsSync(join(home, 'kvlab', 'models', 'carried'))).toBe(false)
    expect(hub.requests).toEqual([])
  })

  it('leaves alone what it did not bring', async () => {
    for (const args of [['remove', 'demo', '--yes'], ['remove', DEMO, '--yes'], ['verify'], ['verify', 'demo', '--all'], ['import', join(folder, 'nothing')], ['nonsense']]) {
      const ended = await kvlab('models', ...args)
      expect(ended, args.join(' ')).toMatchObject({ code: 2, stdout: '' })
      expect(lines(ended.stderr)).toHaveLength(1)
    }
    expect(existsSync(join(DEMO, 'config.json'))).toBe(true)
    expect((await kvlab('models', 'verify', '--all')).stdout).toContain('nothing to verify')
  })
})

describe('texts', () => {
  it('are added, shown, counted, compared, verified and removed', async () => {
    const { choices } = await json<HubRepo>(['datasets', 'show', TEXTS])
    expect(choices.length).toBeGreaterThan(1)
    for (const { name } of choices) expect(await json<Download>(['datasets', 'add', TEXTS, '--split', name])).toMatchObject({ status: 'done' })
    const texts = (await json<DataEntry[]>(['datasets'])).filter(({ origin }) => origin === 'hub')
    expect(texts.map(({ bytes }) => bytes).sort()).toEqual(Object.values(textFiles).map((text) => text.length).sort())

    const shown = await json<DataEntry & { counted: TextCount }>(['datasets', 'show', `${TEXTS}:test.txt`, '--model', 'demo'])
    expect(shown.counted).toMatchObject({ documents: 1, characters: textFiles['test.txt'].length })
    expect(shown.counted.tokens).toBeGreaterThan(50)
    expect((await kvlab('datasets', 'show', `${TEXTS}:test.txt`, '--model', 'demo')).stdout).toMatch(/readable {2,}yes[^]*tokens {2,}\d+ under[^]*SHA-256 {2,}[0-9a-f]{64} of the text[^]*ship ship/)

    const overlap = await json<TextOverlap>(['datasets', 'overlap', `${TEXTS}:train.txt`, `${TEXTS}:test.txt`], 1)
    expect(overlap).toMatchObject({ shared: 1, paragraphs: 2 })
    expect((await kvlab('datasets', 'overlap', `${TEXTS}:train.txt`, 'demo')).stdout).toMatch(/^nothing is shared/)

    expect((await json<Verification[]>(['datasets', 'verify', '--all'])).map(({ passed }) => passed)).toEqual([true, true])
    for (const name of Object.keys(textFiles)) await json<Removal>(['datasets', 'remove', `${TEXTS}:${name}`, '--yes'])
    expect((await json<DataEntry[]>(['datasets'])).filter(({ origin }) => origin === 'hub')).toEqual([])
  })

  it('are imported from a file and known by the names of papers', async () => {
    const file = join(home, 'calibration.txt')
    writeFileSync(file, textFiles['train.txt'])
    const imported = await json<Imported>(['datasets', 'import', file])
    expect(imported).toMatchObject({ bytes: textFiles['train.txt'].length })
    expect(await json<Verification[]>(['datasets', 'verify', imported.path])).toMatchObject([{ passed: true }])
    expect(await json<TextOverlap>(['datasets', 'overlap', imported.path, file], 1)).toMatchObject({ shared: 2, paragraphs: 2 })
    const { stdout } = await kvlab('datasets', 'known')
    expect(stdout).toContain('WikiText-2')
    expect(stdout).toContain('hf-rows')
    expect(hub.requests).toEqual([])
  })
})

describe.skipIf(!existsSync(SMOLLM2))(`SmolLM2${existsSync(SMOLLM2) ? '' : ' (skipped: ../shared/models is not here)'}`, () => {
  it('is got from a hub, verified, swept by its name, and removed again', { timeout: 600_000 }, async () => {
    const name = 'lab/SmolLM2-135M-Instruct'
    const onDisk = filesUnder(SMOLLM2).filter((file) => !file.endsWith('README.md'))
    const bytes = onDisk.reduce((sum, file) => sum + statSync(file).size, 0)
    await json<Download>(['models', 'add', name])
    expect(filesUnder(join(home, 'hf')).map((file) => statSync(file).size).reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(bytes)
    expect(await json<Verification[]>(['models', 'verify', name])).toMatchObject([{ passed: true }])
    const { trials } = await json<RunResult>(['sweep', '--model', name, '--data', 'demo', '--context', '32', '--windows', '2', '--methods', 'int8:g64'])
    expect(trials[0]).toMatchObject({ method: 'int8:g64', status: 'done', quality: { tokens: 30 } })
    const removal = await json<Removal>(['models', 'remove', name, '--yes'])
    expect(removal.frees).toBeGreaterThanOrEqual(bytes)
    expect(filesUnder(join(home, 'hf', 'hub')).map((file) => statSync(file).size).reduce((a, b) => a + b, 0)).toBeLessThan(1000)
  })
})

describe('help', () => {
  it('explains every command with examples', async () => {
    const commands = ['list', 'show', 'search', 'add', 'downloads', 'import', 'verify', 'export', 'remove']
    const all = [...commands.map((name) => ['models', name]), ...[...commands, 'known', 'overlap'].map((name) => ['datasets', name])]
    const helps = await Promise.all([['models'], ['datasets'], ...all].map(async (words) => ({ words, ...(await kvlab(...words, '--help')) })))
    for (const { words, code, stdout } of helps) {
      expect(code).toBe(0)
      expect(stdout).toContain(`Usage: kvlab ${words.join(' ')}`)
      expect(stdout).toContain(`Examples:\n  kvlab ${words[0] ?? ''}`)
      expect(stdout).toContain('--json')
    }
  })
})
