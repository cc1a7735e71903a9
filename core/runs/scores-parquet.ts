import { ByteWriter, ParquetWriter, schemaFromColumnData, type ColumnSource } from 'hyparquet-writer'
import type { ScoreTable, Tally } from './tally.ts'

/** Rows of a row group: enough to read quickly, few enough that writing one needs only some MB. */
const GROUP_ROWS = 65_536

/**
 * The per-token scores of a run as the pieces of one Parquet file, a row group or less at a time: for each method, then each control
 * (named `control:identity`, `control:aa`, `control:wrongCache`), the windows that were scored and their tokens in order.
 * Columns, none nullable: `method` string; `window`, `position` (in the window, from 0) and `token_id` INT32; `nll_ref`, `nll_q` and
 * `kl` DOUBLE, in nats, exactly as scored; `agree` BOOLEAN, the most likely token is the same. File metadata: `schema` = `kvlab.scores/1`.
 * `windows`: token ids of each window; the first scored token is at `prefixLength + 1`.
 */
export function* scoreChunks(tally: Tally, windows: readonly Uint32Array[], prefixLength: number): Generator<Uint8Array, void> {
  const writer = new PieceWriter()
  const file = new ParquetWriter({
    writer,
    schema: schemaFromColumnData({ columnData: columnsOf('', tally.reference, tally.reference.nll, [], windows, prefixLength) }),
    codec: 'SNAPPY',
    kvMetadata: [{ key: 'schema', value: 'kvlab.scores/1' }],
    createdBy: 'kvlab',
  })
  const controls = [...tally.controls].map(([name, control]) => [`control:${name}`, control.scores] as const)
  const methods = [...tally.methods].map(([name, method]) => [name, method.scores] as const)
  const groupWindows = Math.max(1, Math.floor(GROUP_ROWS / tally.reference.tokensPerWindow))
  for (const [name, scores] of [...methods, ...controls]) {
    const done = scores.windows()
    for (let i = 0; i < done.length; i += groupWindows) {
      const columnData = columnsOf(name, scores, tally.reference.nll, done.slice(i, i + groupWindows), windows, prefixLength)
      void file.write({ columnData, rowGroupSize: GROUP_ROWS + tally.reference.tokensPerWindow })
      yield writer.take()
    }
  }
  void file.finish()
  yield writer.take()
}

/** Collects what is written until it is taken. */
class PieceWriter extends ByteWriter {
  take(): Uint8Array {
    const piece = this.getBytes().slice()
    this.index = 0
    return piece
  }
}

/** The columns of some windows of one method. */
function columnsOf(name: string, scores: ScoreTable, nllRef: Float64Array, indices: readonly number[], windows: readonly Uint32Array[], prefixLength: number): ColumnSource[] {
  const { tokensPerWindow } = scores
  const first = prefixLength + 1
  const rows = indices.length * tokensPerWindow
  const [window, position, token] = [new Int32Array(rows), new Int32Array(rows), new Int32Array(rows)]
  const [reference, nll, kl] = [new Float64Array(rows), new Float64Array(rows), new Float64Array(rows)]
  const agree = new Array<boolean>(rows)
  indices.forEach((index, i) => {
    const to = i * tokensPerWindow
    const [begin, end] = [index * tokensPerWindow, (index + 1) * tokensPerWindow]
    window.fill(index, to, to + tokensPerWindow)
    position.set(Int32Array.from({ length: tokensPerWindow }, (_, j) => first + j), to)
    token.set((windows[index] ?? new Uint32Array()).subarray(first, first + tokensPerWindow), to)
    reference.set(nllRef.subarray(begin, end), to)
    nll.set(scores.nll.subarray(begin, end), to)
    kl.set(scores.kl.subarray(begin, end), to)
    scores.agree.subarray(begin, end).forEach((same, j) => (agree[to + j] = same === 1))
  })
  return [
    { name: 'method', data: new Array<string>(rows).fill(name), type: 'STRING', nullable: false },
    { name: 'window', data: window, type: 'INT32', nullable: false },
    { name: 'position', data: position, type: 'INT32', nullable: false },
    { name: 'token_id', data: token, type: 'INT32', nullable: false },
    // Losses hardly repeat: looking for a dictionary would only cost time.
    { name: 'nll_ref', data: reference, type: 'DOUBLE', encoding: 'PLAIN', nullable: false },
    { name: 'nll_q', data: nll, type: 'DOUBLE', encoding: 'PLAIN', nullable: false },
    { name: 'kl', data: kl, type: 'DOUBLE', encoding: 'PLAIN', nullable: false },
    { name: 'agree', data: agree, type: 'BOOLEAN', nullable: false },
  ]
}
