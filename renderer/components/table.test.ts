import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asCsv, asMarkdown, asTsv, plainTable, type Column } from './table.ts'

/** The cells of a CSV text by RFC 4180. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [[]]
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? '')
    if (end === '\r\n') rows.push([])
  }
  return rows.slice(0, -1)
}

describe('tables as text', () => {
  const cells = fc.array(fc.array(fc.string().filter((text) => !/^[=+@\t]/.test(text)), { minLength: 3, maxLength: 3 }))

  it('CSV is read back as it was, whatever is in the cells', () => {
    fc.assert(fc.property(cells, (rows) => void expect(readCsv(asCsv({ header: ['a', 'b', 'c'], rows }))).toEqual([['a', 'b', 'c'], ...rows])))
  })

  it('CSV holds no formulas, and leaves numbers alone', () => {
    expect(asCsv({ header: ['x'], rows: [['=1+1'], ['@SUM(A1)'], ['+0.0012'], ['-3e-5'], ['+evil()']] })).toBe("x\r\n'=1+1\r\n'@SUM(A1)\r\n+0.0012\r\n-3e-5\r\n'+evil()\r\n")
  })

  it('TSV and Markdown keep a row in a line', () => {
    const table = { header: ['method', 'a|b'], rows: [['int4\tx', 'two\nlines']] }
    expect(asTsv(table)).toBe('method\ta|b\nint4 x\ttwo lines\n')
    expect(asMarkdown(table)).toBe('| method | a\\|b |\n| --- | --- |\n| int4\tx | two lines |\n')
  })

  it('show what the columns show', () => {
    const columns: Column<number>[] = [
      { key: 'n', title: 'N', text: String },
      { key: 'twice', title: 'Twice', text: (n) => String(2 * n) },
    ]
    expect(plainTable(columns, [1, 2])).toEqual({ header: ['N', 'Twice'], rows: [['1', '2'], ['2', '4']] })
  })
})
