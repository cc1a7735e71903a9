import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import type { Imported } from '#core/contract/library.ts'
import { paxEntry, tarBytes, zipBytes, type TarEntry, type ZipEntry } from '../../test/archive-bytes.ts'
import { cachedRepo, drained, treeOf, writeTree } from '../../test/shelf-files.ts'
import { importToShelf } from './import.ts'

let folder = ''
let home = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-import-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  home = await mkdtemp(join(folder, 'home-'))
})

async function bring(kind: 'model' | 'text', path: string, name: string | null = null): Promise<Imported> {
  return (await drained(importToShelf({ home, cache: join(home, 'cache') }, { kind, path, name }, new AbortController().signal))).result
}

/** The error of an import, which must leave nothing behind it. */
async function refused(kind: 'model' | 'text', path: string, name: string | null = null): Promise<LabError> {
  const before = await treeOf(home)
  const error: unknown = await bring(kind, path, name).then(() => null, (reason: unknown) => reason)
  if (!(error instanceof LabError)) throw new Error(`${path} was not refused`, { cause: error })
  expect(error.message).not.toMatch(/\n/)
  expect(await treeOf(home)).toEqual(before)
  for (const shelf of ['models', 'data']) expect((await readdir(join(home, shelf)).catch(() => [])).filter((entry) => entry.startsWith('.'))).toEqual([])
  return error
}

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(await mkdtemp(join(folder, 'in-')), name)
  await writeFile(path, content)
  return path
}

const sha256 = (text: string): string => createHash('sha256').update(text, 'latin1').digest('hex')
const MODEL = { 'config.json': '{}', 'tokenizer_config.json': '{}', 'tokenizer.json': '{"a":1}', 'onnx/model.onnx': 'graph', 'onnx/model.onnx_data': 'weights' }

/** What an import of these files must look like: with the record of all of them. */
async function expectImported(target: string, files: Readonly<Record<string, string>>): Promise<void> {
  const { SHA256SUMS: sums, 'kvlab.json': source, ...rest } = await treeOf(target)
  expect(rest).toEqual(files)
  expect(JSON.parse(source ?? '')).toMatchObject({ schema: 'kvlab.shelf/1' })
  const all = { ...files, 'kvlab.json': source ?? '' }
  expect(Buffer.from(sums ?? '', 'latin1').toString()).toBe(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, content]) => `${sha256(content)}  ${name}\n`).join(''))
}

describe('what is brought in', () => {
  const asZip = (files: Record<string, string>, prefix = ''): Buffer => zipBytes(Object.entries(files).map(([name, content]) => ({ name: prefix + name, content })))
  const asTar = (files: Record<string, string>, prefix = ''): Buffer => tarBytes(Object.entries(files).map(([name, content]) => ({ name: prefix + name, content })))

  it('is a folder, whole, with the record of its hashes, under its own name; hidden files stay behind', async () => {
    const source = await writeTree(join(folder, 'Tiny Model (v1)'), { ...MODEL, '.git/objects/x': 'x', '.gitattributes': 'x' })
    const imported = await bring('model', source)
    expect(imported).toEqual({ name: 'Tiny-Model-v1', path: join(home, 'models', 'Tiny-Model-v1', 'onnx', 'model.onnx'), files: 5, bytes: 23 })
    await expectImported(join(home, 'models', 'Tiny-Model-v1'), MODEL)
    const check = spawnSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: join(home, 'models', 'Tiny-Model-v1') })
    expect(check.status).toBe(0)
  })

  it.each([
    ['m.zip', asZip(MODEL)],
    ['m.zip', asZip(MODEL, 'top/')],
    ['m.zip', zipBytes([{ name: 'top/', mode: 0o40755 }, { name: '__MACOSX/top/._config.json', content: 'x' }, ...Object.entries(MODEL).map(([name, content]) => ({ name: `top/${name}`, content, stored: true }))])],
    ['m.tar', asTar(MODEL)],
    ['m.tar', tarBytes([{ name: './', type: '5' }, ...Object.entries(MODEL).map(([name, content]) => ({ name: `./${name}`, content }))])],
    ['m.tar', asTar(MODEL, 'top/')],
    ['m.tar.gz', gzipSync(asTar(MODEL))],
    ['m.tgz', gzipSync(asTar(MODEL, 'top/'))],
  ])('is an archive of a model: %s (%#)', async (name, bytes) => {
    const imported = await bring('model', await file(name, bytes), 'mine')
    expect(imported).toMatchObject({ name: 'mine', files: 5, bytes: 23 })
    await expectImported(join(home, 'models', 'mine'), MODEL)
  })

  it('is called as the one folder in its archive, else as the archive', async () => {
    expect((await bring('model', await file('archive.tar', asTar(MODEL, 'org-model/')))).name).toBe('org-model')
    expect((await bring('model', await file('archive.tar.gz', gzipSync(asTar(MODEL))))).name).toBe('archive')
    expect((await bring('text', await file('Größe.txt', 'x'))).name).toBe('Gro-e')
    expect((await bring('text', await file('日本.txt', 'x'))).name).toBe('text')
  })

  it('is what other programs pack', async () => {
    const source = await writeTree(join(folder, 'packed'), { ...MODEL, [`deep/${'x'.repeat(120)}/naïve ✓.txt`]: 'unicode and long' })
    for (const [archive, ...command] of [
      ['gnu.tar', 'tar', '--format=gnu', '-C', folder, '-cf', 'gnu.tar', 'packed'],
      ['pax.tar.gz', 'tar', '--format=pax', '-C', folder, '-czf', 'pax.tar.gz', 'packed'],
      ['python.zip', 'python3', '-m', 'zipfile', '-c', 'python.zip', source],
    ] as const) {
      const [program = '', ...args] = command
      if (spawnSync(program, args, { cwd: folder }).status !== 0) continue
      await bring('model', join(folder, archive), archive)
      await expectImported(join(home, 'models', archive), await treeOf(source))
    }
  })

  it('is the classic WikiText-2 zip, as three texts in one folder', async () => {
    const files = { 'wiki.test.raw': ' = A = \n', 'wiki.train.raw': ' = B = \n', 'wiki.valid.raw': ' = C = \n' }
    const zip = zipBytes([{ name: 'wikitext-2-raw/', mode: 0o40755 }, ...Object.entries(files).map(([name, content]) => ({ name: `wikitext-2-raw/${name}`, content }))])
    expect(await bring('text', await file('wikitext-2-raw-v1.zip', zip))).toMatchObject({ name: 'wikitext-2-raw', path: join(home, 'data', 'wikitext-2-raw'), files: 3 })
    await expectImported(join(home, 'data', 'wikitext-2-raw'), files)
  })

  it('is one text, in a folder of its own', async () => {
    expect(await bring('text', await file('book.txt.gz', gzipSync('text')))).toMatchObject({ name: 'book', path: join(home, 'data', 'book', 'book.txt.gz'), files: 1 })
  })

  it('is a snapshot of a Hugging Face cache, its links followed, with its origin', async () => {
    const commit = 'a'.repeat(40)
    const snapshot = await cachedRepo(join(home, 'elsewhere'), 'org/tiny', commit, MODEL)
    expect((await bring('model', snapshot)).name).toBe('tiny')
    await expectImported(join(home, 'models', 'tiny'), MODEL)
    expect(JSON.parse(await readFile(join(home, 'models', 'tiny', 'kvlab.json'), 'utf8'))).toMatchObject({ repo: 'org/tiny', commit, licence: null })
    await writeFile(join(home, 'secret'), 'secret')
    await symlink(join(home, 'secret'), join(snapshot, 'README.md'))
    expect(await refused('model', snapshot, 'other')).toMatchObject({ details: { reason: 'LinkOutside' } })
  })

  it('tells how far it is, in bytes', async () => {
    const path = await writeTree(join(folder, 'long'), { ...MODEL, 'onnx/model.onnx': Buffer.alloc(50_000_000, 1) })
    const { events } = await drained(importToShelf({ home, cache: '' }, { kind: 'model', path, name: null }, new AbortController().signal))
    expect(events.at(-1)).toMatchObject({ phase: 'importing', unit: 'bytes' })
    expect(events.length).toBeGreaterThan(1)
    for (const { done, total } of events) expect(done).toBeLessThanOrEqual(total)
  })
})

describe('hashes that came with it', () => {
  const sumsOf = (files: Record<string, string>): string => Object.entries(files).map(([name, content]) => `${sha256(content)} *./${name}\n`).join('')

  it('are held against what came', async () => {
    await bring('model', await writeTree(join(folder, 'summed'), { ...MODEL, SHA256SUMS: sumsOf(MODEL) }))
    await expectImported(join(home, 'models', 'summed'), MODEL)
  })

  it('name each file that is changed, missing or unknown', async () => {
    const { 'onnx/model.onnx_data': _, ...rest } = MODEL
    const source = await writeTree(join(folder, 'bad-sums'), { ...rest, 'tokenizer.json': '{"a":2}', 'extra.txt': 'x', SHA256SUMS: sumsOf(MODEL) })
    const error = await refused('model', source)
    expect(error).toMatchObject({ code: 'CHECKSUM_MISMATCH', details: { changed: ['tokenizer.json'], missing: ['onnx/model.onnx_data'], unknown: ['extra.txt'] } })
    for (const name of ['tokenizer.json', 'onnx/model.onnx_data', 'extra.txt']) expect(error.message).toContain(name)
  })

  it('that are none are refused, as is an origin that is none', async () => {
    expect(await refused('model', await writeTree(join(folder, 'no-sums'), { ...MODEL, SHA256SUMS: 'hello\n' }))).toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'sha256sums', at: 1 } })
    expect(await refused('model', await writeTree(join(folder, 'no-origin'), { ...MODEL, 'kvlab.json': '{}' }))).toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'kvlab.shelf' } })
  })
})

describe('refused is', () => {
  it('what is no model or no text, before it is copied where that can be known', async () => {
    const source = await writeTree(join(folder, 'nothing'), { 'a.bin': 'x' })
    expect(await refused('model', source)).toMatchObject({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining('no config.json and no .onnx file') as string })
    expect(await refused('text', source)).toMatchObject({ code: 'INVALID_INPUT' })
    expect(await refused('model', join(source, 'a.bin'))).toMatchObject({ code: 'INVALID_INPUT' })
    expect(await refused('text', join(source, 'a.bin'))).toMatchObject({ code: 'INVALID_INPUT' })
    expect(await refused('text', await file('a.tar', tarBytes([{ name: 'a.bin', content: 'x' }])))).toMatchObject({ code: 'INVALID_INPUT' })
    expect(await refused('text', join(folder, 'none'))).toMatchObject({ code: 'FILE_NOT_FOUND' })
  })

  it('a name that is taken, with the way out', async () => {
    const path = await file('book.txt', 'x')
    await bring('text', path)
    for (const name of [null, 'book', 'BOOK']) expect(await refused('text', path, name)).toMatchObject({ code: 'FILE_EXISTS', message: expect.stringContaining('--name') as string })
    expect(await refused('text', await file('a.tar', tarBytes([{ name: 'book/a.txt', content: 'x' }])))).toMatchObject({ code: 'FILE_EXISTS' })
    expect((await bring('text', path, 'book-2')).name).toBe('book-2')
  })

  it('a link or a device in a folder', async () => {
    const source = await writeTree(join(folder, 'linked'), { 'a.txt': 'x' })
    for (const [target, reason] of [['/etc/hostname', 'LinkOutside'], ['nowhere', 'DeadLink'], ['.', 'LinkOutside'], ['loop', 'DeadLink']] as const) {
      await symlink(target, join(source, 'loop'))
      expect(await refused('text', source)).toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'folder', reason } })
      await rm(join(source, 'loop'))
    }
    if (spawnSync('mkfifo', [join(source, 'pipe')]).status === 0) expect(await refused('text', source)).toMatchObject({ details: { reason: 'NoPlainFile' } })
  })

  const good = { name: 'a.txt', content: 'x' }
  const names: [name: string, reason: string][] = [
    ['/etc/passwd', 'AbsolutePath'], ['../evil.txt', 'PathTraversal'], ['a/../../evil.txt', 'PathTraversal'], ['.git/../../evil', 'PathTraversal'], ['C:evil.txt', 'AbsolutePath'], ['..\\evil.txt', 'Backslash'], ['a\\b.txt', 'Backslash'],
    ['a//b.txt', 'EmptyPart'], ['a/./b.txt', 'EmptyPart'], ['NUL', 'ReservedName'], ['dir/com1.txt', 'ReservedName'], ['b.txt.', 'TrailingDot'], ['b ', 'TrailingDot'], ['b.txt:stream', 'ForbiddenCharacter'],
    ['b\n.txt', 'ForbiddenCharacter'], ['A.txt', 'TwinNames'], ['a.txt/b', 'DuplicateEntry'], ['a.txt', 'DuplicateEntry'], [`${'x'.repeat(256)}.txt`, 'NameTooLong'],
  ]
  it.each(names)('%j in a zip or tar', async (name, reason) => {
    expect(await refused('text', await file('a.zip', zipBytes([good, { name, content: 'x' }])))).toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'zip', reason } })
    const long = name.length > 100 ? [paxEntry({ path: name })] : []
    const error = await refused('text', await file('a.tar', tarBytes([good, ...long, { name: name.slice(0, 100), content: 'x' }])))
    expect(error).toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'tar', reason } })
    expect(error.message).toContain(JSON.stringify(name).slice(1, 20))
  })

  it('names that are one in another composition of letters', async () => {
    for (const bytes of [zipBytes([{ name: 'é.txt'.normalize('NFC'), content: 'x' }, { name: 'é.txt'.normalize('NFD'), content: 'x' }])]) {
      expect(await refused('text', await file('a.zip', bytes))).toMatchObject({ details: { reason: 'TwinNames' } })
    }
    expect(await refused('text', await file('a.zip', zipBytes([{ name: 'A/a.txt', content: 'x' }, { name: 'a/b.txt', content: 'x' }])))).toMatchObject({ details: { reason: 'TwinNames' } })
  })

  const zips: [what: string, entries: ZipEntry[], expected: unknown][] = [
    ['a symbolic link', [good, { name: 'b', content: '/etc/passwd', mode: 0o120777 }], { reason: 'NoPlainFile' }],
    ['a device', [good, { name: 'b', mode: 0o020666 }], { reason: 'NoPlainFile' }],
    ['an encrypted entry', [good, { name: 'b', content: 'x', flags: 0x801 }], { reason: 'Encrypted' }],
    ['an unknown compression', [good, { name: 'b', content: 'x', method: 14 }], { reason: 'UnknownCompression' }],
    ['a zero byte in a name', [good, { name: 'a.txt\0.exe' }], { reason: 'ZeroByte' }],
    ['a name that is not UTF-8', [good, { name: Uint8Array.of(0x61, 0xff) }], { reason: 'InvalidUtf8' }],
    ['more than it says', [good, { name: 'b', content: 'x'.repeat(1000), size: 10 }], { reason: 'Unreadable' }],
    ['less than it says', [good, { name: 'b', content: 'x', size: 10 }], { reason: 'Unreadable' }],
    ['an entry outside of the file', [good, { name: 'b', content: 'x', offset: 1_000_000 }], { reason: 'Unreadable' }],
    ['a bomb that says so', [good, { name: 'b', content: '', size: 2 ** 31 }], { reason: 'GrowsTooMuch' }],
  ]
  it.each(zips)('%s in a zip', async (_, entries, details) => {
    expect(await refused('text', await file('a.zip', zipBytes(entries)))).toMatchObject({ code: 'MALFORMED_FILE', details })
  })

  it('a zip with a wrong checksum, with too many entries, and with entries that share their bytes beyond measure', async () => {
    expect(await refused('text', await file('a.zip', zipBytes([{ ...good, crc: 1 }])))).toMatchObject({ code: 'CHECKSUM_MISMATCH', message: expect.stringContaining('a.txt') as string })
    expect(await refused('text', await file('a.zip', zipBytes([good], { count: 10_001 })))).toMatchObject({ details: { reason: 'TooManyEntries' } })
    const zeros = Buffer.alloc(4_000_000)
    const shared = zipBytes([{ name: 'a.txt', content: zeros }, ...Array.from({ length: 400 }, (_, i) => ({ name: `b${i}`, offset: 0, size: zeros.length }))])
    expect(await refused('text', await file('a.zip', shared))).toMatchObject({ details: { reason: 'GrowsTooMuch' } })
  })

  const tars: [what: string, entries: TarEntry[], reason: string][] = [
    ['a hard link', [good, { name: 'b', type: '1', link: 'a.txt' }], 'NoPlainFile'],
    ['a symbolic link', [good, { name: 'b', type: '2', link: '../..' }], 'NoPlainFile'],
    ['a device', [good, { name: 'b', type: '3' }], 'NoPlainFile'],
    ['a pipe', [good, { name: 'b', type: '6' }], 'NoPlainFile'],
    ['something unknown', [good, { name: 'b', type: 'S', content: 'x' }], 'NoPlainFile'],
    ['holes', [paxEntry({ 'GNU.sparse.major': '1' }), good], 'Sparse'],
    ['a folder with content', [good, { name: 'b/', type: '5', content: 'x' }], 'NoPlainFile'],
    ['a name hidden in a pax header', [paxEntry({ path: '../evil' }), good], 'PathTraversal'],
    ['a long name that leads out', [{ name: 'long', type: 'L', content: `${'x/'.repeat(60)}../../evil\0` }, good], 'PathTraversal'],
    ['a size beyond the file', [{ ...good, size: 100_000 }], 'CutShort'],
    ['a size beyond all numbers', [paxEntry({ size: '99999999999999999999' }), good], 'CutShort'],
  ]
  it.each(tars)('%s in a tar', async (_, entries, reason) => {
    expect(await refused('text', await file('a.tar', tarBytes(entries)))).toMatchObject({ code: 'MALFORMED_FILE', details: { reason } })
  })

  it('a tar without its end, and one that cannot be unpacked', async () => {
    expect(await refused('text', await file('a.tar', tarBytes([good], { end: false })))).toMatchObject({ details: { reason: 'CutShort' } })
    expect(await refused('text', await file('a.tar.gz', gzipSync(tarBytes([good], { end: false }))))).toMatchObject({ details: { reason: 'CutShort' } })
    expect(await refused('text', await file('a.tar.gz', gzipSync(tarBytes([good])).subarray(0, -4)))).toMatchObject({ details: { reason: 'Unreadable' } })
    for (const name of ['a.zip', 'a.tar', 'a.tgz']) {
      expect(await refused('text', await file(name, 'no archive at all, '.repeat(100)))).toMatchObject({ code: 'MALFORMED_FILE' })
      expect(await refused('text', await file(name, ''))).toBeInstanceOf(LabError)
    }
  })

  it('a tar.gz that grows beyond all measure, while it is read', async () => {
    const zeros = gzipSync(Buffer.alloc(16 * 1024 ** 2))
    // What is left out is read all the same, and is not written: the disk is spared.
    const head = gzipSync(tarBytes([{ name: '.a.txt', size: 2 ** 31 }], { end: false }))
    expect(await refused('text', await file('bomb.tgz', Buffer.concat([head, ...Array<Buffer>(65).fill(zeros)])))).toMatchObject({ details: { reason: 'GrowsTooMuch' } })
  })

  it('what the disk cannot hold, before it is written', async () => {
    const tar = gzipSync(tarBytes([{ ...good, size: 8 ** 11 - 1 }], { end: false }))
    // 8 GiB minus a byte: on a disk with more room the file is simply cut short.
    expect(['DISK_FULL', 'MALFORMED_FILE']).toContain((await refused('text', await file('a.tgz', tar))).code)
    const huge = gzipSync(tarBytes([paxEntry({ size: `${2 ** 50}` }), good]))
    expect(await refused('text', await file('a.tgz', huge))).toMatchObject({ code: 'DISK_FULL', details: { needed: 2 ** 50 } })
  })
})

describe('an import that ends early', () => {
  it('leaves nothing when it is cancelled or its reader leaves', async () => {
    const path = await writeTree(join(folder, 'large'), { 'a.txt': Buffer.alloc(200_000_000, 'x') })
    const controller = new AbortController()
    const steps = importToShelf({ home, cache: '' }, { kind: 'text', path, name: null }, controller.signal)
    await steps.next()
    controller.abort(new LabError('CANCELLED', 'cancelled'))
    await expect(drained(steps)).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await readdir(join(home, 'data')).catch(() => [])).toEqual([])
    const others = importToShelf({ home, cache: '' }, { kind: 'text', path, name: null }, new AbortController().signal)
    await others.next()
    await others.next()
    await others.return(null as never)
    expect(await readdir(join(home, 'data')).catch(() => [])).toEqual([])
  })

  it('is put away at the next one, those of living processes are not', async () => {
    const data = join(home, 'data')
    await mkdir(join(data, '.import-dead', 'files'), { recursive: true })
    for (const folder of ['.import-alive', '.import-none', '.import-young']) await mkdir(join(data, folder), { recursive: true })
    await mkdir(join(data, '.removed-x'), { recursive: true })
    const { pid: dead } = spawnSync('true')
    await writeFile(join(data, '.import-dead.lock'), JSON.stringify({ pid: dead, host: hostname(), token: 'x' }))
    await writeFile(join(data, '.import-alive.lock'), JSON.stringify({ pid: process.ppid, host: hostname(), token: 'x' }))
    // A lock that is being written at this moment.
    await writeFile(join(data, '.import-young.lock'), '')
    await bring('text', await file('a.txt', 'x'))
    expect((await readdir(data)).sort()).toEqual(['.import-alive', '.import-alive.lock', '.import-young', '.import-young.lock', 'a'])
  })
})
