import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { parquetWriteFile } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fileOf, huggingFaceRows, loadText, type Join, type Text } from './texts.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-texts-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const load = (data: string, join: Join, column: string | null = null): Promise<Text> => loadText({ data, column, join })
const coded = (code: string, text: RegExp): unknown => expect.objectContaining({ code, message: expect.stringMatching(text) as string })
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

describe('the demo text', () => {
  // The digest of the text that the torch reference was made from.
  const DIGEST = '03a432e89bcb50301437cf7adf187d50d563073ed581d584182c0a43a5655da2'

  it('is the held-out end of Moby Dick', async () => {
    const text = await load('demo', 'file')
    expect(text).toMatchObject({ name: 'demo', textSha256: DIGEST })
    expect(text.documents.map((document) => [...document].length)).toEqual([261_670])
  })

  it('is one document a chapter where asked', async () => {
    const text = await load('demo', 'documents')
    expect(text.documents).toHaveLength(36)
    expect(text.documents[0]).toMatch(/^CHAPTER 101\. /)
    expect(sha256(text.documents.join('\n\n'))).toBe(DIGEST)
    expect(text.textSha256).toBe(DIGEST)
    await expect(load('demo', 'hf-rows')).rejects.toThrow(coded('INVALID_INPUT', /no rows/))
  })
})

describe('a text file', () => {
  it('is taken as it is', async () => {
    const path = join(folder, 'plain.txt')
    const text = '\ufeff one\r\n\n½ two \u{1f40b}\n'
    await writeFile(path, text)
    expect(await load(path, 'file')).toEqual({ name: 'plain.txt', column: null, documents: [text], textSha256: sha256(text) })
  })

  it('becomes Hugging Face rows', () => {
    expect(huggingFaceRows(' \n = Title = \n \n Text .\n')).toBe('\n\n = Title = \n\n\n\n\n Text .\n')
    expect(huggingFaceRows('a\nb')).toBe('a\n\n\nb')
    expect(huggingFaceRows('')).toBe('')
  })

  it('that is not UTF-8 is refused with the place', async () => {
    const path = join(folder, 'latin.bin')
    await writeFile(path, Buffer.from([0x61, 0xc3, 0xa9, 0xe9, 0x20, 0x62]))
    await expect(load(path, 'file')).rejects.toThrow(expect.objectContaining({ code: 'MALFORMED_FILE', details: { format: 'text', reason: 'InvalidUtf8', at: 4 } }))
    await writeFile(path, Buffer.from([0x61, 0xc3]))
    await expect(load(path, 'file')).rejects.toThrow(expect.objectContaining({ code: 'MALFORMED_FILE', details: { format: 'text', reason: 'InvalidUtf8', at: 2 } }))
  })

  it('that is UTF-16 or no text at all is refused with advice', async () => {
    const path = join(folder, 'wide.txt')
    await writeFile(path, Buffer.from('\ufeffwide', 'utf16le'))
    await expect(load(path, 'file')).rejects.toThrow(coded('MALFORMED_FILE', /is UTF-16: convert it to UTF-8 first, such as with: iconv/))
    await writeFile(path, Buffer.from('wide', 'utf16le'))
    await expect(load(path, 'file')).rejects.toThrow(expect.objectContaining({ code: 'MALFORMED_FILE', details: { format: 'text', reason: 'ZeroByte', at: 1 } }))
  })

  it('that is an archive is to be imported', async () => {
    const path = join(folder, 'wikitext-2-raw-v1.zip')
    await writeFile(path, 'PK')
    await expect(load(path, 'file')).rejects.toThrow(coded('INVALID_INPUT', /is an archive: import it first/))
  })

  it('has no columns', async () => {
    const path = join(folder, 'plain.txt')
    await expect(load(path, 'file', 'text')).rejects.toThrow(coded('INVALID_INPUT', /has no columns: leave out --column text/))
    await expect(load('demo', 'file', 'text')).rejects.toThrow(coded('INVALID_INPUT', /leave out --column text/))
  })

  it('of any UTF-8 is given as it is, wherever pieces end', async () => {
    const path = join(folder, 'any.txt')
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !text.includes('\0')), fc.integer({ min: 0, max: 8 }), async (text, shift) => {
        const whole = 'x'.repeat(256 * 1024 - shift) + text
        await writeFile(path, whole)
        expect((await load(path, 'file')).documents).toEqual([whole])
      }),
      { numRuns: 50 },
    )
  })

  it('that does not exist is refused', async () => {
    await expect(load(join(folder, 'none.txt'), 'file')).rejects.toThrow(coded('FILE_NOT_FOUND', /does not exist/))
  })
})

describe('a folder of text files', () => {
  it('is one document a file, by name', async () => {
    const texts = join(folder, 'texts')
    await mkdir(texts)
    await expect(load(texts, 'documents')).rejects.toThrow(coded('FILE_NOT_FOUND', /no .txt file/))
    await writeFile(join(texts, 'c.md'), 'notes')
    expect((await load(texts, 'documents')).documents).toEqual(['notes'])
    for (const name of ['b.txt', 'a.txt', 'c.md']) await writeFile(join(texts, name), name)
    expect(await load(texts, 'documents')).toEqual({ name: 'texts', column: null, documents: ['a.txt', 'b.txt'], textSha256: sha256('a.txt\n\nb.txt') })
    await expect(load(texts, 'file')).rejects.toThrow(coded('INVALID_INPUT', /--join documents/))
  })
})

describe('a table', () => {
  it('has a document a row, rows joined, or lines', async () => {
    const path = join(folder, 'rows.jsonl')
    await writeFile(path, ['one', '', ' \n', 'two'].map((text) => JSON.stringify({ id: 'x', text }) + '\n').join(''))
    expect(await load(path, 'documents')).toEqual({ name: 'rows.jsonl', column: 'text', documents: ['one', 'two'], textSha256: sha256('one\n\ntwo') })
    expect((await load(path, 'hf-rows')).documents).toEqual(['one\n\n\n\n \n\n\ntwo'])
    expect((await load(path, 'file')).documents).toEqual(['one\n\n \n\ntwo\n'])
    expect((await load(path, 'documents', 'id')).documents).toEqual(['x', 'x', 'x', 'x'])
    await expect(load(path, 'documents', 'body')).rejects.toThrow(coded('INVALID_INPUT', /no column of text "body"/))
    await writeFile(path, '{"text": ""}\n{"text": null}\n')
    await expect(load(path, 'documents')).rejects.toThrow(coded('TEXT_TOO_SHORT', /no row with a text/))
  })

  it('of lines that keep their ends is the file that they came from', () => {
    expect(fileOf([' = A = \n', '', 'b \n'])).toBe(' = A = \n \nb \n')
    expect(fileOf(['a', '', 'b\n'])).toBe('a\n\nb\n\n')
    expect(fileOf([''])).toBe('\n')
  })

  it('may be called off while it is read', async () => {
    const path = join(folder, 'off.csv')
    await writeFile(path, `text\n${'a\n'.repeat(500_000)}`)
    await expect(loadText({ data: path, column: null, join: 'file' }, AbortSignal.abort(new Error('left')))).rejects.toThrow('left')
  })
})

describe('shards of a table', () => {
  const write = async (path: string, texts: string[], column = 'text'): Promise<void> => {
    await mkdir(dirname(path), { recursive: true })
    parquetWriteFile({ filename: path, columnData: [{ name: column, data: texts, type: 'STRING' }] })
  }

  it('are one text by the folder that they have to themselves, in the order of their numbers', async () => {
    const set = join(folder, 'set')
    for (const [i, text] of ['one', 'two', 'three'].entries()) await write(join(set, `train-0000${i}-of-00003-0123456789abcdef.parquet`), [text])
    expect(await load(set, 'documents')).toMatchObject({ name: 'set', column: 'text', documents: ['one', 'two', 'three'] })
    await rm(join(set, 'train-00001-of-00003-0123456789abcdef.parquet'))
    await expect(load(set, 'documents')).rejects.toThrow(coded('INVALID_INPUT', /only 2 of the files of train/))
    await write(join(set, 'train-00001-of-00003-0123456789abcdef.parquet'), ['two'], 'content')
    await expect(load(set, 'documents')).rejects.toThrow(coded('INVALID_INPUT', /train-00001.* has no column of text "text"/))
  })

  it('beside another split are never mixed with it, and are named by their own name', async () => {
    const splits = join(folder, 'splits')
    await write(join(splits, 'test-00000-of-00001.parquet'), ['test'])
    for (const i of [0, 1]) await write(join(splits, `train-0000${i}-of-00002.parquet`), [`train ${i}`])
    await expect(load(splits, 'documents')).rejects.toThrow(coded('INVALID_INPUT', /tables of several kinds: name one, such as .*splits\/test: there is test, train/))
    expect((await load(join(splits, 'train'), 'documents')).documents).toEqual(['train 0', 'train 1'])
    expect((await load(join(splits, 'test'), 'documents')).documents).toEqual(['test'])
    await expect(load(join(splits, 'validation'), 'documents')).rejects.toThrow(coded('FILE_NOT_FOUND', /does not exist/))
    await writeFile(join(folder, 'a.jsonl'), '{"text": "a"}')
    await mkdir(join(folder, 'plain'))
    for (const name of ['train', 'test']) await writeFile(join(folder, 'plain', `${name}.jsonl`), '{"text": "a"}')
    await expect(load(join(folder, 'plain'), 'documents')).rejects.toThrow(coded('INVALID_INPUT', /there is test.jsonl, train.jsonl/))
  })

  it('may be numbered alone', async () => {
    const parts = join(folder, 'parts')
    await mkdir(parts)
    for (const name of ['0000', '0001']) await writeFile(join(parts, `${name}.jsonl`), JSON.stringify({ text: name }))
    expect((await load(parts, 'documents')).documents).toEqual(['0000', '0001'])
  })
})

const data = fileURLToPath(new URL('../../../shared/data/wikitext-2-raw-v1/', import.meta.url))
describe.skipIf(!existsSync(data))('WikiText-2 raw (skipped without ../shared/data)', () => {
  it.each(['wiki.test.raw', 'test-00000-of-00001.parquet'])('%s joins to the classic file and to the standard perplexity text', async (name) => {
    const file = await load(join(data, name), 'file')
    expect(file.textSha256).toBe('173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08')
    expect(Buffer.byteLength(file.documents.join())).toBe(1_290_590)
    const rows = await load(join(data, name), 'hf-rows')
    expect(rows.textSha256).toBe('696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83')
    expect(Buffer.byteLength(rows.documents.join())).toBe(1_296_370)
  })
})
