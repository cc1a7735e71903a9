import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { chooseColumn, formatOf, openTable } from './table.ts'
import { pieces, textPieces } from './unpack.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-tables-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

async function columnsOf(path: string): Promise<readonly string[]> {
  const format = formatOf(path)
  return format === 'text' ? [] : (await openTable(path, format)).columns
}

async function rowsOf(path: string, column = 'text'): Promise<string[]> {
  const format = formatOf(path)
  if (format === 'text') throw new Error('no table')
  const rows: string[] = []
  for await (const batch of (await openTable(path, format)).rowsOf(column)) rows.push(...batch)
  return rows
}

const malformed = (format: string, at: number, text: RegExp): unknown =>
  expect.objectContaining({ code: 'MALFORMED_FILE', message: expect.stringMatching(text) as string, details: expect.objectContaining({ format, at }) as unknown })

describe('JSON Lines', () => {
  it('are rows of an object a line', async () => {
    const path = await write('a.jsonl', '\ufeff{"id": 1, "title": "x", "text": "one\\ntwo"}\r\n\r\n{"text": null, "title": "y"}\n{"text": "\\u00e9\\ud83d\\udc0b", "more": [[["deep"]]]}')
    expect(await columnsOf(path)).toEqual(['text', 'title'])
    expect(await rowsOf(path)).toEqual(['one\ntwo', '', 'é\u{1f40b}'])
  })

  it('hold whatever JSON may', async () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000)
    const path = await write('odd.ndjson', `{"text": "first", "text": "last", "n": 1e999999, "m": ${'9'.repeat(5000)}, "__proto__": "p", "toString": "t"}\n{"text": "deep", "d": ${deep}}\n`)
    expect(await rowsOf(path)).toEqual(['last', 'deep'])
    expect((await columnsOf(path)).slice(0, 3)).toEqual(['text', '__proto__', 'toString'])
    await expect(rowsOf(path, 'toString')).rejects.toThrow(malformed('jsonl', 2, /line 2 has no text "toString"/))
  })

  it.each([
    ['a line that is no JSON', '{"text": "a"}\n{"text": "b"', 2, /line 2 is not JSON.*correct the line/],
    ['an array of objects over lines', '[\n  {"text": "a"}\n]', 1, /write one object a line/],
    ['an array on a line', '["a"]', 1, /line 1 is no object/],
    ['a row without the column', '{"text": "a"}\n\n{"txt": "b"}', 3, /line 3 has no text "text"/],
    ['a number for a text', '{"text": "a"}\n{"text": 5}', 2, /line 2 has no text/],
    ['half a surrogate pair', '{"text": "\\ud83d"}', 1, /half of a surrogate pair/],
  ])('with %s are refused', async (_, content, line, text) => {
    await expect(rowsOf(await write('bad.jsonl', content))).rejects.toThrow(malformed('jsonl', line, text))
  })

  it('of any bytes are read or refused', async () => {
    const value = fc.oneof(fc.string(), fc.json(), fc.constant('{"text": "a"}\n'))
    await fc.assert(
      fc.asyncProperty(fc.array(value, { maxLength: 8 }), async (parts) => {
        try {
          await rowsOf(await write('any.jsonl', parts.join('')))
        } catch (error) {
          expect(error).toBeInstanceOf(LabError)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('are read across the pieces of a large file', async () => {
    const rows = Array.from({ length: 3000 }, (_, i) => `${i} ${'é'.repeat((i * 37) % 500)}`)
    const path = await write('large.jsonl.gz', gzipSync(rows.map((text) => JSON.stringify({ text }) + '\n').join('')))
    expect(await rowsOf(path)).toEqual(rows)
  })
})

describe('comma-separated values', () => {
  it('follow RFC 4180', async () => {
    const path = await write('a.csv', '\ufeffid,text\r\n1,"a, ""quoted"" one\r\nof two lines"\r\n\r\n2,plain "in" it\r\n3,\r\n4,""')
    expect(await columnsOf(path)).toEqual(['text', 'id'])
    expect(await rowsOf(path)).toEqual(['a, "quoted" one\r\nof two lines', 'plain "in" it', '', ''])
    expect(await rowsOf(path, 'id')).toEqual(['1', '2', '3', '4'])
    expect(await rowsOf(await write('lf.csv', 'text\na\n""\n\nb\n'))).toEqual(['a', '', 'b'])
    expect(await rowsOf(await write('cr.csv', 'text\ra\rb\r'))).toEqual(['a', 'b'])
    expect(await rowsOf(await write('comma.csv', 'id,text\n1,'))).toEqual([''])
  })

  it('are what was written, wherever pieces end', async () => {
    const field = fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', 'a', 'é', ' ') })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(field, field), { minLength: 1, maxLength: 20 }), fc.constantFrom('\n', '\r\n', '\r'), fc.integer({ min: 0, max: 40 }), async (rows, end, shift) => {
        const quoted = (value: string): string => `"${value.replaceAll('"', '""')}"`
        // The first field brings the rest to the end of a piece.
        const filler = 'x'.repeat(256 * 1024 - shift)
        const content = ['text,more', `${filler},`, ...rows.map((row) => row.map(quoted).join(','))].join(end)
        expect(await rowsOf(await write('any.csv', content))).toEqual([filler, ...rows.map(([text]) => text)])
      }),
      { numRuns: 100 },
    )
  })

  it.each([
    ['a quote that does not end', 'text\n"a', 2, /a quote that does not end/],
    ['more after a closing quote', 'text\n"a"b', 2, /goes on after a closing quote/],
    ['a row of another length', 'id,text\n1,a\n2', 3, /row 3 has 1 fields, the header 2/],
    ['two columns of one name', 'text,text\na,b', 1, /two columns are called "text"/],
    ['too many fields', `text\n${','.repeat(20_000)}`, 2, /more than 10000 fields/],
  ])('with %s are refused', async (_, content, row, text) => {
    await expect(rowsOf(await write('bad.csv', content))).rejects.toThrow(malformed('csv', row, text))
  })

  it('of any text are read or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', 'a'), maxLength: 40 }), async (content) => {
        try {
          await rowsOf(await write('fuzz.csv', `text\n${content}`))
        } catch (error) {
          expect(error).toBeInstanceOf(LabError)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('the column that is read', () => {
  it('is `text`, the only one, or the one named', async () => {
    const table = async (content: string): Promise<string> => {
      const path = await write('columns.csv', content)
      return chooseColumn(await openTable(path, 'csv'), null, path)
    }
    expect(await table('id,text\n1,a')).toBe('text')
    expect(await table('content\na')).toBe('content')
    await expect(table('id,content\n1,a')).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(/several columns of text: name one with --column: "id", "content"/) as string })
    const path = await write('named.csv', 'id,content\n1,a')
    expect(chooseColumn(await openTable(path, 'csv'), 'content', path)).toBe('content')
    expect(() => chooseColumn({ columns: ['id'], rows: null, rowsOf: () => null as never }, 'text', 'x.csv')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringMatching(/no column of text "text": it has "id"/) as string }))
  })

  it.each(['none.jsonl', 'none.csv', 'none.csv.gz'])('of an empty table %s is none', async (name) => {
    await expect(columnsOf(await write(name, name.endsWith('.gz') ? gzipSync('') : '\n\n'))).rejects.toMatchObject({ code: 'TEXT_TOO_SHORT' })
  })
})

describe('a packed file', () => {
  const all = async (path: string, limit = 2 ** 30): Promise<string> => {
    const texts: string[] = []
    for await (const piece of textPieces(path, limit)) texts.push(piece)
    return texts.join('')
  }

  it('is unpacked, members one after another', async () => {
    expect(await all(await write('a.txt.gz', Buffer.concat([gzipSync('one \u{1f40b}'), gzipSync(' two')])))).toBe('one \u{1f40b} two')
  })

  it('that is cut at any byte or changed is refused', async () => {
    const whole = gzipSync('some words, some more words, and some words again')
    for (let length = 1; length < whole.length; length++) await expect(all(await write('cut.txt.gz', whole.subarray(0, length)))).rejects.toThrow(malformed('gzip', 0, /is damaged or no gzip/))
    for (let at = 10; at < whole.length; at++) {
      const changed = Uint8Array.from(whole)
      changed[at]! ^= 0x10
      const got = await all(await write('changed.txt.gz', changed)).catch((error: unknown) => error)
      // The last bits of the packed stream are no one's.
      if (got !== 'some words, some more words, and some words again') expect(got).toMatchObject({ code: 'MALFORMED_FILE' })
    }
    await expect(all(await write('not.txt.gz', 'not packed'))).rejects.toThrow(malformed('gzip', 0, /get the file again/))
  })

  it('that grows past the limit is refused before it is held', async () => {
    const bomb = await write('bomb.txt.gz', gzipSync(Buffer.alloc(50_000_000, 'a')))
    let bytes = 0
    const reading = async (): Promise<void> => {
      for await (const piece of pieces(bomb, 1_000_000)) bytes += piece.length
    }
    await expect(reading()).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(/unpacks to more bytes, over the limit of 1000000/) as string })
    expect(bytes).toBeLessThanOrEqual(1_000_000)
  })
})
