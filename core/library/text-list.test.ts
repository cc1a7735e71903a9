import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetWriteFile } from 'hyparquet-writer'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DEFAULT_SETTINGS } from '#core/contract/library.ts'
import type { Progress } from '#core/contract/api.ts'
import type { DataEntry } from '#core/contract/library.ts'
import { writeSettings } from './settings.ts'
import type { Places } from './shelf.ts'
import { listTexts, textEntry } from './text-list.ts'

let folder = ''
let home = ''
let places: Places = { home, cache: '' }
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-text-list-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  home = await mkdtemp(join(folder, 'home-'))
  places = { home, cache: join(home, 'hub') }
})

async function fill(root: string, files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(root, name, '..'), { recursive: true })
    await writeFile(join(root, name), content)
  }
}

async function list(): Promise<{ entries: DataEntry[]; progress: Progress[] }> {
  const steps = listTexts(places, new AbortController().signal)
  const progress: Progress[] = []
  for (;;) {
    const step = await steps.next()
    if (step.done) return { entries: step.value, progress }
    progress.push(step.value)
  }
}

/** The entries but the demo's. */
async function own(): Promise<DataEntry[]> {
  return (await list()).entries.slice(1)
}

describe('listTexts', () => {
  it('knows the demo text in an empty library', async () => {
    const { entries, progress } = await list()
    expect(entries).toEqual([{ name: 'demo', path: 'demo', origin: 'embedded', source: null, kind: 'file', format: 'text', columns: [], bytes: expect.any(Number) as number, documents: 36, preview: expect.stringMatching(/^CHAPTER 101\. /) as string, unusable: null }])
    expect(entries[0]?.bytes).toBeGreaterThan(261_670)
    expect(progress[0]).toEqual({ phase: 'looking for texts', done: 0, total: 2 })
  })

  it('finds texts two levels deep, and folders of several documents as one', async () => {
    const data = join(home, 'data')
    await fill(data, {
      'a.txt': 'one', 'b.raw': 'two', 'c.md': '# three', 'd.json': '{}', '.hidden.txt': 'x', 'e.TXT.bak': 'x',
      'books/1.txt': 'first', 'books/2.txt': 'second one', 'books/notes.md': 'notes', 'wiki/test.txt': 'alone', 'x/y/z.txt': 'deep', 'x/y/deeper/z.txt': 'too deep',
    })
    expect((await own()).map(({ path, kind, documents, bytes, preview }) => [path.slice(data.length + 1), kind, documents, bytes, preview])).toEqual([
      ['a.txt', 'file', 1, 3, 'one'],
      ['b.raw', 'file', 1, 3, 'two'],
      ['c.md', 'file', 1, 7, '# three'],
      ['books', 'folder', 2, 15, 'first'],
      ['books/notes.md', 'file', 1, 5, 'notes'],
      ['wiki/test.txt', 'file', 1, 5, 'alone'],
      ['x/y/z.txt', 'file', 1, 4, 'deep'],
    ])
  })

  it('offers a folder of the settings both as documents and by file, and each text once', async () => {
    const corpus = join(home, 'corpus')
    await fill(corpus, { '1.txt': 'one', '2.txt': 'two' })
    await symlink(corpus, join(corpus, 'loop'))
    await symlink(join(corpus, '1.txt'), join(corpus, 'twin.txt'))
    await writeSettings(home, { ...DEFAULT_SETTINGS, dataFolders: [corpus, join(corpus, 'loop'), join(home, 'gone')] })
    expect((await own()).map(({ path, origin }) => [path, origin])).toEqual([corpus, join(corpus, '1.txt'), join(corpus, '2.txt')].map((path) => [path, 'shared']))
  })

  it('shows the first 600 characters, whole ones', async () => {
    await fill(join(home, 'data'), { 'a.txt': `é${'\u{1f40b}'.repeat(700)}`, 'b.txt': '\ufeffmark', 'c.txt': `${'x'.repeat(2399)}é and more` })
    const previews = (await own()).map(({ preview }) => preview)
    expect(previews).toEqual([`é${'\u{1f40b}'.repeat(599)}`, '\ufeffmark', 'x'.repeat(600)])
  })

  it('lists what is no text with the reason', async () => {
    const data = join(home, 'data')
    await fill(data, {
      'a-elf.txt': Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0]),
      'b-png.txt': Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
      'c-latin.txt': Buffer.from('caf\xe9 au lait', 'latin1'),
      'd-cut.txt': Buffer.from([0x61, 0xc3]),
      'e-utf16.txt': Buffer.from('some text', 'utf16le'),
      'f-empty.txt': '',
      'g-huge.raw': 'x',
      'h/1.txt': Buffer.from([0xff]),
      'h/2.txt': 'fine',
    })
    await truncate(join(data, 'g-huge.raw'), 256 * 1024 * 1024 + 1)
    const reasons = [/zero bytes/, /not UTF-8 at byte 0/, /not UTF-8 at byte 4/, /not UTF-8 at byte 2/, /zero bytes/, /is empty/, /over the limit/, /1\.txt is not UTF-8/]
    const entries = await own()
    expect(entries.map(({ unusable }) => unusable)).toEqual(reasons.map((reason) => expect.stringMatching(reason) as string))
    for (const entry of entries) expect(entry).toMatchObject({ documents: null, preview: null })
    expect(JSON.parse(JSON.stringify(entries))).toEqual(entries)
  })

  it('knows the texts of earlier runs that are still there', async () => {
    const used = join(folder, 'used.txt')
    await writeFile(used, 'used')
    await fill(home, {
      'data/own.txt': 'own',
      'runs/1/spec.json': JSON.stringify({ data: used }),
      'runs/2/spec.json': JSON.stringify({ data: join(home, 'data', 'own.txt') }),
      'runs/3/spec.json': JSON.stringify({ data: join(folder, 'gone.txt') }),
      'runs/4/spec.json': JSON.stringify({ data: 'demo' }),
      'runs/5/spec.json': JSON.stringify({ data: 7 }),
      'runs/6/spec.json': 'not JSON',
      'runs/7/spec.json': JSON.stringify({ data: used }),
      'runs/8/spec.json': JSON.stringify({ data: `${used}\0` }),
      'runs/9/spec.json': JSON.stringify({ data: home }),
    })
    expect((await own()).map(({ path, origin }) => [path, origin])).toEqual([[join(home, 'data', 'own.txt'), 'library'], [used, 'used']])
  })

  it('says that the settings are damaged, and ends when it is cancelled', async () => {
    const steps = listTexts(places, AbortSignal.abort(new Error('left')))
    await steps.next()
    await expect(steps.next()).rejects.toThrow('left')
    await writeFile(join(home, 'settings.json'), '{')
    await expect(list()).rejects.toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'kvlab.settings' } })
  })
})

describe('tables of texts', () => {
  const jsonl = (...texts: string[]): string => texts.map((text) => JSON.stringify({ url: 'u', text }) + '\n').join('')
  const parquet = async (path: string, texts: string[]): Promise<void> => {
    await mkdir(join(path, '..'), { recursive: true })
    parquetWriteFile({ filename: path, columnData: [{ name: 'number', data: texts.map((_, i) => i), type: 'INT32' }, { name: 'text', data: texts, type: 'STRING' }] })
  }

  it('are listed with their columns, rows and first texts', async () => {
    const data = join(home, 'data')
    await fill(data, { 'a.jsonl': jsonl('one', '', 'two\n'), 'b.csv': 'id,body\n1,first', 'c.json.gz': gzipSync(jsonl('packed')), 'd.csv': 'id,text\n1', 'config.json': '{}', 'README.md': '# about', 'large.jsonl': jsonl(...Array.from({ length: 400 }, () => 'x'.repeat(1000))) })
    await parquet(join(data, 'e.parquet'), ['row', ...Array.from({ length: 999 }, (_, i) => `${i}`)])
    expect((await own()).map(({ name, kind, format, documents, columns, preview }) => [name, kind, format, documents, columns, preview?.slice(0, 20)])).toEqual([
      ['a.jsonl', 'file', 'jsonl', 3, ['text', 'url'], 'one\n\ntwo'],
      ['b.csv', 'file', 'csv', 1, ['id', 'body'], '1'],
      ['c.json.gz', 'file', 'jsonl', null, ['text', 'url'], 'packed'],
      ['d.csv', 'file', 'csv', null, [], undefined],
      ['e.parquet', 'file', 'parquet', 1000, ['text'], 'row\n\n0\n\n1\n\n2\n\n3\n\n4\n\n'],
      ['large.jsonl', 'file', 'jsonl', null, ['text', 'url'], 'x'.repeat(20)],
    ])
    expect((await own()).find(({ name }) => name === 'd.csv')?.unusable).toMatch(/row 2 has 1 fields/)
    expect(await textEntry(places, join(data, 'b.csv'), 'body')).toMatchObject({ columns: ['id', 'body'], preview: 'first' })
    expect((await textEntry(places, join(data, 'b.csv'), 'text')).unusable).toMatch(/no column of text "text"/)
  })

  it('in shards are one entry a set', async () => {
    const data = join(home, 'data')
    for (const i of [0, 1]) await parquet(join(data, 'alone', `train-0000${i}-of-00002.parquet`), ['a', 'b'])
    for (const i of [0, 1]) await parquet(join(data, 'mixed', `train-0000${i}-of-00002.parquet`), ['a', 'b'])
    await parquet(join(data, 'mixed', 'test-00000-of-00001.parquet'), ['c'])
    await parquet(join(data, 'mixed', 'validation-00003-of-00008.parquet'), ['d'])
    const found = await own()
    expect(found.map(({ path, kind, format, documents }) => [path.slice(data.length + 1), kind, format, documents])).toEqual([
      ['alone', 'folder', 'parquet', 4],
      ['mixed/train', 'folder', 'parquet', 4],
      ['mixed/test-00000-of-00001.parquet', 'file', 'parquet', 1],
      ['mixed/validation-00003-of-00008.parquet', 'file', 'parquet', 1],
    ])
    for (const entry of found) expect(await textEntry(places, entry.path)).toEqual(entry)
  })

  it('of the Hugging Face cache are called by repository and split, each content once', async () => {
    const commits = ['1', '2'].map((digit) => digit.repeat(40)) as [string, string]
    const repo = join(places.cache, 'datasets--Salesforce--wikitext')
    await parquet(join(repo, 'blobs', 'a'.repeat(64)), ['wiki'])
    await fill(repo, { 'refs/main': commits[1], [`snapshots/${commits[0]}/README.md`]: '# card' })
    for (const commit of commits) {
      const folder = join(repo, 'snapshots', commit, 'wikitext-2-raw-v1')
      await mkdir(folder, { recursive: true })
      await symlink(join(repo, 'blobs', 'a'.repeat(64)), join(folder, 'test-00000-of-00001.parquet'))
    }
    await fill(join(places.cache, 'models--org--name'), { [`snapshots/${commits[0]}/notes.txt`]: 'not of a data set' })
    const path = join(repo, 'snapshots', commits[1], 'wikitext-2-raw-v1', 'test-00000-of-00001.parquet')
    const [entry, ...others] = await own()
    expect(others).toEqual([])
    expect(entry).toMatchObject({ name: 'Salesforce/wikitext wikitext-2-raw-v1/test', path, origin: 'hub', source: { repo: 'Salesforce/wikitext', commit: commits[1] }, documents: 1, preview: 'wiki' })
    expect(await textEntry(places, path)).toEqual(entry)
  })

  it('that were imported know where they came from', async () => {
    await fill(join(home, 'data', 'wiki'), {
      'wiki.test.raw': 'test', 'deep/wiki.valid.raw': 'valid', SHA256SUMS: '', 'README.md': 'x',
      'kvlab.json': JSON.stringify({ schema: 'kvlab.shelf/1', repo: 'org/name', commit: 'c'.repeat(40), licence: null, addedAt: null }),
    })
    expect((await own()).map(({ name, origin, source }) => [name, origin, source])).toEqual(['wiki.test.raw', 'wiki.valid.raw'].map((name) => [name, 'library', { repo: 'org/name', commit: 'c'.repeat(40) }]))
  })
})

describe('textEntry', () => {
  it('is that of the list, for a file, a folder and the demo', async () => {
    await fill(join(home, 'data'), { 'own.txt': 'own', 'books/1.txt': 'first', 'books/2.txt': 'second' })
    const [demo, file, books] = (await list()).entries
    expect(await textEntry(places, 'demo')).toEqual(demo)
    expect(await textEntry(places, join(home, 'data', 'own.txt'))).toEqual(file)
    expect(await textEntry(places, join(home, 'data', 'books'))).toEqual(books)
    const code = join(folder, 'program.py')
    await writeFile(code, 'print(1)')
    expect(await textEntry(places, code)).toMatchObject({ origin: 'used', kind: 'file', documents: 1, preview: 'print(1)' })
  })

  it('of what is missing is a LabError, of what is no text an entry', async () => {
    await expect(textEntry(places, join(home, 'none.txt'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(textEntry(places, home)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringContaining('holds no .txt file') as string })
    await writeFile(join(home, 'odd.txt'), Buffer.from([0xff, 0xfe]))
    expect((await textEntry(places, join(home, 'odd.txt'))).unusable).toMatch(/not UTF-8/)
  })
})
