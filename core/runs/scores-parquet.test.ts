import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { describe, expect, it } from 'vitest'
import { scoreChunks } from './scores-parquet.ts'
import { Tally } from './tally.ts'
import type { WindowScores } from './journal.ts'

const [PREFIX, CONTEXT] = [4, 10]
const TOKENS = CONTEXT - PREFIX - 1
const SECONDS = { inference: 0, encode: 0, decode: 0, score: 0, write: 0, total: 0 }
const BYTES = { encoded: 1, header: 1, streams: {} }

/** Doubles that only a lossless file keeps. */
function awkward(from: number): number[] {
  return Array.from({ length: TOKENS }, (_, i) => [0, Number.MIN_VALUE, 1 / 3, -1e-7, 700.1][(from + i) % 5]! * (from + 1))
}

function scores(from: number): WindowScores {
  return { nll: awkward(from), kl: awkward(from + 2), agree: Array.from({ length: TOKENS }, (_, i) => ((from + i) % 3 === 0 ? '0' : '1')).join('') }
}

/** Three windows; `b` was scored on the first and the last only, the controls on the first. */
function tally(methods: string[], windows = 3): Tally {
  const filled = new Tally(methods, windows, TOKENS, 1)
  for (let window = 0; window < windows; window++) {
    filled.add({ window, pass: 0, seconds: SECONDS, records: [{ kind: 'reference', nll: awkward(window) }] })
    const scored = methods.filter((method) => method !== 'b' || window !== 1)
    filled.add({
      window,
      pass: 2,
      seconds: SECONDS,
      records: scored.map((method, i) => ({ kind: 'cell', method, scores: scores(10 * i + window), bytes: BYTES, encodeSeconds: 0, decodeSeconds: 0, errors: [] })),
    })
  }
  filled.add({ window: 0, pass: 1, seconds: SECONDS, records: [{ kind: 'control', control: 'aa', scores: scores(90), equalBits: null, batch: 2 }] })
  return filled
}

function ids(windows: number): Uint32Array[] {
  return Array.from({ length: windows }, (_, window) => Uint32Array.from({ length: CONTEXT }, (_, i) => 1000 * window + i))
}

function joined(pieces: Iterable<Uint8Array>): ArrayBuffer {
  const bytes = Buffer.concat([...pieces])
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
}

describe('scores.parquet', () => {
  it('holds every scored token exactly', async () => {
    const file = joined(scoreChunks(tally(['int4:g64+lz4', 'b']), ids(3), PREFIX))
    const expected = (method: string, window: number, from: number): object[] =>
      scores(from).nll.map((nll, i) => ({
        method,
        window,
        position: PREFIX + 1 + i,
        token_id: 1000 * window + PREFIX + 1 + i,
        nll_ref: awkward(window)[i],
        nll_q: nll,
        kl: scores(from).kl[i],
        agree: scores(from).agree[i] === '1',
      }))
    const rows = [expected('int4:g64+lz4', 0, 0), expected('int4:g64+lz4', 1, 1), expected('int4:g64+lz4', 2, 2), expected('b', 0, 10), expected('b', 2, 12), expected('control:aa', 0, 90)]
    expect(await parquetReadObjects({ file })).toEqual(rows.flat())
  })

  it('says what it is: schema, types, no nulls', () => {
    const metadata = parquetMetadata(joined(scoreChunks(tally(['b']), ids(3), PREFIX)))
    expect(metadata.key_value_metadata).toEqual([{ key: 'schema', value: 'kvlab.scores/1' }])
    expect(metadata.schema.slice(1).map(({ name, type, repetition_type }) => `${name} ${type} ${repetition_type}`)).toEqual([
      'method BYTE_ARRAY REQUIRED',
      'window INT32 REQUIRED',
      'position INT32 REQUIRED',
      'token_id INT32 REQUIRED',
      'nll_ref DOUBLE REQUIRED',
      'nll_q DOUBLE REQUIRED',
      'kl DOUBLE REQUIRED',
      'agree BOOLEAN REQUIRED',
    ])
  })

  it('writes long methods in several row groups, one piece each', async () => {
    const windows = 14_000
    const pieces = [...scoreChunks(tally(['a'], windows), ids(windows), PREFIX)]
    // 65,536 rows are 13,107 windows of 5 tokens; the rest, one window of a control and the footer follow.
    expect(pieces).toHaveLength(4)
    const file = joined(pieces)
    expect(parquetMetadata(file).row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([65_535, 4465, 5])
    const rows = await parquetReadObjects({ file, columns: ['window', 'nll_q'] })
    expect(rows).toHaveLength(70_005)
    expect(rows[65_535]).toEqual({ window: 13_107, nll_q: scores(13_107).nll[0] })
  })

  it('is a valid file where nothing was scored', async () => {
    const file = joined(scoreChunks(new Tally(['a'], 2, TOKENS, 1), ids(2), PREFIX))
    expect(await parquetReadObjects({ file })).toEqual([])
  })
})
