import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { engineApi, type EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import { answer, type Handlers } from '#core/contract/rpc.ts'
import { confine } from '#core/host/confine.ts'

let folder = ''
let [root, home, outside, cache] = ['', '', '', '']
let handlers: Handlers<EngineApi>
/** Routes that came through to the engine, with their inputs. */
const reached: { route: string; input: unknown }[] = []

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'kvlab-confine-')))
  ;[root, home, outside, cache] = [join(folder, 'root'), join(folder, 'home'), join(folder, 'outside'), join(folder, 'hub')]
  for (const path of [join(root, 'sub'), join(home, 'runs'), join(home, 'models', 'mine'), join(home, 'data'), outside, `${root}-twin`]) await mkdir(path, { recursive: true })
  for (const path of [join(root, 'in.kv'), join(outside, 'out.kv'), `${root}-twin/out.kv`]) await writeFile(path, 'x')
  await symlink(outside, join(root, 'link'))
  await symlink(join(outside, 'out.kv'), join(root, 'file-link'))
  await symlink(join(outside, 'not-yet'), join(root, 'dangling'))
  await symlink(join(root, 'sub'), join(root, 'good-link'))
  await symlink('loop', join(root, 'loop'))
  for (const shelf of ['models', 'data']) await symlink(outside, join(home, shelf, 'linked'))
  await symlink(join(outside, 'out.kv'), join(home, 'data', 'linked.txt'))
  // Every handler answers with what it was given: what matters here is whether it is asked.
  const echo = Object.fromEntries(
    Object.entries(engineApi).map(([route, { kind }]) => {
      const note = (input: unknown): null => (reached.push({ route, input }), null)
      return [route, kind === 'call' ? async (input: unknown) => note(input) : async function* (input: unknown) { yield 1; return note(input) }]
    }),
  ) as unknown as Handlers<EngineApi>
  const listing: Handlers<EngineApi>['folder.list'] = async ({ path }) => ({ path: path ?? 'none', parent: dirname(path ?? 'none'), entries: [] })
  handlers = await confine({ ...echo, 'folder.list': listing }, [root], { home, cache })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** null: it came through; else the code and message. */
async function ask(route: string, input: unknown): Promise<{ refused: string | null; result: unknown }> {
  try {
    const steps = answer(engineApi, handlers, route, input, new AbortController().signal)
    for (;;) {
      const step = await steps.next()
      if (step.done) return { refused: null, result: step.value }
    }
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    expect(error.code).toBe('INVALID_INPUT')
    return { refused: error.message, result: null }
  }
}

const spec = (model: string, data: string): unknown => ({
  ...{ schema: 'kvlab.spec/1', model, data, join: 'documents', bos: 'model', mode: 'handoff', contextLength: 64, prefixLength: 32, advance: 64, windows: 1, methods: ['none'] },
  ...{ batch: 1, threads: 1, provider: 'cpu', memoryBudget: 'auto', gate: { lnRatio: null, klMean: null, klP99: null, deltaPerplexity: null }, level: 0.95, seed: 1, keepKv: false },
})

describe('paths', () => {
  it('inside a root come through: files, folders, what does not exist yet, links that stay inside, the library', async () => {
    for (const path of [root, join(root, 'in.kv'), join(root, 'new', 'deep', 'x'), join(root, 'good-link', 'x'), join(home, 'runs', 'x'), home, relative(process.cwd(), join(root, 'sub')).includes('..') ? root : 'sub']) {
      expect(await ask('file.inspect', { path })).toMatchObject({ refused: null })
    }
  })

  it('outside are refused before the engine is asked, with the way out', async () => {
    reached.length = 0
    const bad = [outside, join(outside, 'none'), dirname(root), `${root}-twin/out.kv`, join(root, 'link'), join(root, 'link', 'new', 'x'), join(root, 'file-link'), join(root, 'dangling'), join(root, 'dangling', 'x'), join(root, 'loop')]
    const dotted = [`${root}/../outside/out.kv`, `${root}/link/../root/in.kv`, `${root}/sub/..`, '../x', `${root}\\..\\outside`, `${root}/in.kv\0.txt`, '/', '/etc/passwd', '.']
    for (const path of [...bad, ...dotted]) expect((await ask('file.inspect', { path })).refused, path).toContain('--root')
    expect(reached).toEqual([])
  })

  it('says the same of what exists outside and what does not', async () => {
    const of = async (path: string): Promise<string | undefined> => (await ask('file.inspect', { path })).refused?.replace(path, '')
    expect(await of(join(outside, 'out.kv'))).toBe(await of(join(outside, 'none.kv')))
  })

  it('are looked at in every route that takes one', async () => {
    const [good, bad] = [join(root, 'in.kv'), join(outside, 'out.kv')]
    const text = { join: 'documents', bos: 'model', threads: 1 }
    const settings = { threads: 1, memoryBudget: 'auto' }
    const hub = { endpoint: null, proxy: null, offline: false }
    const source = { column: null, join: 'documents' }
    const inputs: [route: string, make: (...paths: string[]) => unknown, count: number][] = [
      ['file.inspect', (path) => ({ path }), 1],
      ['file.histogram', (path) => ({ path, tensor: 't' }), 1],
      ['file.metrics', (before, after) => ({ before, after }), 2],
      ['model.inspect', (path) => ({ path }), 1],
      ['data.inspect', (path) => ({ path }), 1],
      ['kv.extract', (model, data, output) => ({ ...text, model, data, tokens: 4, output }), 3],
      ['kv.compress', (input, output) => ({ input, output, method: 'none' }), 2],
      ['kv.decompress', (input, output) => ({ input, output }), 2],
      ['perplexity.measure', (model, data) => ({ ...text, model, data, protocol: 'disjoint', context: 4, stride: null, tokens: 4 }), 2],
      ['run.plan', (model = '', data = '') => spec(model, data), 2],
      ['run.plan', (model = '', data = '', other) => ({ ...(spec(model, data) as object), calibration: { data: other } }), 3],
      ['run.start', (model = '', data = '', out) => ({ spec: spec(model, data), out }), 3],
      ['run.validate', (model = '', data = '', out, baseline) => ({ spec: spec(model, data), out, baseline }), 4],
      ['run.resume', (path) => ({ folder: path }), 1],
      ['run.open', (path) => ({ folder: path }), 1],
      ['report.render', (path) => ({ folder: path, format: 'json' }), 1],
      ['settings.write', (one, two) => ({ ...settings, modelFolders: [one], dataFolders: [two] }), 2],
      ['settings.write', (one, two) => ({ ...settings, modelFolders: [], dataFolders: [one, two] }), 2],
      ['settings.write', (path) => ({ ...settings, modelFolders: [], dataFolders: [], hub: { ...hub, cache: path } }), 1],
      ['folder.list', (path) => ({ path }), 1],
      ['data.count', (model, data) => ({ ...source, model, data }), 2],
      ['data.overlap', (one, two) => ({ calibration: { ...source, data: one }, evaluation: { ...source, data: two } }), 2],
      ['shelf.import', (path) => ({ kind: 'model', path, name: null }), 1],
      ['shelf.verify', (path) => ({ kind: 'text', path }), 1],
      ['shelf.export', (path, output) => ({ kind: 'model', path, output }), 2],
      ['shelf.removal', (path) => ({ kind: 'model', path }), 1],
      ['shelf.remove', (path) => ({ kind: 'text', path }), 1],
    ]
    for (const [route, make, count] of inputs) {
      expect(await ask(route, make(...Array.from({ length: count }, () => good))), route).toMatchObject({ refused: null })
      for (let i = 0; i < count; i++) expect((await ask(route, make(...Array.from({ length: count }, (_, k) => (k === i ? bad : good))))).refused, `${route} ${i}`).toContain(bad)
    }
  })

  it('are not meant by the words for what is built in', async () => {
    expect(await ask('run.plan', spec('demo', 'demo'))).toMatchObject({ refused: null })
    expect(await ask('model.inspect', { path: 'demo' })).toMatchObject({ refused: null })
    expect((await ask('file.inspect', { path: 'demo' })).refused).toContain('demo')
  })

  it('may be read in the Hugging Face cache, also before it is there, and not written', async () => {
    const inside = join(cache, 'models--org--name', 'snapshots', 'x')
    const text = { join: 'documents', bos: 'model', threads: 1, tokens: 4 }
    for (const [route, input] of [['model.inspect', { path: inside }], ['file.inspect', { path: inside }], ['folder.list', { path: cache }], ['shelf.remove', { kind: 'model', path: inside }], ['shelf.import', { kind: 'text', path: inside, name: null }], ['run.plan', spec(inside, inside)]] as const) {
      expect(await ask(route, input), route).toMatchObject({ refused: null })
    }
    const writes: [string, unknown][] = [
      ['kv.extract', { ...text, model: 'demo', data: 'demo', output: inside }],
      ['kv.compress', { input: inside, output: inside, method: 'none' }],
      ['kv.decompress', { input: inside, output: inside }],
      ['run.start', { spec: spec('demo', 'demo'), out: inside }],
      ['run.resume', { folder: inside }],
      ['run.open', { folder: inside }],
      ['run.validate', { spec: spec('demo', 'demo'), out: inside, baseline: null }],
      ['shelf.export', { kind: 'model', path: inside, output: inside }],
    ]
    for (const [route, input] of writes) expect((await ask(route, input)).refused, route).toContain(inside)
  })

  it('do not hide behind a tilde, which some routes take for the home folder of the person', async () => {
    const before = process.cwd()
    process.chdir(root)
    try {
      for (const path of ['~', '~/x', '~/.ssh/id_rsa']) {
        for (const route of ['folder.list', 'file.inspect', 'model.inspect']) expect((await ask(route, { path })).refused, path).toContain('--root')
      }
      expect(await ask('file.inspect', { path: '~x' })).toMatchObject({ refused: null })
    } finally {
      process.chdir(before)
    }
  })

  it('do not hide in the id of a run', async () => {
    for (const id of ['../../x', '/etc', 'a/b', 'a\\b', '..', '.', 'a\0']) {
      for (const route of ['run.watch', 'run.pause', 'run.continue', 'run.cancel', 'run.resume']) expect((await ask(route, { id })).refused).toContain('no id of a run')
      expect((await ask('run.compare', { ids: ['good', id] })).refused).toContain('no id of a run')
    }
    expect(await ask('run.watch', { id: '2026-01-01-120000-demo-a1b2c3' })).toMatchObject({ refused: null })
  })
})

describe('a name of the library', () => {
  const routes: [route: string, make: (name: string) => unknown][] = [
    ['model.inspect', (path) => ({ path })],
    ['data.inspect', (path) => ({ path })],
    ['run.plan', (name) => spec(name, 'demo')],
    ['run.plan', (name) => spec('demo', name)],
    ['data.count', (data) => ({ data, model: 'demo', column: null, join: 'file' })],
    ['data.overlap', (data) => ({ calibration: { data: 'demo', column: null, join: 'file' }, evaluation: { data, column: null, join: 'file' } })],
    ['shelf.verify', (path) => ({ kind: 'model', path })],
    ['shelf.export', (path) => ({ kind: 'model', path, output: join(root, 'x.tar') })],
    ['shelf.remove', (path) => ({ kind: 'text', path })],
  ]

  it.each(['org/name', 'org/name@main', 'org/name@refs/pr/1:q4', 'mine', 'mine:fp32', 'org/data:wikitext-2-raw-v1/test'])('%s passes where a model or text is named', async (name) => {
    for (const [route, make] of routes) expect(await ask(route, make(name)), route).toMatchObject({ refused: null })
  })

  it.each(['linked', 'linked:x', 'linked/out.kv', 'linked/out.kv:x', 'linked.txt', 'org/../../outside', 'org/name:../../x', 'org/name:/etc/passwd', 'a/b/c', '..', '../outside', '/etc/passwd', 'a\\..\\b'])(
    '%s does not: it leads out of the library, or is none',
    async (name) => {
      for (const [route, make] of routes) expect((await ask(route, make(name))).refused, route).toContain(name)
    },
  )

  it('is a path where something is there, and no name of a file to read or write', async () => {
    const before = process.cwd()
    process.chdir(folder)
    try {
      // `outside` is there, `outsider` is not.
      for (const [route, make] of routes) expect((await ask(route, make('outside'))).refused, route).toContain('outside')
      for (const [route, make] of routes) expect((await ask(route, make('outside/out.kv'))).refused, route).toContain('outside')
      for (const [route, make] of routes) expect(await ask(route, make('outsider')), route).toMatchObject({ refused: null })
      for (const route of ['file.inspect', 'folder.list', 'run.open']) expect((await ask(route, route === 'run.open' ? { folder: 'org/name' } : { path: 'org/name' })).refused).toContain('org/name')
      expect((await ask('kv.compress', { input: join(root, 'in.kv'), output: 'org/name', method: 'none' })).refused).toContain('org/name')
    } finally {
      process.chdir(before)
    }
  })
})

describe('a chooser', () => {
  it('begins at the first root and does not climb out of one', async () => {
    expect((await ask('folder.list', { path: null })).result).toMatchObject({ path: root, parent: null })
    expect((await ask('folder.list', { path: join(root, 'sub') })).result).toMatchObject({ parent: root })
    expect((await ask('folder.list', { path: home })).result).toMatchObject({ parent: null })
    expect((await ask('folder.list', { path: outside })).refused).toContain(outside)
  })
})

it('needs roots that exist', async () => {
  await expect(confine(handlers, [join(folder, 'none')], { home, cache })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
})
