import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readListing, storable, type ListedFile } from './listing.ts'

const OID = 'a'.repeat(40)
const SHA = 'b'.repeat(64)
const file = (path: string, more: object = {}): object => ({ type: 'file', path, oid: OID, size: 5, ...more })
const listed = (path: string): ListedFile => ({ path, bytes: 5, sha256: null, gitSha1: OID })
const kept = (...paths: string[]): string[] => storable(paths.map(listed)).map(({ path }) => path)

describe('readListing', () => {
  it('reads small files, large files and leaves out folders and what it does not know', () => {
    const page = [
      { type: 'directory', oid: OID, size: 0, path: 'onnx' },
      file('config.json', { security: null }),
      file('onnx/model.onnx', { lfs: { oid: SHA, size: 7_000_000_000, pointerSize: 135 }, size: 7_000_000_000, xetHash: SHA }),
      { type: 'commit', path: '../x' },
    ]
    expect(readListing(page)).toEqual([
      { path: 'config.json', bytes: 5, sha256: null, gitSha1: OID },
      { path: 'onnx/model.onnx', bytes: 7_000_000_000, sha256: SHA, gitSha1: OID },
    ])
    expect(readListing([])).toEqual([])
  })

  it.each([
    ['a page', 'x'], ['a page', { 0: file('a') }], ['an entry', [null]], ['a type', [{ path: 'a', oid: OID, size: 1 }]], ['an oid', [file('a', { oid: 'g'.repeat(40) })]],
    ['an oid of a line more', [file('a', { oid: `${OID}\n` })]], ['a size', [file('a', { size: -1 })]], ['a size', [file('a', { size: 1.5 })]], ['a size', [file('a', { size: 2 ** 53 })]],
    ['a size', [file('a', { size: '5' })]], ['a hash', [file('a', { lfs: { oid: OID, size: 1 } })]], ['a size of a large file', [file('a', { lfs: { oid: SHA } })]],
  ])('refuses what is not %s', (_, page) => {
    expect(readListing(page)).toBeNull()
  })

  it.each(['../a', 'a/../b', '/etc/passwd', 'a//b', 'a/', '', '.', './a', 'a/.', 'a\\b', '..\\a', 'C:\\a', 'a\0b', '..'])('refuses a listing with the name %j', (path) => {
    expect(readListing([file('ok'), file(path)])).toBeNull()
  })
})

describe('storable', () => {
  it('keeps names of every language, spaces and dots', () => {
    const paths = ['.gitattributes', 'a b/c d.txt', 'data/wiki-テスト.parquet', 'deep/er/and/deeper/x', 'émile.json', '…', 'conx/nul1.txt']
    expect(kept(...paths)).toEqual([...paths].sort())
  })

  it.each(['con', 'CON.txt', 'a/nul', 'Aux.tar.gz', 'com1', 'lpt9.x', 'com²', 'a:b', 'C:/a', 'a/b?', 'x*', '"q"', '<a>', 'p|q', 'a.', 'a /b', 'tab\there', 'line\nbreak', 'bell\x07', '\ud800', 'x'.repeat(256), 'é'.repeat(128), 'ab/'.repeat(400) + 'c'])('leaves out %j', (path) => {
    expect(kept(path, 'other')).toEqual(['other'])
  })

  it('keeps the first of names that differ in case or composition only, and no file that is a folder of others', () => {
    expect(kept('a.txt', 'A.TXT', 'b')).toEqual(['A.TXT', 'b'])
    expect(kept('e\u0301', '\u00e9')).toEqual(['e\u0301'])
    expect(kept('x', 'X/y', 'x/z')).toEqual(['X/y', 'x/z'])
    expect(kept('same', 'same')).toEqual(['same'])
  })
})

it('lets no name through that leads out of its folder or that two files share, whatever a page holds', () => {
  const part = fc.oneof({ weight: 12, arbitrary: fc.constantFrom('a', 'A', 'b', 'é', 'e\u0301', 'con', 'b.', ' c', 'a:b') }, fc.constantFrom('..', '.', '', 'nul.txt', 'x\\y', 'z\0'), fc.string({ minLength: 1, maxLength: 6 }), fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }))
  const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
  const size = fc.oneof(fc.nat(), fc.constantFrom(-1, 1e300, NaN, Infinity, 2 ** 53, '5', null))
  const hash = fc.oneof(fc.constant(SHA), fc.constantFrom(null, undefined, OID, 'x', 5))
  const good = fc.record({ type: fc.constant('file'), path, oid: fc.constant(OID), size: fc.nat() })
  const any = fc.record({ type: fc.constantFrom('file', 'directory', 5, null), path: fc.oneof(path, fc.constant(5)), oid: fc.constantFrom(OID, 'x', null), size, lfs: fc.option(fc.record({ oid: hash, size }), { nil: undefined }) })
  const damaged = fc.oneof({ weight: 4, arbitrary: fc.array(good, { maxLength: 6 }) }, { weight: 2, arbitrary: fc.array(fc.oneof(good, any), { maxLength: 6 }) }, { weight: 1, arbitrary: fc.jsonValue() })
  let passed = 0
  fc.assert(
    fc.property(damaged, (page) => {
      const files = readListing(page)
      if (files === null) return
      const names = storable(files)
      passed += names.length
      const seen = new Set<string>()
      for (const { path, bytes, sha256, gitSha1 } of names) {
        expect(path).toMatch(/^(?!\/)[^\\\0:*?"<>|]+$/u)
        for (const one of path.split('/')) expect(['', '.', '..']).not.toContain(one)
        expect(seen.has(path.normalize('NFC').toLowerCase())).toBe(false)
        seen.add(path.normalize('NFC').toLowerCase())
        expect(Number.isSafeInteger(bytes) && bytes >= 0).toBe(true)
        expect(sha256 ?? SHA).toMatch(/^[0-9a-f]{64}$/)
        expect(gitSha1).toMatch(/^[0-9a-f]{40}$/)
      }
      for (const name of seen) for (const other of seen) expect(other.startsWith(`${name}/`)).toBe(false)
    }),
    { numRuns: 600 },
  )
  expect(passed).toBeGreaterThan(100)
})
