import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { paxEntry, tarBytes, zipBytes } from '../../test/archive-bytes.ts'
import { drained, treeOf, writeTree } from '../../test/shelf-files.ts'
import { exportShelf } from './export.ts'
import { importToShelf } from './import.ts'
import type { Places } from './shelf.ts'
import { parseSums, sumsText } from './sums.ts'
import { verifyShelf } from './verify.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-shelf-property-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const still = new AbortController().signal
const part = fc.oneof(fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,12}$/), fc.constantFrom('naïve', '日本', 'ß', 'x'.repeat(120), 'a b', "it's", '-rf', '$HOME', '%2e%2e', '…')).filter((name) => !/^(con|prn|aux|nul|com\d|lpt\d)$/.test(name))
/** Files of a tree by name: folders and files do not share names, and one is a text. */
const tree = fc
  .array(fc.tuple(fc.array(part, { maxLength: 4 }), part, fc.uint8Array({ maxLength: 2000 })), { maxLength: 8 })
  .map((files) => ({ ...Object.fromEntries(files.map(([folders, name, content]) => [[...folders.map((one) => `${one}_`), `${name}.txt`].join('/').toLowerCase(), content] as const)), 'text.txt': Buffer.from('text') }))

async function places(): Promise<Places> {
  const home = await mkdtemp(join(folder, 'home-'))
  return { home, cache: join(home, 'hub') }
}

describe('import(export(x)) is x', () => {
  it('for any tree, byte for byte, with its record, and passes', async () => {
    await fc.assert(
      fc.asyncProperty(tree, async (files) => {
        const [here, there] = [await places(), await places()]
        const source = await writeTree(join(here.home, 'source'), files)
        await drained(importToShelf(here, { kind: 'text', path: source, name: 'x' }, still))
        const shelved = join(here.home, 'data', 'x')
        const output = join(here.home, 'x.tar')
        await drained(exportShelf(here, { kind: 'text', path: shelved, output }, still))
        const { result } = await drained(importToShelf(there, { kind: 'text', path: output, name: null }, still))
        expect(result.name).toBe('x')
        const back = join(there.home, 'data', 'x')
        expect(await treeOf(back)).toEqual(await treeOf(shelved))
        expect((await drained(verifyShelf(there, { kind: 'text', path: back }, still))).result.passed).toBe(true)
        for (const { home } of [here, there]) await rm(home, { recursive: true })
      }),
      { numRuns: 40 },
    )
  })

  it('for the text of a record, whatever its names', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[^\r\n.][^\r\n]{0,30}$/u).filter((name) => !name.startsWith('./')), fc.stringMatching(/^[0-9a-f]{64}$/)), (sums) => {
        expect(new Map([...parseSums(sumsText(new Map(Object.entries(sums))), 'x')].sort())).toEqual(new Map(Object.entries(sums).sort()))
      }),
    )
  })
})

describe('a damaged archive', () => {
  const content = Buffer.from('The quick brown fox jumps over the lazy dog. '.repeat(30))
  const entries = [{ name: 'top/a.txt', content }, { name: 'top/b/c.txt', content: Buffer.from('c') }, { name: 'top/d.raw', content: Buffer.alloc(3000, 7) }]
  const tar = tarBytes([paxEntry({ path: 'top/a.txt' }), ...entries])
  const archives: [name: string, bytes: Buffer][] = [
    ['a.zip', zipBytes(entries)],
    ['a.zip', zipBytes(entries.map((entry) => ({ ...entry, stored: true })))],
    ['a.tar', tar],
    ['a.tgz', gzipSync(tar)],
  ]

  it.each(archives)('%s (%#) ends in a LabError or a right import, and nothing else is ever there', async (name, bytes) => {
    const here = await places()
    const outside = await treeOf(here.home)
    const damage = fc.oneof(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 }).map((flips) => (copy: Buffer) => {
        for (const [at, by] of flips) copy[at] = (copy[at] ?? 0) ^ by
        return copy
      }),
      fc.nat(bytes.length - 1).map((at) => (copy: Buffer) => copy.subarray(0, at)),
      fc.tuple(fc.nat(bytes.length - 1), fc.uint8Array({ minLength: 1, maxLength: 700 })).map(([at, more]) => (copy: Buffer) => Buffer.concat([copy.subarray(0, at), more, copy.subarray(at)])),
    )
    await fc.assert(
      fc.asyncProperty(damage, async (harm) => {
        const path = join(here.home, name)
        await writeFile(path, harm(Buffer.from(bytes)))
        const data = join(here.home, 'data')
        try {
          const { result } = await drained(importToShelf(here, { kind: 'text', path, name: 'in' }, still))
          // Headers of a tar have checksums and contents have none; of the others both do.
          const files = await treeOf(join(data, 'in'))
          if (name !== 'a.tar') for (const [file, text] of Object.entries(files)) if (file.endsWith('a.txt')) expect(text).toBe(content.toString('latin1'))
          expect(result.files).toBeGreaterThan(0)
          expect((await drained(verifyShelf(here, { kind: 'text', path: result.path }, still))).result.passed).toBe(true)
        } catch (error) {
          if (!(error instanceof LabError)) throw error
          expect(['MALFORMED_FILE', 'CHECKSUM_MISMATCH', 'DISK_FULL', 'INVALID_INPUT']).toContain(error.code)
          expect(await readdir(data).catch(() => [])).toEqual([])
        }
        await rm(data, { recursive: true, force: true })
        await rm(path)
        expect(await treeOf(here.home)).toEqual(outside)
      }),
      { numRuns: 100 },
    )
    expect(await readFile(join(folder, 'a.txt')).catch(() => null)).toBe(null)
  })
})
