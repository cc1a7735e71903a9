import { LabError } from '#core/contract/errors.ts'
import { malformed } from './cursor.ts'
import { MAX_ROW_CHARS, textFirst, type Table } from './table.ts'
import { MAX_UNPACKED_BYTES, textPieces } from './unpack.ts'

/**
 * A table of JSON Lines (jsonlines.org): an object a line, blank lines left out, of a name that is twice in an object the last. Columns are the fields that hold a
 * string in the first quarter of a megabyte; a null is an empty row. Throws LabError MALFORMED_FILE of format `jsonl`, `at` the number of the line, TEXT_TOO_SHORT where there is no row.
 */
export async function openJsonl(path: string): Promise<Table> {
  for await (const batch of objects(path)) {
    if (batch.length === 0) continue
    const names = new Set(batch.flatMap(({ row }) => Object.keys(row).filter((name) => typeof row[name] === 'string')))
    return { columns: textFirst([...names]), rows: null, rowsOf: (column) => rowsOf(path, column) }
  }
  throw new LabError('TEXT_TOO_SHORT', `${path} is empty: name another text`)
}

async function* rowsOf(path: string, column: string): AsyncGenerator<string[]> {
  for await (const batch of objects(path)) {
    yield batch.map(({ row, line }) => {
      const value = Object.hasOwn(row, column) ? row[column] : undefined
      if (value === null) return ''
      if (typeof value !== 'string') throw malformed(path, 'jsonl', `line ${line} has no text ${JSON.stringify(column)}`, line, 'correct the line, or name another column with --column')
      if (!wellFormed(value)) throw malformed(path, 'jsonl', `line ${line} has half of a surrogate pair`, line, 'correct the line')
      return value
    })
  }
}

type Row = { line: number; row: Record<string, unknown> }

async function* objects(path: string): AsyncGenerator<Row[]> {
  let line = 0
  for await (const batch of lines(path)) {
    const rows: Row[] = []
    for (const text of batch) {
      line++
      const json = line === 1 ? text.replace(/^\ufeff/, '') : text
      if (json.trim() !== '') rows.push({ line, row: objectOf(json, path, line) })
    }
    yield rows
  }
}

function objectOf(json: string, path: string, line: number): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    const whole = line === 1 && /^\s*[[{]\s*$/.test(json)
    throw malformed(path, 'jsonl', `line ${line} is not JSON`, line, whole ? 'write one object a line' : 'correct the line')
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw malformed(path, 'jsonl', `line ${line} is no object`, line, 'write one object a line')
}

/** Lines of a text in batches, without their ends; the last need not have one. */
async function* lines(path: string): AsyncGenerator<string[]> {
  let held: string[] = []
  let length = 0
  for await (const piece of textPieces(path, MAX_UNPACKED_BYTES)) {
    const [head = '', ...more] = piece.split('\n')
    held.push(head)
    length += head.length
    if (length > MAX_ROW_CHARS) throw malformed(path, 'jsonl', `a line of more than ${MAX_ROW_CHARS} characters`, 0)
    const last = more.pop()
    if (last === undefined) continue
    yield [held.join(''), ...more]
    held = [last]
    length = last.length
  }
  yield [held.join('')]
}

/** No half of a surrogate pair stands alone: UTF-8 has none. */
function wellFormed(text: string): boolean {
  return !/[\ud800-\udfff]/u.test(text)
}
