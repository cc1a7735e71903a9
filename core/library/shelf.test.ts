import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import type { Exported, Removal, Verification } from '#core/contract/library.ts'
import { cachedRepo, drained, treeOf, writeTree } from '../../test/shelf-files.ts'
import { tinyModel } from '../../test/tiny-model.ts'
import { exportShelf } from './export.ts'
import { importToShelf } from './import.ts'
import { removeShelved } from './remove.ts'
import type { Places, Shelved } from './shelf.ts'
import { tarHeader } from './tar-header.ts'
import { verifyShelf } from './verify.ts'

let folder = ''
let places: Places = { home: '', cache: '' }
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'kvlab-shelf-')))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  const home = await mkdtemp(join(folder, 'home-'))
  places = { home, cache: join(home, 'hub') }
})

const still = new AbortController().signal
const bring = async (kind: Shelved['kind'], path: string, name: string | null = null): Promise<string> => (await drained(importToShelf(places, { kind, path, name }, still))).result.path
const verify = async (kind: Shelved['kind'], path: string): Promise<Verification> => (await drained(verifyShelf(places, { kind, path }, still))).result
const pack = async (kind: Shelved['kind'], path: string, output: string): Promise<Exported> => (await drained(exportShelf(places, { kind, path, output }, still))).result
const remove = (kind: Shelved['kind'], path: string): Promise<Removal> => removeShelved(places, { kind, path }, { remove: true })
const statuses = ({ files }: Verification): Record<string, string> => Object.fromEntries(files.map(({ path, status }) => [path, status]))

const COMMIT = 'c0ffee'.padEnd(40, '0')
/** A tiny model with two graphs, as files. */
async function twoGraphs(): Promise<Record<string, Buffer>> {
  const tiny = await tinyModel()
  const files = Object.fromEntries(await Promise.all(Object.keys(await treeOf(tiny)).map(async (name) => [name, await readFile(join(tiny, name))] as const)))
  await rm(tiny, { recursive: true })
  return { ...files, 'onnx/model_q4.onnx': files['onnx/model.onnx'] ?? Buffer.alloc(0), 'onnx/model_q4.onnx_data': Buffer.from('q4 weights') }
}
const LFS = ['onnx/model.onnx', 'onnx/model_q4.onnx', 'onnx/model_q4.onnx_data']
/** Graphs with contents of their own: equal ones would be one blob. */
async function cachedModel(): Promise<string> {
  const files = await twoGraphs()
  // A field that no reader knows makes it another file of the same graph.
  return cachedRepo(places.cache, 'org/tiny', COMMIT, { ...files, 'onnx/model_q4.onnx': Buffer.concat([files['onnx/model_q4.onnx'] ?? Buffer.alloc(0), Buffer.from([0x92, 0x3f, 1, 0])]), 'README.md': 'about' }, { lfs: LFS })
}

describe('verify', () => {
  it('holds an import against its record and names each bad file, of the graph that is asked for', async () => {
    const path = await bring('model', await writeTree(join(folder, 'verified'), await twoGraphs()))
    const names = ['config.json', 'kvlab.json', 'onnx/model.onnx', 'tokenizer.json', 'tokenizer_config.json']
    expect(await verify('model', path)).toMatchObject({ path, passed: true })
    expect(statuses(await verify('model', path))).toEqual(Object.fromEntries(names.map((name) => [name, 'ok'])))
    const q4 = path.replace('model.onnx', 'model_q4.onnx')
    expect(Object.keys(statuses(await verify('model', q4)))).toContain('onnx/model_q4.onnx_data')
    await truncate(join(places.home, 'models', 'verified', 'tokenizer.json'), 5)
    await rm(`${q4}_data`)
    expect(statuses(await verify('model', path))).toEqual({ ...Object.fromEntries(names.map((name) => [name, 'ok'])), 'tokenizer.json': 'changed' })
    const bad = await verify('model', q4)
    expect(bad.passed).toBe(false)
    expect(bad.files.filter(({ status }) => status !== 'ok')).toMatchObject([
      { path: 'onnx/model_q4.onnx_data', status: 'missing', bytes: 0, found: null, expected: createHash('sha256').update('q4 weights').digest('hex') },
      { path: 'tokenizer.json', status: 'changed', bytes: 5 },
    ])
  })

  it('of an import that lost its graph, or what is needed beside it, says what is missing, and it can still be removed', async () => {
    const path = await bring('model', await writeTree(join(folder, 'losing'), await twoGraphs()))
    const imported = join(places.home, 'models', 'losing')
    await rm(join(imported, 'config.json'))
    expect(statuses(await verify('model', path))).toMatchObject({ 'config.json': 'missing', 'onnx/model.onnx': 'ok' })
    await rm(join(imported, 'onnx'), { recursive: true })
    expect(statuses(await verify('model', 'losing'))).toMatchObject({ 'onnx/model.onnx': 'missing', 'onnx/model_q4.onnx_data': 'missing', 'tokenizer.json': 'ok' })
    expect((await remove('model', 'losing')).files).toHaveLength(4)
    await expect(stat(imported)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('holds files of the Hugging Face cache against the names of their blobs, of both kinds', async () => {
    const snapshot = await cachedModel()
    const path = join(snapshot, 'onnx', 'model_q4.onnx')
    const good = await verify('model', path)
    expect(good.passed).toBe(true)
    expect(new Set(good.files.map(({ expected }) => expected?.length))).toEqual(new Set([40, 64]))
    for (const name of ['onnx/model_q4.onnx_data', 'config.json']) await writeFile(await realpath(join(snapshot, name)), 'X', { flag: 'r+' })
    const bad = await verify('model', path)
    expect(bad.files.filter(({ status }) => status === 'changed').map((file) => file.path)).toEqual(['config.json', 'onnx/model_q4.onnx_data'])
    expect(bad.passed).toBe(false)
  })

  it('says the hashes of what nobody recorded, the demo model among it, and does not pass it', async () => {
    const { passed, files } = await verify('model', 'demo')
    expect(passed).toBe(false)
    expect(files.map(({ path }) => path)).toContain('onnx/model.onnx')
    for (const { status, found, expected } of files) expect({ status, expected, found }).toEqual({ status: 'unrecorded', expected: null, found: expect.stringMatching(/^[0-9a-f]{64}$/) as string })
    await expect(verify('text', 'demo')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(verify('model', join(folder, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })

  it('of a text is that of all that came with it', async () => {
    const path = await bring('text', await writeTree(join(folder, 'texts'), { 'a.raw': 'a', 'b.raw': 'b' }))
    expect(statuses(await verify('text', join(path, 'b.raw')))).toEqual({ 'a.raw': 'ok', 'b.raw': 'ok', 'kvlab.json': 'ok' })
    const cached = await cachedRepo(places.cache, 'org/data', COMMIT, { 'test.txt': 'test', 'train.txt': 'train' }, { kind: 'datasets' })
    expect(statuses(await verify('text', join(cached, 'test.txt')))).toEqual({ 'test.txt': 'ok' })
    const shards = await cachedRepo(places.cache, 'org/shards', COMMIT, { 'train-00000-of-00002.jsonl': '{"text":"a"}', 'train-00001-of-00002.jsonl': '{"text":"b"}', 'test.jsonl': '{}' }, { kind: 'datasets' })
    expect(statuses(await verify('text', join(shards, 'train')))).toEqual({ 'train-00000-of-00002.jsonl': 'ok', 'train-00001-of-00002.jsonl': 'ok' })
    expect((await removeShelved(places, { kind: 'text', path: join(shards, 'train') }, { remove: true })).files).toHaveLength(2)
    const own = await writeTree(join(folder, 'own-text'), { 'c.txt': 'c' })
    expect(statuses(await verify('text', join(own, 'c.txt')))).toEqual({ 'c.txt': 'unrecorded' })
  })

  it('tells how far it is, in bytes, and ends when it is cancelled', async () => {
    const path = await writeTree(join(folder, 'big-text'), { 'c.txt': Buffer.alloc(80_000_000) })
    const steps = verifyShelf(places, { kind: 'text', path: join(path, 'c.txt') }, still)
    const { events } = await drained(steps)
    expect(events.at(-1)).toEqual({ phase: 'hashing', done: 80_000_000, total: 80_000_000, unit: 'bytes' })
    const controller = new AbortController()
    const cancelled = verifyShelf(places, { kind: 'text', path: join(path, 'c.txt') }, controller.signal)
    await cancelled.next()
    controller.abort(new LabError('CANCELLED', 'cancelled'))
    await expect(drained(cancelled)).rejects.toMatchObject({ code: 'CANCELLED' })
  })
})

describe('export', () => {
  it('makes one tar, the same bytes each time, that comes back byte for byte and passes', async () => {
    const path = await bring('model', await writeTree(join(folder, 'exported'), await twoGraphs()))
    const output = join(folder, 'exported.tar')
    const { sha256, bytes, files } = await pack('model', path, output)
    expect(createHash('sha256').update(await readFile(output)).digest('hex')).toBe(sha256)
    expect([(await stat(output)).size, files]).toEqual([bytes, 4])
    expect((await pack('model', path, join(folder, 'again.tar'))).sha256).toBe(sha256)
    const before = await treeOf(join(places.home, 'models', 'exported'))
    await remove('model', path)
    const back = await bring('model', output)
    const { SHA256SUMS: _, 'onnx/model_q4.onnx': graph, 'onnx/model_q4.onnx_data': data, ...rest } = before
    expect([graph, data]).not.toContain(undefined)
    expect(await treeOf(join(places.home, 'models', 'exported'))).toMatchObject(rest)
    expect((await verify('model', back)).passed).toBe(true)
  })

  it('takes a model out of the Hugging Face cache, with its origin', async () => {
    const snapshot = await cachedModel()
    await pack('model', join(snapshot, 'onnx', 'model_q4.onnx'), join(folder, 'cached.tar'))
    const back = await bring('model', join(folder, 'cached.tar'))
    expect(back).toBe(join(places.home, 'models', 'tiny', 'onnx', 'model_q4.onnx'))
    expect(Object.keys(await treeOf(join(places.home, 'models', 'tiny')))).toEqual(['README.md', 'SHA256SUMS', 'config.json', 'kvlab.json', 'onnx/model_q4.onnx', 'onnx/model_q4.onnx_data', 'tokenizer.json', 'tokenizer_config.json'])
    expect(JSON.parse(await readFile(join(places.home, 'models', 'tiny', 'kvlab.json'), 'utf8'))).toMatchObject({ repo: 'org/tiny', commit: COMMIT })
    expect((await verify('model', back)).passed).toBe(true)
  })

  it('takes plain folders, texts and the demo model', async () => {
    const own = await writeTree(join(folder, 'mine'), { 'c.txt': 'c', 'd.txt': 'd', 'weights.bin': 'x' })
    await pack('text', own, join(folder, 'mine.tar'))
    await bring('text', join(folder, 'mine.tar'))
    expect(Object.keys(await treeOf(join(places.home, 'data', 'mine')))).toEqual(['SHA256SUMS', 'c.txt', 'd.txt', 'kvlab.json'])
    await pack('model', 'demo', join(folder, 'demo.tar'))
    const demo = await bring('model', join(folder, 'demo.tar'))
    expect((await verify('model', demo)).passed).toBe(true)
  })

  it('gives damage no new hashes, overwrites nothing and leaves nothing half written', async () => {
    const path = await bring('text', await writeTree(join(folder, 'damaged'), { 'a.txt': 'good' }))
    await writeFile(path, 'evil')
    const output = join(folder, 'damaged.tar')
    await expect(pack('text', path, output)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH', message: expect.stringContaining(path) as string })
    await writeFile(path, 'good')
    await writeFile(output, 'mine')
    await expect(pack('text', path, output)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(await readFile(output, 'utf8')).toBe('mine')
    await expect(pack('text', path, join(folder, 'none', 'x.tar'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([])
  })

  it('is read by other programs', async () => {
    const source = await writeTree(join(folder, 'foreign'), { 'a.txt': 'a', [`${'deep/'.repeat(30)}naïve ✓.txt`]: 'long', 'empty.txt': '' })
    const output = join(folder, 'foreign.tar')
    const path = await bring('text', source)
    await pack('text', path.replace(/\/foreign\/.*/, '/foreign'), output)
    for (const [program, args] of [['tar', ['-xf', output, '-C']], ['python3', ['-m', 'tarfile', '-e', output]]] as const) {
      const target = await mkdtemp(join(folder, 'out-'))
      if (spawnSync(program, [...args, target]).status !== 0) throw new Error(`${program} does not read it`)
      expect(spawnSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: join(target, 'foreign') }).status).toBe(0)
      expect(Object.keys(await treeOf(join(target, 'foreign')))).toHaveLength(5)
    }
  })

  it('writes sizes over 8 GiB as pax records', async () => {
    const head = Buffer.from(tarHeader('big.onnx_data', 10_000_000_000))
    expect(head.length).toBe(3 * 512)
    expect(head.toString('latin1', 512, 540)).toBe('20 size=10000000000\n'.padEnd(28, '\0'))
  })
})

describe('remove', () => {
  it('takes an import away whole, after it has said what that frees', async () => {
    const path = await bring('model', await writeTree(join(folder, 'going'), await twoGraphs()))
    const before = await treeOf(join(places.home, 'models'))
    const dry = await removeShelved(places, { kind: 'model', path }, { remove: false })
    expect(dry).toMatchObject({ path, refused: null, frees: Object.values(before).reduce((sum, text) => sum + text.length, 0) })
    expect(dry.files).toHaveLength(Object.keys(before).length)
    expect(await treeOf(join(places.home, 'models'))).toEqual(before)
    expect(await remove('model', path)).toEqual(dry)
    expect(await readdir(join(places.home, 'models'))).toEqual([])
  })

  it('takes one graph out of the Hugging Face cache, and with the last one all of the snapshot', async () => {
    const snapshot = await cachedModel()
    const q4 = await remove('model', join(snapshot, 'onnx', 'model_q4.onnx'))
    expect(q4.files.map((file) => file.slice(snapshot.length + 1)).sort()).toEqual(['onnx/model_q4.onnx', 'onnx/model_q4.onnx_data'])
    expect(q4.frees).toBeGreaterThan(10)
    expect((await verify('model', join(snapshot, 'onnx', 'model.onnx'))).passed).toBe(true)
    const rest = await remove('model', join(snapshot, 'onnx', 'model.onnx'))
    expect(rest.files.map((file) => file.slice(snapshot.length + 1)).sort()).toEqual(['README.md', 'config.json', 'onnx/model.onnx', 'tokenizer.json', 'tokenizer_config.json'])
    expect(await treeOf(places.cache)).toEqual({})
  })

  it('takes one text out of the Hugging Face cache, and what only says something about the last one', async () => {
    const cached = await cachedRepo(places.cache, 'org/data', COMMIT, { 'test.txt': 'test', 'train.txt': 'train', 'README.md': 'about' }, { kind: 'datasets' })
    expect((await remove('text', join(cached, 'test.txt'))).files).toEqual([join(cached, 'test.txt')])
    expect((await remove('text', join(cached, 'train.txt'))).files).toEqual([join(cached, 'README.md'), join(cached, 'train.txt')])
    expect(await treeOf(places.cache)).toEqual({})
  })

  it('takes what was put into the library by hand', async () => {
    await writeTree(join(places.home, 'data'), { 'a.txt': 'a', 'b.txt': 'b', 'c/d.txt': 'd', 'c/e.txt': 'e' })
    expect((await remove('text', join(places.home, 'data', 'a.txt'))).files).toEqual([join(places.home, 'data', 'a.txt')])
    await remove('text', join(places.home, 'data', 'c'))
    expect(Object.keys(await treeOf(join(places.home, 'data')))).toEqual(['b.txt'])
    await writeTree(join(places.home, 'data', 's'), { 'train-00000-of-00002.jsonl': 'a', 'train-00001-of-00002.jsonl': 'b', 'test.jsonl': 'c' })
    expect((await remove('text', join(places.home, 'data', 's', 'train'))).files).toHaveLength(2)
    expect(Object.keys(await treeOf(join(places.home, 'data')))).toEqual(['b.txt', 's/test.jsonl'])
    const model = await writeTree(join(places.home, 'models', 'org', 'tiny'), await twoGraphs())
    await remove('model', join(model, 'onnx', 'model.onnx'))
    expect(await readdir(join(places.home, 'models'))).toEqual([])
  })

  it('touches nothing else: folders of a person, links out of the library, the library itself, what is built in', async () => {
    const mine = await writeTree(join(folder, 'my-model'), await twoGraphs())
    const text = await writeTree(join(folder, 'my-text'), { 'a.txt': 'a' })
    await mkdir(join(places.home, 'models'), { recursive: true })
    await mkdir(join(places.home, 'data'), { recursive: true })
    await symlink(mine, join(places.home, 'models', 'linked'))
    await symlink(join(text, 'a.txt'), join(places.home, 'data', 'linked.txt'))
    await cp(mine, join(places.home, 'models'), { recursive: true })
    const before = [await treeOf(mine), await treeOf(text)]
    const cases: [Shelved['kind'], string][] = [
      ['model', join(mine, 'onnx', 'model.onnx')],
      ['model', join(places.home, 'models', 'linked')],
      ['model', join(places.home, 'models')],
      ['text', join(text, 'a.txt')],
      ['text', join(places.home, 'data', 'linked.txt')],
      ['text', join(places.home, 'data')],
      ['model', 'demo'],
      ['text', 'demo'],
    ]
    for (const [kind, path] of cases) {
      await writeTree(join(places.home, 'data'), { 'x.txt': 'x' })
      expect(await removeShelved(places, { kind, path }, { remove: false })).toMatchObject({ files: [], frees: 0, refused: expect.stringMatching(/a folder of yours|part of this program/) as string })
      await expect(remove(kind, path)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    }
    expect([await treeOf(mine), await treeOf(text)]).toEqual(before)
    expect(await readdir(join(places.home, 'data'))).toEqual(['linked.txt', 'x.txt'])
  })
})
