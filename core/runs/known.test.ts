import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KnownRuns } from './known.ts'

let home = ''
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-known-'))
  for (const name of ['a', 'b c', '.hidden']) mkdirSync(join(home, 'runs', name), { recursive: true })
  mkdirSync(join(home, 'elsewhere'))
  writeFileSync(join(home, 'runs', 'file.txt'), '')
})
afterAll(() => rmSync(home, { recursive: true }))

describe('KnownRuns', () => {
  it('finds runs of the library by name, whatever id they were given', async () => {
    const known = new KnownRuns(home)
    expect(known.folderOf('b c')).toBe(join(home, 'runs', 'b c'))
    expect(known.remember(join(home, 'runs', 'a'), 'another')).toBe('a')
    expect((await known.all()).map(({ id }) => id).sort()).toEqual(['a', 'b c'])
  })

  it.each(['', '.', '..', '../elsewhere', 'a/../../elsewhere', '/etc', 'a/', 'a\\..\\b', 'C:', 'a\0', '.hidden', 'x'.repeat(300)])('does not touch the disk for the id %j', (id) => {
    expect(() => new KnownRuns(home).folderOf(id)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  })

  it('says that there is no such run', () => {
    expect(() => new KnownRuns(home).folderOf('nothing')).toThrow(expect.objectContaining({ code: 'FILE_NOT_FOUND' }))
    expect(() => new KnownRuns(home).folderOf('__proto__')).toThrow(expect.objectContaining({ code: 'FILE_NOT_FOUND' }))
  })

  it('knows folders elsewhere by their own id, and never two by one', async () => {
    const known = new KnownRuns(home)
    const folder = join(home, 'elsewhere')
    expect(known.remember(folder, 'run')).toBe('run')
    expect(known.remember(folder, 'run')).toBe('run')
    expect(known.remember(join(home, 'copy'), 'run')).toBe('run-2')
    expect(known.remember(join(home, 'third'), 'a')).toBe('a-2')
    expect(known.folderOf('a')).toBe(join(home, 'runs', 'a'))
    expect(known.folderOf('run')).toBe(folder)
    // What is gone is not listed.
    expect((await known.all()).map(({ id }) => id).sort()).toEqual(['a', 'b c', 'run'])
  })

  it('refuses an id from a file that is a path', () => {
    expect(() => new KnownRuns(home).remember(join(home, 'elsewhere'), '../../x')).toThrow(expect.objectContaining({ code: 'MALFORMED_FILE' }))
  })

  it('lists nothing where there is no library yet', async () => {
    expect(await new KnownRuns(join(home, 'none')).all()).toEqual([])
  })
})
