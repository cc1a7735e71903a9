import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DEFAULT_SETTINGS } from '#core/contract/library.ts'
import type { Progress } from '#core/contract/api.ts'
import type { ModelEntry } from '#core/contract/library.ts'
import { cachedRepo } from '../../test/shelf-files.ts'
import { tinyModel, type TinyModel } from '../../test/tiny-model.ts'
import { listModels, modelEntry } from './model-list.ts'
import { writeSettings } from './settings.ts'
import type { Places } from './shelf.ts'

let folder = ''
let home = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-models-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  home = await mkdtemp(join(folder, 'home-'))
})

const places = (): Places => ({ home, cache: join(home, 'hub') })

/** A tiny model at this path; returns the path of its graph. */
async function modelAt(path: string, options: TinyModel = {}): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  await rename(await tinyModel(options), path)
  return join(path, 'onnx', 'model.onnx')
}

async function list(): Promise<{ entries: ModelEntry[]; progress: Progress[] }> {
  const steps = listModels(places(), new AbortController().signal)
  const progress: Progress[] = []
  for (;;) {
    const step = await steps.next()
    if (step.done) return { entries: step.value, progress }
    progress.push(step.value)
  }
}

/** The entries but the demo's. */
async function own(): Promise<ModelEntry[]> {
  return (await list()).entries.slice(1)
}

const TINY_ENTRY = { weights: null, cache: { layers: 2, kvHeads: 2, headDim: 4, dtype: 'F32' }, kvBytesPerToken: 2 * 2 * 2 * 4 * 4, contextLimit: 16, family: 'llama', unusable: null }

describe('listModels', () => {
  it('knows the demo model in an empty library', async () => {
    const { entries, progress } = await list()
    expect(entries).toMatchObject([
      {
        name: 'kvlab-demo',
        path: 'demo',
        origin: 'embedded',
        source: null,
        weights: null,
        bytes: 11_035_155,
        cache: { layers: 6, kvHeads: 2, headDim: 64, dtype: 'F32' },
        kvBytesPerToken: 6144,
        contextLimit: 1024,
        family: 'llama',
        unusable: null,
        edits: [expect.objectContaining({ reason: null }), expect.objectContaining({ reason: null })],
        notes: [],
      },
    ])
    expect(progress).toContainEqual({ phase: 'reading models', done: 0, total: 1, unit: 'models' })
  })

  it('finds models two levels deep in the library and in the folders of the settings, each graph once', async () => {
    const one = await modelAt(join(home, 'models', 'one'))
    const two = await modelAt(join(home, 'models', 'org', 'two'))
    await modelAt(join(home, 'models', 'a', 'b', 'too-deep'))
    await modelAt(join(home, 'models', '.hidden'))
    const elsewhere = join(home, 'elsewhere')
    const three = await modelAt(join(elsewhere, 'three'))
    await symlink(join(home, 'models', 'one'), join(elsewhere, 'twin'))
    await symlink(elsewhere, join(elsewhere, 'loop'))
    await writeSettings(home, { ...DEFAULT_SETTINGS, modelFolders: [elsewhere, join(elsewhere, 'three'), join(home, 'gone')] })
    const entries = await own()
    expect(entries.map(({ path, origin }) => [path, origin])).toEqual([[one, 'library'], [two, 'library'], [three, 'shared']])
    for (const entry of entries) expect(entry).toMatchObject(TINY_ENTRY)
    expect(entries[0]?.bytes).toBe((await readFile(one)).length)
  })

  it('makes an entry of every graph, with external data in its size', async () => {
    const graph = await modelAt(join(home, 'models', 'variants'))
    await cp(graph, graph.replace('model.onnx', 'model_q4.onnx'))
    await writeFile(graph.replace('model.onnx', 'model_q4.onnx_data'), Buffer.alloc(1000))
    const size = (await readFile(graph)).length
    expect((await own()).map(({ weights, bytes, name }) => [name, weights, bytes])).toEqual([['variants', null, size], ['variants', 'q4', size + 1000]])
  })

  it('lists what is damaged or of another kind with the reason', async () => {
    const models = join(home, 'models')
    await truncate(await modelAt(join(models, 'a-truncated')), 3000)
    await writeFile(await modelAt(join(models, 'b-text')), 'version https://git-lfs.github.com/spec/v1\noid sha256:0')
    await modelAt(join(models, 'c-no-cache'), { present: null })
    await modelAt(join(models, 'd-no-weights'), { external: true })
    await modelAt(join(models, 'e-half-weights'), { external: true })
    await writeFile(join(models, 'e-half-weights', 'onnx', 'model.onnx_data'), Buffer.alloc(100))
    await modelAt(join(models, 'f-no-tokenizer'))
    await rm(join(models, 'f-no-tokenizer', 'tokenizer.json'))
    await modelAt(join(models, 'g-config'))
    await writeFile(join(models, 'g-config', 'config.json'), '{"model_type": "llama"')
    await writeFile(await modelAt(join(models, 'h-empty')), '')
    await mkdir(join(models, 'i-folder', 'onnx', 'model.onnx'), { recursive: true })
    await writeFile(join(models, 'i-folder', 'config.json'), '{}')
    await rm(await modelAt(join(models, 'j-no-graph')))
    const reasons: [string, RegExp][] = [
      ['a-truncated', /cut short/],
      ['b-text', /not an ONNX model/],
      ['c-no-cache', /no present outputs/],
      ['d-no-weights', /model.onnx_data are missing/],
      ['e-half-weights', /have 100 of at least 256 bytes/],
      ['f-no-tokenizer', /no tokenizer.json/],
      ['g-config', /config.json .*get the file again/],
      ['h-empty', /no graph/],
      ['i-folder', /no tokenizer.json/],
    ]
    const entries = await own()
    expect(entries.map(({ name, unusable }) => [name, unusable])).toEqual(reasons.map(([name, reason]) => [name, expect.stringMatching(reason) as string]))
    expect(JSON.parse(JSON.stringify(entries))).toEqual(entries)
  })

  it('reads a model anew when its files change', async () => {
    const graph = await modelAt(join(home, 'models', 'changing'))
    expect((await own())[0]).toMatchObject(TINY_ENTRY)
    const config = join(home, 'models', 'changing', 'config.json')
    await writeFile(config, JSON.stringify({ model_type: 'gpt', max_position_embeddings: 99 }))
    expect((await own())[0]).toMatchObject({ family: 'gpt', contextLimit: 99, unusable: null })
    const whole = await readFile(graph)
    await writeFile(graph, whole.subarray(0, 500))
    expect((await own())[0]?.unusable).toMatch(/cut short/)
    await writeFile(graph, whole)
    expect((await own())[0]?.unusable).toBe(null)
  })

  it('does not read again what did not change', async () => {
    const graph = await modelAt(join(home, 'models', 'still'))
    const time = new Date(2020, 0)
    await utimes(graph, time, time)
    expect((await own())[0]?.unusable).toBe(null)
    const { length } = await readFile(graph)
    await writeFile(graph, Buffer.alloc(length))
    await utimes(graph, time, time)
    expect((await own())[0]?.unusable).toBe(null)
  })

  it('knows the models of earlier runs that are still there, and lets damaged runs be', async () => {
    const used = join(folder, 'used')
    const graph = await modelAt(used)
    await cp(graph, graph.replace('model.onnx', 'model_q4.onnx'))
    const inLibrary = await modelAt(join(home, 'models', 'own'))
    const head = (model: string, file: string): string => JSON.stringify({ plan: { model: { folder: model, files: [{ path: 'config.json' }, { path: file }] } } })
    const runs: [string, string][] = [
      ['1', head(used, 'onnx/model_q4.onnx')],
      ['2', head(used, 'onnx/model_q4.onnx')],
      ['3', head(join(home, 'models', 'own'), 'onnx/model.onnx')],
      ['4', head(join(folder, 'gone'), 'onnx/model.onnx')],
      ['5', head('relative', 'onnx/model.onnx')],
      ['6', head(used, '../../../../etc/passwd.onnx')],
      ['7', '{"plan": null}'],
      ['8', 'not JSON'],
    ]
    for (const [run, text] of runs) {
      await mkdir(join(home, 'runs', run), { recursive: true })
      await writeFile(join(home, 'runs', run, 'run.json'), text)
    }
    await mkdir(join(home, 'runs', '9', 'run.json'), { recursive: true })
    await writeFile(join(home, 'runs', 'file'), '')
    expect((await own()).map(({ path, origin, weights }) => [path, origin, weights])).toEqual([
      [inLibrary, 'library', null],
      [graph.replace('model.onnx', 'model_q4.onnx'), 'used', 'q4'],
    ])
  })

  it('finds every graph of the Hugging Face cache by the name of its repository, a blob that two commits share once, and the origin of an import', async () => {
    const tiny = await tinyModel()
    const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx']
    const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(tiny, name))] as const)))
    const [first, second] = ['1'.repeat(40), '2'.repeat(40)]
    const old = await cachedRepo(places().cache, 'org/tiny', first, { ...files, 'onnx/model_q4.onnx': 'broken' }, { ref: null })
    const snapshot = await cachedRepo(places().cache, 'org/tiny', second, files)
    await cachedRepo(places().cache, 'org/texts', first, files, { kind: 'datasets' })
    await rename(tiny, await mkdir(join(home, 'models'), { recursive: true }).then(() => join(home, 'models', 'imported')))
    await writeFile(join(home, 'models', 'imported', 'kvlab.json'), JSON.stringify({ schema: 'kvlab.shelf/1', repo: 'org/tiny', commit: first, licence: null, addedAt: null }))
    const entries = await own()
    expect(entries.map(({ name, path, origin, source, weights, unusable }) => [name, path, origin, source?.commit, weights, unusable === null])).toEqual([
      ['imported', join(home, 'models', 'imported', 'onnx', 'model.onnx'), 'library', first, null, true],
      ['org/tiny', join(snapshot, 'onnx', 'model.onnx'), 'hub', second, null, true],
      ['org/tiny', join(old, 'onnx', 'model_q4.onnx'), 'hub', first, 'q4', false],
    ])
    expect(await modelEntry(places(), 'org/tiny')).toEqual(entries[1])
    expect(await modelEntry(places(), `org/tiny@${first}:q4`)).toEqual(entries[2])
    expect(await modelEntry(places(), 'imported')).toEqual(entries[0])
  })

  it('says that the settings are damaged, and ends when it is cancelled', async () => {
    const steps = listModels(places(), AbortSignal.abort(new Error('left')))
    await steps.next()
    await expect(steps.next()).rejects.toThrow('left')
    await writeFile(join(home, 'settings.json'), '{')
    await expect(list()).rejects.toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'kvlab.settings' } })
  })
})

describe('modelEntry', () => {
  it('is that of the list, for a folder, a graph and the demo', async () => {
    const graph = await modelAt(join(home, 'models', 'one'))
    const [demo, one] = (await list()).entries
    expect(await modelEntry(places(), 'demo')).toEqual(demo)
    expect(await modelEntry(places(), graph)).toEqual(one)
    expect(await modelEntry(places(), join(home, 'models', 'one'))).toEqual(one)
    const outside = await modelAt(join(folder, 'outside'))
    expect(await modelEntry(places(), outside)).toMatchObject({ ...TINY_ENTRY, path: outside, origin: 'used' })
  })

  it('of what is no model is a LabError, of a damaged one an entry', async () => {
    await expect(modelEntry(places(), join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(modelEntry(places(), home)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringContaining('no config.json') as string })
    await writeFile(join(home, 'notes.txt'), '')
    await expect(modelEntry(places(), join(home, 'notes.txt'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    const graph = await modelAt(join(home, 'models', 'broken'))
    await truncate(graph, 100)
    expect((await modelEntry(places(), graph)).unusable).toMatch(/cut short/)
  })
})
