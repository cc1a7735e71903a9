import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { huggingFaceRows, loadText } from './texts.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-texts-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const coded = (code: string, text: RegExp): unknown => expect.objectContaining({ code, message: expect.stringMatching(text) as string })
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

describe('the demo text', () => {
  // The digest of the text that the torch reference was made from.
  const DIGEST = '03a432e89bcb50301437cf7adf187d50d563073ed581d584182c0a43a5655da2'

  it('is the held-out end of Moby Dick', async () => {
    const text = await loadText('demo', 'file')
    expect(text).toMatchObject({ name: 'demo', textSha256: DIGEST })
    expect(text.documents.map((document) => [...document].length)).toEqual([261_670])
  })

  it('is one document a chapter where asked', async () => {
    const text = await loadText('demo', 'documents')
    expect(text.documents).toHaveLength(36)
    expect(text.documents[0]).toMatch(/^CHAPTER 101\. /)
    expect(sha256(text.documents.join('\n\n'))).toBe(DIGEST)
    expect(text.textSha256).toBe(DIGEST)
    await expect(loadText('demo', 'hf-rows')).rejects.toThrow(coded('INVALID_INPUT', /no rows/))
  })
})

describe('a text file', () => {
  it('is taken as it is', async () => {
    const path = join(folder, 'plain.txt')
    const text = '\ufeff one\r\n\n½ two \u{1f40b}\n'
    await writeFile(path, text)
    expect(await loadText(path, 'file')).toEqual({ name: 'plain.txt', documents: [text], textSha256: sha256(text) })
  })

  it('becomes Hugging Face rows', () => {
    expect(huggingFaceRows(' \n = Title = \n \n Text .\n')).toBe('\n\n = Title = \n\n\n\n\n Text .\n')
    expect(huggingFaceRows('a\nb')).toBe('a\n\n\nb')
    expect(huggingFaceRows('')).toBe('')
  })

  it('that is not UTF-8 is refused with the place', async () => {
    const path = join(folder, 'latin.bin')
    await writeFile(path, Buffer.from([0x61, 0xc3, 0xa9, 0xe9, 0x20, 0x62]))
    await expect(loadText(path, 'file')).rejects.toThrow(expect.objectContaining({ code: 'MALFORMED_FILE', details: { format: 'text', reason: 'InvalidUtf8', at: 4 } }))
    await writeFile(path, Buffer.from([0x61, 0xc3]))
    await expect(loadText(path, 'file')).rejects.toThrow(expect.objectContaining({ code: 'MALFORMED_FILE', details: { format: 'text', reason: 'InvalidUtf8', at: 2 } }))
  })

  it('that does not exist is refused', async () => {
    await expect(loadText(join(folder, 'none.txt'), 'file')).rejects.toThrow(coded('FILE_NOT_FOUND', /does not exist/))
  })
})

describe('a folder of text files', () => {
  it('is one document a file, by name', async () => {
    const texts = join(folder, 'texts')
    await mkdir(texts)
    await expect(loadText(texts, 'documents')).rejects.toThrow(coded('FILE_NOT_FOUND', /no .txt file/))
    for (const name of ['b.txt', 'a.txt', 'c.md']) await writeFile(join(texts, name), name)
    expect(await loadText(texts, 'documents')).toEqual({ name: 'texts', documents: ['a.txt', 'b.txt'], textSha256: sha256('a.txt\n\nb.txt') })
    await expect(loadText(texts, 'file')).rejects.toThrow(coded('INVALID_INPUT', /--join documents/))
  })
})

const wiki = fileURLToPath(new URL('../../../shared/data/wikitext-2-raw-v1/wiki.test.raw', import.meta.url))
it.skipIf(!existsSync(wiki))('WikiText-2 raw joins to the standard perplexity text (skipped without ../shared/data)', async () => {
  expect((await loadText(wiki, 'file')).textSha256).toBe('173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08')
  const rows = await loadText(wiki, 'hf-rows')
  expect(rows.textSha256).toBe('696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83')
  expect(Buffer.byteLength(rows.documents.join())).toBe(1_296_370)
})
