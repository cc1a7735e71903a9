import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cachedRepo, writeTree } from '../../test/shelf-files.ts'
import { locateModel, locateText, parseName } from './locate.ts'
import type { Places } from './shelf.ts'

const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(40)) as [string, string, string]
const MODEL = { 'config.json': '{}', 'onnx/model.onnx': '', 'onnx/model_q4.onnx': '' }
let folder = ''
let places: Places
const snapshots: Record<string, string> = {}
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-locate-'))
  places = { home: join(folder, 'home'), cache: join(folder, 'hub') }
  snapshots['main'] = await cachedRepo(places.cache, 'org/tiny', A, MODEL)
  snapshots['tag'] = await cachedRepo(places.cache, 'org/tiny', B, { 'config.json': '{}', 'model_fp16.onnx': '' }, { ref: 'v1' })
  snapshots['gpt2'] = await cachedRepo(places.cache, 'gpt2', C, { 'config.json': '{}', 'model.onnx': '' }, { ref: null })
  snapshots['old'] = await cachedRepo(places.cache, 'org/dated', B, MODEL, { ref: null })
  snapshots['new'] = await cachedRepo(places.cache, 'org/dated', A, MODEL, { ref: null })
  await utimes(snapshots['old'], new Date(2020, 0), new Date(2020, 0))
  const texts = { 'README.md': '', 'raw/test-00000-of-00001.parquet': 't', 'raw/train-00000-of-00002.parquet': 'a', 'raw/train-00001-of-00002.parquet': 'b', 'raw/half-00000-of-00003.parquet': 'c', 'raw/half-00001-of-00003.parquet': 'd' }
  snapshots['texts'] = await cachedRepo(places.cache, 'org/texts', A, texts, { kind: 'datasets' })
  snapshots['one'] = await cachedRepo(places.cache, 'org/one', A, { 'README.md': '', 'data/all.jsonl.gz': '' }, { kind: 'datasets' })
  await writeTree(join(places.home, 'models'), { 'mine/config.json': '{}', 'mine/onnx/model.onnx': '', 'team/big/config.json': '{}', 'team/big/model_int8.onnx': '' })
  await writeTree(join(places.home, 'data'), { 'wiki/wiki.test.raw': 'a', 'wiki/wiki.valid.raw': 'b', 'wiki/SHA256SUMS': '', 'book/book.txt': 'x', 'book/kvlab.json': '{}', 'chapters/1.txt': 'x', 'chapters/2.txt': 'x', 'loose.txt': 'x' })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a path', () => {
  it('that exists stays as it is, made absolute; so does what can be no name', async () => {
    for (const locate of [locateModel, locateText]) {
      expect(await locate(places, 'demo')).toBe('demo')
      expect(await locate(places, 'core')).toBe(resolve('core'))
      expect(await locate(places, '~')).toBe(homedir())
      for (const path of ['./none', '../none/x', '/none/x', 'a/b/c/d', 'org\\tiny', 'org/tiny/../x']) expect(await locate(places, path)).toBe(resolve(path))
    }
    expect(await locateModel(places, 'org/model_q4.onnx')).toBe(resolve('org/model_q4.onnx'))
  })

  it('comes before a name', async () => {
    const before = process.cwd()
    await mkdir(join(folder, 'cwd', 'org', 'tiny'), { recursive: true })
    process.chdir(join(folder, 'cwd'))
    try {
      expect(await locateModel(places, 'org/tiny')).toBe(resolve('org/tiny'))
      expect(await locateModel(places, 'org/tiny:q4')).toBe(join(snapshots['main'] ?? '', 'onnx', 'model_q4.onnx'))
    } finally {
      process.chdir(before)
    }
  })
})

describe('the name of a model', () => {
  it.each([
    ['org/tiny', 'main', ''],
    ['org/tiny:q4', 'main', 'onnx/model_q4.onnx'],
    ['org/tiny:fp32', 'main', 'onnx/model.onnx'],
    ['org/tiny@main:q4', 'main', 'onnx/model_q4.onnx'],
    ['org/tiny@v1', 'tag', ''],
    ['org/tiny@v1:fp16', 'tag', 'model_fp16.onnx'],
    [`org/tiny@${'b'.repeat(40)}`, 'tag', ''],
    ['org/tiny@bbbbbbb', 'tag', ''],
    ['gpt2', 'gpt2', ''],
    ['gpt2:fp32', 'gpt2', 'model.onnx'],
    ['org/dated', 'new', ''],
  ])('%s is found in the Hugging Face cache', async (name, snapshot, graph) => {
    expect(await locateModel(places, name)).toBe(join(snapshots[snapshot] ?? '', graph))
  })

  it('of an import is that of its folder', async () => {
    expect(await locateModel(places, 'mine')).toBe(join(places.home, 'models', 'mine'))
    expect(await locateModel(places, 'mine:fp32')).toBe(join(places.home, 'models', 'mine', 'onnx', 'model.onnx'))
    expect(await locateModel(places, 'team/big:int8')).toBe(join(places.home, 'models', 'team', 'big', 'model_int8.onnx'))
  })

  it.each([
    ['org/tinny', /is org\/tiny|org\/tiny/, /kvlab models add org\/tinny/],
    ['org/tinny:q4', /no model of that name/, /kvlab models add org\/tinny --weights q4$/],
    ['org/tiny@v9', /no model of that name/, /kvlab models add org\/tiny --revision v9/],
    ['org/tiny:q8', /weights fp32, q4, not q8/, /kvlab models add org\/tiny --weights q8/],
    ['mien', /mine/, /mine/],
    ['org/texts', /no model of that name/, /kvlab models add org\/texts/],
  ])('%s is not here, with what is near and how to get it', async (name, ...texts) => {
    for (const text of texts) await expect(locateModel(places, name)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringMatching(text) as string })
  })
})

describe('the name of a text', () => {
  it.each([
    ['org/one', 'one', 'data/all.jsonl.gz'],
    ['org/texts:raw/test', 'texts', 'raw/test-00000-of-00001.parquet'],
    ['org/texts@main:raw/test-00000-of-00001.parquet', 'texts', 'raw/test-00000-of-00001.parquet'],
    ['org/one:data', 'one', 'data/all.jsonl.gz'],
    ['org/texts:raw/train', 'texts', 'raw/train'],
  ])('%s is found in the Hugging Face cache', async (name, snapshot, file) => {
    expect(await locateText(places, name)).toBe(join(snapshots[snapshot] ?? '', file))
  })

  it('of an import is its only file, its folder of documents, or a file within', async () => {
    const data = join(places.home, 'data')
    expect(await locateText(places, 'book')).toBe(join(data, 'book', 'book.txt'))
    expect(await locateText(places, 'chapters')).toBe(join(data, 'chapters'))
    expect(await locateText(places, 'loose.txt')).toBe(join(data, 'loose.txt'))
    expect(await locateText(places, 'wiki:wiki.test.raw')).toBe(join(data, 'wiki', 'wiki.test.raw'))
    expect(await locateText(places, 'wiki:wiki.test')).toBe(join(data, 'wiki', 'wiki.test.raw'))
  })

  it('that may mean several is refused with what there is', async () => {
    await expect(locateText(places, 'wiki')).rejects.toMatchObject({ code: 'INVALID_INPUT', details: { choices: ['wiki.test.raw', 'wiki.valid.raw'] } })
    await expect(locateText(places, 'org/texts:raw/half')).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('raw/half-00001-of-00003.parquet') as string })
    await expect(locateText(places, 'org/texts:raw/tes')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringContaining('kvlab datasets add org/texts --split raw/tes') as string })
    await expect(locateText(places, 'org/tiny')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })
})

describe('parseName', () => {
  it('knows repository, revision and part', () => {
    expect(parseName('org/name@refs/pr/1:q4')).toEqual({ repo: 'org/name', revision: 'refs/pr/1', part: 'q4' })
    expect(parseName('name')).toEqual({ repo: 'name', revision: null, part: null })
    for (const text of ['', '.', '..', '/a', './a', 'a/b/c', 'a/../b', 'a:../b', 'a:/etc', 'a:b/../../c', 'a@../x', 'a\\b', 'a:b\\c', 'a\0', 'NUL', 'a:\0', '~', 'a//b', 'a:b//c']) expect(parseName(text)).toBe(null)
  })

  it('never gives a part that leads anywhere but down', () => {
    const piece = fc.constantFrom('a', 'org', '..', '.', '/', '\\', ':', '@', '~', '', '\0', 'C', 'x.y', ' ')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const name = parseName(pieces.join(''))
        for (const part of name ? [name.repo, name.part ?? 'x'] : []) expect(join('/top/below', part)).toMatch(/^\/top\/below\/[^/]/)
      }),
      { numRuns: 2000 },
    )
  })
})

it('an empty library and no cache have nothing', async () => {
  await writeFile(join(folder, 'file'), '')
  for (const cache of [join(folder, 'none'), join(folder, 'file')]) {
    await expect(locateModel({ home: join(folder, 'nowhere'), cache }, 'org/tiny')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringMatching(/library; to get it: kvlab models add org\/tiny$/) as string })
  }
})
