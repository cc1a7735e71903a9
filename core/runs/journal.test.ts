import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { Journal, type JournalLine } from './journal.ts'

const line = (window: number, pass = 0): JournalLine => ({
  window,
  pass,
  records: [{ kind: 'reference', nll: [0.1 + window, Math.PI * window, 1 / 3] }],
  seconds: { inference: 1, encode: 0, decode: 0, score: 0, write: 0, total: 1 },
})

describe('Journal', () => {
  let folder = ''
  let path = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kvlab-journal-'))
    path = join(folder, 'scores.ndjson')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const replay = (): JournalLine[] => {
    const lines: JournalLine[] = []
    Journal.open(path, (each) => lines.push(each)).close()
    return lines
  }

  it('gives back what was appended, to the last bit', () => {
    const journal = Journal.open(path, () => {})
    const lines = [line(0), line(1), line(2, 7)]
    lines.forEach((each) => journal.append(each))
    journal.close()
    expect(replay()).toEqual(lines)
  })

  it('cut off at any byte, keeps every whole line and appends cleanly behind them', () => {
    const journal = Journal.open(path, () => {})
    ;[line(0), line(1), line(2)].forEach((each) => journal.append(each))
    journal.close()
    const whole = readFileSync(path)
    const ends = [...whole.keys()].filter((i) => whole[i] === 10).map((i) => i + 1)
    for (let length = 0; length <= whole.length; length += 13) {
      writeFileSync(path, whole)
      truncateSync(path, length)
      const again = Journal.open(path, () => {})
      again.append(line(9))
      again.close()
      const kept = ends.filter((end) => end <= length).length
      expect(replay().map((each) => each.window)).toEqual([...[0, 1, 2].slice(0, kept), 9])
    }
  })

  it('reads lines longer than a chunk', () => {
    const journal = Journal.open(path, () => {})
    const long: JournalLine = { ...line(0), records: [{ kind: 'reference', nll: Array.from({ length: 160_000 }, (_, i) => i / 7) }] }
    journal.append(long)
    journal.append(line(1))
    journal.close()
    expect(statSync(path).size).toBeGreaterThan(2 ** 21)
    expect(replay()).toEqual([long, line(1)])
  })

  it('refuses a damaged line that is not the last', () => {
    const journal = Journal.open(path, () => {})
    journal.append(line(0))
    journal.close()
    appendFileSync(path, '{"window":1,\n')
    appendFileSync(path, '{}\n')
    expect(() => replay()).toThrow(LabError)
    expect(() => replay()).toThrow(/line 2 is damaged/)
  })

  it('refuses a line in which any byte was changed', () => {
    const journal = Journal.open(path, () => {})
    ;[line(0), line(1)].forEach((each) => journal.append(each))
    journal.close()
    const whole = readFileSync(path)
    for (let at = 0; at < whole.indexOf(10); at++) {
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ 1
      writeFileSync(path, changed)
      expect(() => replay(), `byte ${at}`).toThrow(LabError)
    }
  })
})
