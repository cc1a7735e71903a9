import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Progress } from '#core/contract/api.ts'
import type { DataEntry } from '#core/contract/library.ts'
import { DEFAULT_SETTINGS, writeSettings } from './settings.ts'
import { listTexts, textEntry } from './text-list.ts'

let folder = ''
let home = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-text-list-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  home = await mkdtemp(join(folder, 'home-'))
})

async function fill(root: string, files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(root, name, '..'), { recursive: true })
    await writeFile(join(root, name), content)
  }
}

async function list(): Promise<{ entries: DataEntry[]; progress: Progress[] }> {
  const steps = listTexts(home, new AbortController().signal)
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
    expect(entries).toEqual([{ name: 'demo', path: 'demo', origin: 'embedded', kind: 'file', bytes: expect.any(Number) as number, documents: 36, preview: expect.stringMatching(/^CHAPTER 101\. /) as string, unusable: null }])
    expect(entries[0]?.bytes).toBeGreaterThan(261_670)
    expect(progress[0]).toEqual({ phase: 'looking for texts', done: 0, total: 1 })
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
    expect((await own()).map(({ path, origin }) => [path, origin])).toEqual([corpus, join(corpus, '1.txt'), join(corpus, '2.txt')].map((path) => [path, 'library']))
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
    const steps = listTexts(home, AbortSignal.abort(new Error('left')))
    await steps.next()
    await expect(steps.next()).rejects.toThrow('left')
    await writeFile(join(home, 'settings.json'), '{')
    await expect(list()).rejects.toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'kvlab.settings' } })
  })
})

describe('textEntry', () => {
  it('is that of the list, for a file, a folder and the demo', async () => {
    await fill(join(home, 'data'), { 'own.txt': 'own', 'books/1.txt': 'first', 'books/2.txt': 'second' })
    const [demo, file, books] = (await list()).entries
    expect(await textEntry(home, 'demo')).toEqual(demo)
    expect(await textEntry(home, join(home, 'data', 'own.txt'))).toEqual(file)
    expect(await textEntry(home, join(home, 'data', 'books'))).toEqual(books)
    const code = join(folder, 'program.py')
    await writeFile(code, 'print(1)')
    expect(await textEntry(home, code)).toMatchObject({ origin: 'used', kind: 'file', documents: 1, preview: 'print(1)' })
  })

  it('of what is missing is a LabError, of what is no text an entry', async () => {
    await expect(textEntry(home, join(home, 'none.txt'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(textEntry(home, home)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringContaining('holds no .txt file') as string })
    await writeFile(join(home, 'odd.txt'), Buffer.from([0xff, 0xfe]))
    expect((await textEntry(home, join(home, 'odd.txt'))).unusable).toMatch(/not UTF-8/)
  })
})
