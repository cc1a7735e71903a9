import { randomUUID } from 'node:crypto'
import { existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { takeLock } from '#core/bytes/lock.ts'
import { cachedHash, cachedRevisions, cachedSource, removeCached } from './cache.ts'
import { blobPath, isPresent, refPath, repoFolder, repoOf, snapshotFolder, snapshotPath } from './layout.ts'
import { placeBlob, writeRef, type Links } from './placing.ts'

const REPO = 'org/model'
const [ONE, TWO] = ['1'.repeat(40), '2'.repeat(40)]
const [LARGE, SMALL] = ['a'.repeat(64), 'b'.repeat(40)]

let home = ''
let cache = ''
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-cache-'))
})
afterAll(() => rmSync(home, { recursive: true, force: true }))
beforeEach(() => {
  cache = join(home, randomUUID())
})

const snapshot = (commit: string): string => snapshotFolder(cache, 'model', REPO, commit)

/** A blob, and a file of a snapshot that is it. */
async function add(commit: string, path: string, etag: string, text: string, links?: Links): Promise<string> {
  const blob = blobPath(cache, 'model', REPO, etag)
  mkdirSync(dirname(blob), { recursive: true })
  writeFileSync(blob, text)
  const target = snapshotPath(snapshot(commit), path)
  await placeBlob(blob, target, links)
  return target
}

const refuse = (code: string) => async (): Promise<void> => {
  throw Object.assign(new Error(code), { code })
}
const hardOnly: Links = { symbolic: refuse('EPERM'), hard: async (existing, path) => linkSync(existing, path) }
const neither: Links = { symbolic: refuse('EPERM'), hard: refuse('ENOTSUP') }

describe('names', () => {
  it('are those of the Hugging Face cache', () => {
    expect(repoFolder('/c', 'model', 'org/name')).toBe(join('/c', 'models--org--name'))
    expect(repoFolder('/c', 'dataset', 'gpt2')).toBe(join('/c', 'datasets--gpt2'))
    expect(repoOf('datasets--Salesforce--wikitext')).toEqual({ kind: 'dataset', repo: 'Salesforce/wikitext' })
    for (const bad of ['spaces--a--b', 'models--', 'models', 'models--a--b--c', 'models--..--b', '.locks']) expect(repoOf(bad)).toBe(null)
  })

  it('that could lead out of the cache are refused', () => {
    for (const bad of ['..', 'a/..', '../b', 'a/b/c', '', 'a--b/c', 'a/.b', '/a', 'a\\b', 'a/b\0']) expect(() => repoFolder('/c', 'model', bad)).toThrow('is no name of a repository')
    for (const bad of ['', '..', 'a/../b', './a', 'a//b', '/a', 'a/', 'a\\b', 'C:a', 'a\0']) expect(() => snapshotPath('/s', bad)).toThrow('is no path within a repository')
    for (const bad of ['', '..', 'a/../b', 'a//b', '/a', '.a', 'a\\b', 'a b']) expect(() => refPath('/c', 'model', REPO, bad)).toThrow('is no branch')
    for (const bad of ['', 'main', '../x', 'A'.repeat(40), 'a'.repeat(41)]) {
      expect(() => snapshotFolder('/c', 'model', REPO, bad)).toThrow('is no commit')
      expect(() => blobPath('/c', 'model', REPO, bad)).toThrow('is no SHA-256')
    }
  })
})

describe('a blob in its place', () => {
  it('is a relative link, also in folders, and stays where it is right', async () => {
    const path = await add(ONE, 'onnx/deep/model é.onnx', LARGE, 'large')
    expect(readlinkSync(path)).toBe(join('..', '..', '..', '..', 'blobs', LARGE))
    expect(readFileSync(path, 'utf8')).toBe('large')
    const before = lstatSync(path).ino
    await placeBlob(blobPath(cache, 'model', REPO, LARGE), path)
    expect(lstatSync(path).ino).toBe(before)
  })

  it('takes the place of a link to another', async () => {
    await add(ONE, 'config.json', SMALL, 'old')
    const path = await add(ONE, 'config.json', LARGE, 'new')
    expect(readFileSync(path, 'utf8')).toBe('new')
    expect(readdirSync(snapshot(ONE))).toEqual(['config.json'])
    expect(readdirSync(join(repoFolder(cache, 'model', REPO), 'blobs')).sort()).toEqual([LARGE, SMALL])
  })

  it.each([['a hard link where symbolic ones are refused', hardOnly], ['a copy where all are', neither]] as const)('is %s: found, hashed and removed like any other', async (_, links) => {
    const path = await add(ONE, 'onnx/model.onnx', LARGE, 'large', links)
    await placeBlob(blobPath(cache, 'model', REPO, LARGE), path, links)
    expect(lstatSync(path).isFile()).toBe(true)
    expect(readFileSync(path, 'utf8')).toBe('large')
    expect(readdirSync(join(repoFolder(cache, 'model', REPO), 'blobs'))).toEqual([LARGE])
    expect(await cachedHash(path)).toEqual({ algorithm: 'sha256', hex: LARGE })
    expect(await removeCached(cache, [path], { remove: true })).toEqual({ files: [path], frees: links === neither ? 10 : 5 })
    expect(readdirSync(cache)).toEqual([])
  })

  it('that cannot be placed for another reason says so and leaves nothing', async () => {
    await expect(add(ONE, 'config.json', SMALL, '{}', { symbolic: refuse('ENOSPC'), hard: refuse('EPERM') })).rejects.toMatchObject({ code: 'DISK_FULL' })
    expect(readdirSync(join(repoFolder(cache, 'model', REPO), 'blobs'))).toEqual([SMALL])
    expect(readdirSync(snapshot(ONE))).toEqual([])
  })
})

describe('revisions', () => {
  it('are told with their refs, those with slashes too; what is damaged is left out', async () => {
    await add(ONE, 'config.json', SMALL, '{}')
    await add(TWO, 'config.json', SMALL, '{}')
    await writeRef(cache, 'model', REPO, 'main', ONE)
    await writeRef(cache, 'model', REPO, 'refs/pr/1', TWO)
    await writeRef(cache, 'model', REPO, 'main', TWO)
    await writeRef(cache, 'model', REPO, ONE, ONE)
    const folder = repoFolder(cache, 'model', REPO)
    writeFileSync(join(folder, 'refs', 'damaged'), 'x'.repeat(1_000_000))
    writeFileSync(join(folder, 'refs', 'python'), `${ONE}\n`)
    mkdirSync(join(folder, 'snapshots', 'no-commit'))
    writeFileSync(join(folder, 'snapshots', '3'.repeat(40)), 'no folder')
    writeFileSync(join(cache, 'version.txt'), '1')
    mkdirSync(join(cache, '.locks'))
    mkdirSync(join(cache, 'models--a--b'))
    expect(await cachedRevisions(cache)).toEqual([
      { kind: 'model', repo: REPO, commit: ONE, refs: ['python'], folder: snapshot(ONE) },
      { kind: 'model', repo: REPO, commit: TWO, refs: expect.arrayContaining(['main', 'refs/pr/1']) as string[], folder: snapshot(TWO) },
    ])
    expect(await cachedRevisions(join(cache, 'nowhere'))).toEqual([])
  })

  it('are named by the paths in them', async () => {
    const path = await add(ONE, 'onnx/model.onnx', LARGE, 'large')
    expect(cachedSource(cache, path)).toEqual({ kind: 'model', repo: REPO, commit: ONE, folder: snapshot(ONE) })
    for (const other of [snapshot(ONE), blobPath(cache, 'model', REPO, LARGE), join(cache, '..', 'x'), join(snapshot(ONE), '..', 'y'), cache, '/']) expect(cachedSource(cache, other)).toBe(null)
  })

  it('tell the hash a file came with, and none of what is no file of theirs', async () => {
    expect(await cachedHash(await add(ONE, 'model.onnx', LARGE, 'large'))).toEqual({ algorithm: 'sha256', hex: LARGE })
    expect(await cachedHash(await add(ONE, 'a/config.json', SMALL, '{}'))).toEqual({ algorithm: 'git-sha1', hex: SMALL })
    writeFileSync(join(snapshot(ONE), 'own.txt'), 'put there by somebody')
    symlinkSync('nowhere', join(snapshot(ONE), 'dangling'))
    for (const path of ['own.txt', 'dangling', 'a', 'missing'].map((name) => join(snapshot(ONE), name))) expect(await cachedHash(path)).toBe(null)
    expect(await cachedHash(join(home, 'elsewhere'))).toBe(null)
  })

  it('have a file when its blob or the snapshot has it whole', async () => {
    const file = { path: 'm.onnx', bytes: 5, sha256: LARGE, gitSha1: SMALL }
    expect(await isPresent(cache, 'model', REPO, ONE, file)).toBe(false)
    const path = await add(ONE, 'm.onnx', LARGE, 'large')
    expect(await isPresent(cache, 'model', REPO, ONE, file)).toBe(true)
    expect(await isPresent(cache, 'model', REPO, TWO, file)).toBe(true)
    expect(await isPresent(cache, 'model', REPO, ONE, { ...file, bytes: 6 })).toBe(false)
    // As Python leaves it on a system without links.
    rmSync(path)
    writeFileSync(path, 'large')
    rmSync(blobPath(cache, 'model', REPO, LARGE))
    expect(await isPresent(cache, 'model', REPO, ONE, file)).toBe(true)
    expect(await isPresent(cache, 'model', REPO, TWO, file)).toBe(false)
  })
})

describe('removing', () => {
  it('frees what no other snapshot names, and says the same beforehand without touching anything', async () => {
    const shared = await add(ONE, 'config.json', SMALL, '{}')
    await add(TWO, 'config.json', SMALL, '{}')
    const model = await add(ONE, 'onnx/model.onnx', LARGE, 'large')
    await writeRef(cache, 'model', REPO, 'main', ONE)
    await writeRef(cache, 'model', REPO, 'next', TWO)
    const plan = await removeCached(cache, [shared, model], { remove: false })
    expect(plan).toEqual({ files: expect.arrayContaining([shared, model]) as string[], frees: 5 })
    expect(existsSync(model)).toBe(true)
    expect(await removeCached(cache, [shared, model], { remove: true })).toEqual(plan)
    expect(await cachedRevisions(cache)).toMatchObject([{ commit: TWO, refs: ['next'] }])
    expect(readdirSync(join(repoFolder(cache, 'model', REPO), 'blobs'))).toEqual([SMALL])
    expect(existsSync(join(snapshot(TWO), 'config.json'))).toBe(true)
    expect(existsSync(snapshot(ONE))).toBe(false)
  })

  it('leaves other files of the snapshot with their refs, and one blob under two names until both go', async () => {
    const one = await add(ONE, 'a.onnx', LARGE, 'large')
    const two = await add(ONE, 'b/b.onnx', LARGE, 'large')
    await writeRef(cache, 'model', REPO, 'main', ONE)
    expect(await removeCached(cache, [one], { remove: true })).toEqual({ files: [one], frees: 0 })
    expect(await cachedRevisions(cache)).toMatchObject([{ commit: ONE, refs: ['main'] }])
    expect(readFileSync(two, 'utf8')).toBe('large')
    writeFileSync(join(repoFolder(cache, 'model', REPO), 'blobs', `${LARGE}.kvlab-lock`), '')
    mkdirSync(join(repoFolder(cache, 'model', REPO), '.no_exist', ONE), { recursive: true })
    expect(await removeCached(cache, [two, join(snapshot(ONE), 'missing')], { remove: true })).toEqual({ files: [two], frees: 5 })
    expect(readdirSync(cache)).toEqual([])
  })

  it('is refused while something of the repository is being downloaded, and of what is in no snapshot', async () => {
    const path = await add(ONE, 'model.onnx', LARGE, 'large')
    const unlock = await takeLock(`${blobPath(cache, 'model', REPO, SMALL)}.kvlab-lock`, 'test')
    await expect(removeCached(cache, [path], { remove: true })).rejects.toMatchObject({ code: 'BUSY' })
    expect(existsSync(path)).toBe(true)
    await unlock()
    // Of a process that is gone.
    writeFileSync(`${blobPath(cache, 'model', REPO, SMALL)}.kvlab-lock`, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), token: 'gone' }))
    await expect(removeCached(cache, [join(home, 'x')], { remove: true })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect(await removeCached(cache, [path], { remove: true })).toEqual({ files: [path], frees: 5 })
    expect(readdirSync(cache)).toEqual([])
  })

  it('keeps the part of a download that is paused', async () => {
    const path = await add(ONE, 'model.onnx', LARGE, 'large')
    const part = `${blobPath(cache, 'model', REPO, SMALL)}.kvlab-part`
    writeFileSync(part, 'half')
    await removeCached(cache, [path], { remove: true })
    expect(existsSync(part)).toBe(true)
    expect(await cachedRevisions(cache)).toEqual([])
  })
})
