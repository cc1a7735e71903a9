import { LabError } from '#core/contract/errors.ts'
import { malformed } from './cursor.ts'
import { MAX_ROW_CHARS, textFirst, type Table } from './table.ts'
import { MAX_UNPACKED_BYTES, textPieces } from './unpack.ts'

/**
 * A table of comma-separated values by RFC 4180 with a header row: fields in quotes may hold commas, line ends and doubled quotes; a line ends with LF, CRLF or CR;
 * blank lines are left out. Throws LabError MALFORMED_FILE of format `csv`, `at` the number of the row (the header is row 1), TEXT_TOO_SHORT where there is no header.
 */
export async function openCsv(path: string): Promise<Table> {
  for await (const [names] of records(path)) {
    if (names === undefined) continue
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    if (twice !== undefined) throw malformed(path, 'csv', `two columns are called ${JSON.stringify(twice)}`, 1, 'rename one')
    return { columns: textFirst(names), rows: null, rowsOf: (column) => rowsOf(path, names, column) }
  }
  throw new LabError('TEXT_TOO_SHORT', `${path} is empty: name another text`)
}

async function* rowsOf(path: string, names: readonly string[], column: string): AsyncGenerator<string[]> {
  const at = names.indexOf(column)
  let row = 0
  for await (const batch of records(path)) {
    const texts: string[] = []
    for (const fields of batch) {
      row++
      if (fields.length !== names.length) throw malformed(path, 'csv', `row ${row} has ${fields.length} fields, the header ${names.length}`, row, 'correct the row, and put fields with commas in quotes')
      if (row > 1) texts.push(fields[at] ?? '')
    }
    yield texts
  }
}

async function* records(path: string): AsyncGenerator<string[][]> {
  const splitter = new Splitter(path)
  let first = true
  for await (const piece of textPieces(path, MAX_UNPACKED_BYTES)) {
    yield splitter.push(first ? piece.replace(/^\ufeff/, '') : piece)
    first = false
  }
  yield splitter.end()
}

/** More columns than any table of texts. */
const MAX_FIELDS = 10_000
const END_OF_FIELD = /[,\r\n]/g

/** Cuts pieces of a text into records; a piece may end anywhere. */
class Splitter {
  readonly #path: string
  /** `quote`: after a quote in a quoted field, its end or the first of two; `return`: after a carriage return, which a line feed may follow. */
  #state: 'start' | 'plain' | 'quoted' | 'quote' | 'return' = 'start'
  #field = ''
  #fields: string[] = []
  #length = 0
  /** Whether the record has a quoted field: without one a lone empty field is a blank line. */
  #quoted = false
  #records: string[][] = []
  #row = 1

  constructor(path: string) {
    this.#path = path
  }

  push(text: string): string[][] {
    for (let at = 0; at < text.length; ) at = this.#step(text, at)
    return this.#taken()
  }

  end(): string[][] {
    if (this.#state === 'quoted') throw malformed(this.#path, 'csv', `row ${this.#row} has a quote that does not end`, this.#row, 'correct the row')
    if (this.#state !== 'return' && (this.#state !== 'start' || this.#fields.length > 0)) this.#endRecord()
    return this.#taken()
  }

  /** Takes what stands at `at`; gives where to go on. */
  #step(text: string, at: number): number {
    const char = text[at]
    switch (this.#state) {
      case 'quoted': {
        const quote = text.indexOf('"', at)
        this.#add(text.slice(at, quote < 0 ? text.length : quote))
        if (quote < 0) return text.length
        this.#state = 'quote'
        return quote + 1
      }
      case 'quote':
        if (char !== '"') return this.#endField(char, at)
        this.#add('"')
        this.#state = 'quoted'
        return at + 1
      case 'return':
        this.#state = 'start'
        return char === '\n' ? at + 1 : at
      case 'start':
        if (char !== '"') break
        this.#state = 'quoted'
        this.#quoted = true
        return at + 1
      case 'plain':
        break
    }
    END_OF_FIELD.lastIndex = at
    const end = END_OF_FIELD.exec(text)?.index ?? text.length
    this.#add(text.slice(at, end))
    this.#state = 'plain'
    return end === text.length ? end : this.#endField(text[end], end)
  }

  #endField(char: string | undefined, at: number): number {
    if (char === ',') {
      if (this.#fields.push(this.#field) > MAX_FIELDS) throw malformed(this.#path, 'csv', `row ${this.#row} has more than ${MAX_FIELDS} fields`, this.#row)
      this.#field = ''
      this.#state = 'start'
      return at + 1
    }
    if (char !== '\r' && char !== '\n') throw malformed(this.#path, 'csv', `row ${this.#row} goes on after a closing quote`, this.#row, 'double the quotes within a field')
    this.#endRecord()
    this.#state = char === '\r' ? 'return' : 'start'
    return at + 1
  }

  #endRecord(): void {
    this.#fields.push(this.#field)
    const blank = this.#fields.length === 1 && this.#field === '' && !this.#quoted
    if (!blank) {
      this.#records.push(this.#fields)
      this.#row++
    }
    this.#field = ''
    this.#fields = []
    this.#length = 0
    this.#quoted = false
  }

  #add(text: string): void {
    this.#field += text
    this.#length += text.length
    if (this.#length > MAX_ROW_CHARS) throw malformed(this.#path, 'csv', `row ${this.#row} has more than ${MAX_ROW_CHARS} characters`, this.#row, 'look for a quote that does not end')
  }

  #taken(): string[][] {
    const records = this.#records
    this.#records = []
    return records
  }
}
