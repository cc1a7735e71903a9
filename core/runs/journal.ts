import { closeSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { fileError } from '#core/bytes/file.ts'
import { xxh64 } from '#core/bytes/xxh64.ts'
import type { LabErrorJson } from '#core/contract/errors.ts'
import { LabError } from '#core/contract/errors.ts'
import type { StreamBytes } from '#core/contract/run.ts'

/** Scores of one window: natural-log losses and KL in nats of each scored token, and '1' where the top-1 token agrees. */
export type WindowScores = { nll: number[]; kl: number[]; agree: string }

/** What was measured of one method on one window. */
export type CellRecord = {
  kind: 'cell'
  method: string
  scores: WindowScores
  bytes: { encoded: number; header: number; streams: Record<string, StreamBytes> }
  encodeSeconds: number
  decodeSeconds: number
  /** ErrorSums of layer 0 key, layer 0 value, layer 1 key, … */
  errors: number[][]
}
export type ControlName = 'identity' | 'aa' | 'wrongCache'
export type ControlRecord = { kind: 'control'; control: ControlName; scores: WindowScores; equalBits: boolean | null; batch: number }
export type ReferenceRecord = { kind: 'reference'; nll: number[] }
export type FailureRecord = { kind: 'failure'; method: string; reason: LabErrorJson }
export type JournalRecord = CellRecord | ControlRecord | ReferenceRecord | FailureRecord

/** Seconds spent since the line before, by what they were spent on; `write`: on bringing what came before this line to the disk. */
export type Seconds = { inference: number; encode: number; decode: number; score: number; write: number; total: number }

/** Prefix passes, one row each: the tokens they took in and their wall seconds. */
export type Prefill = { tokens: number; seconds: number }

/** One forward pass and all that came of it: the unit that `kill -9` can cost. `prefill`: the prefix passes since the line before, part of its `seconds`; journals of earlier versions lack it. */
export type JournalLine = { window: number; pass: number; records: JournalRecord[]; seconds: Seconds; prefill?: Prefill }

/**
 * The append-only record of a run (`scores.ndjson`), one line a pass, each written by one call.
 * A torn last line is what a kill left of the pass in flight; it is cut off before anything is appended.
 */
export class Journal {
  readonly #file: number
  readonly #path: string

  private constructor(path: string, file: number) {
    this.#path = path
    this.#file = file
  }

  /** Open for appending; every whole line that is there goes to `replay` first. Throws LabError MALFORMED_FILE on a damaged line before the last. */
  static open(path: string, replay: (line: JournalLine) => void): Journal {
    let whole = 0
    const file = openJournal(path, 'a+')
    try {
      for (const { line, number, end } of linesOf(path, file)) {
        try {
          replay(line)
        } catch (error) {
          throw error instanceof LabError ? error : damaged(path, number)
        }
        whole = end
      }
      ftruncateSync(file, whole)
    } catch (error) {
      closeSync(file)
      throw error
    }
    return new Journal(path, file)
  }

  /** Every whole line that is there now; changes nothing, so that a journal can be read while another process appends to it. Throws as `open`. */
  static *read(path: string): Generator<JournalLine, void> {
    const file = openJournal(path, 'r')
    try {
      for (const { line } of linesOf(path, file)) yield line
    } finally {
      closeSync(file)
    }
  }

  append(line: JournalLine): void {
    const bytes = Buffer.from(seal(line))
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at)
    } catch (error) {
      throw fileError(error, this.#path, 'record a pass')
    }
  }

  /** Bring what was appended to the disk. */
  sync(): void {
    fsyncSync(this.#file)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** A line as it is stored, with the XXH64 of its JSON, so that a changed digit is not taken for a measurement. */
function seal(line: JournalLine): string {
  const json = JSON.stringify(line)
  return `{"xxh64":"${xxh64(Buffer.from(json))}","line":${json}}\n`
}

function unseal(text: string): JournalLine {
  const { xxh64: sum, line } = JSON.parse(text) as { xxh64: string; line: JournalLine }
  if (xxh64(Buffer.from(JSON.stringify(line))) !== sum) throw new Error('checksum')
  return line
}

function openJournal(path: string, flags: 'a+' | 'r'): number {
  try {
    return openSync(path, flags)
  } catch (error) {
    throw fileError(error, path, 'open the record of the run')
  }
}

function* linesOf(path: string, file: number): Generator<{ line: JournalLine; number: number; end: number }, void> {
  let number = 0
  for (const { text, end } of wholeLines(file)) {
    number++
    let line: JournalLine
    try {
      line = unseal(text)
    } catch {
      throw damaged(path, number)
    }
    yield { line, number, end }
  }
}

function damaged(path: string, number: number): LabError {
  return new LabError('MALFORMED_FILE', `${path}: line ${number} is damaged: start the run again in a new folder`, { format: 'kvlab.journal', reason: 'InvalidLine', at: number })
}

/** Bytes read at a time while replaying. */
const CHUNK_BYTES = 1 << 20

/** Lines that end in a newline, with the byte offset behind each; bytes after the last newline are not a line. */
function* wholeLines(file: number): Generator<{ text: string; end: number }> {
  const chunk = Buffer.alloc(CHUNK_BYTES)
  let held: Buffer[] = []
  for (let position = 0; ; ) {
    const length = readSync(file, chunk, 0, CHUNK_BYTES, position)
    if (length === 0) return
    let begin = 0
    for (let newline = chunk.indexOf(10); newline !== -1 && newline < length; newline = chunk.indexOf(10, begin)) {
      held.push(chunk.subarray(begin, newline))
      yield { text: Buffer.concat(held).toString('utf8'), end: position + newline + 1 }
      held = []
      begin = newline + 1
    }
    held.push(Buffer.from(chunk.subarray(begin, length)))
    position += length
  }
}
