import fc from 'fast-check'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import type { TokenTable } from '#core/contract/library.ts'
import { samplePlan } from '../../test/sample-result.ts'
import type { WindowScores } from './journal.ts'
import { scoreChunks } from './scores-parquet.ts'
import { demoSpec } from './spec.ts'
import { RunFolder } from './store.ts'
import { Tally } from './tally.ts'
import { tokenTable } from './token-table.ts'

const SECONDS = { inference: 0, encode: 0, decode: 0, score: 0, write: 0, total: 0 }
const TOKENS = 31
const never = new AbortController().signal

/** KLs of a window of a method: all different but for one zero a window. */
const klOf = (method: number, window: number, i: number): number => (i === 0 ? 0 : (((7 * i + 13 * window + method) % 97) + 1) / (97 * 10 ** (i % 5)) + 1e-7 * i)
const scores = (method: number, window: number): WindowScores => ({
  nll: Array.from({ length: TOKENS }, (_, i) => i + window / 100),
  kl: Array.from({ length: TOKENS }, (_, i) => klOf(method, window, i)),
  agree: Array.from({ length: TOKENS }, (_, i) => (i % 2 === 0 ? '1' : '0')).join(''),
})

let home = ''
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-tokens-'))
})
afterAll(() => rmSync(home, { recursive: true }))

/** A run of `methods` that is done, with so many windows in its scores. */
async function run(name: string, methods: string[], windows: number): Promise<RunFolder> {
  const tally = new Tally(methods, windows, TOKENS, 1)
  for (let window = 0; window < windows; window++) {
    tally.add({ window, pass: 0, seconds: SECONDS, records: [{ kind: 'reference', nll: scores(0, window).nll }] })
    const bytes = { encoded: 1, header: 1, streams: {} }
    tally.add({ window, pass: 2, seconds: SECONDS, records: methods.map((method, i) => ({ kind: 'cell', method, scores: scores(i, window), bytes, encodeSeconds: 0, decodeSeconds: 0, errors: [] })) })
  }
  tally.add({ window: 0, pass: 1, seconds: SECONDS, records: [{ kind: 'control', control: 'aa', scores: scores(5, 0), equalBits: null, batch: 2 }] })
  const plan = samplePlan(methods)
  const head = { schema: 'kvlab.head/1', id: name, createdAt: '', plan: { ...plan, protocol: { ...plan.protocol, windows, scoredTokens: windows * TOKENS } } } as const
  const folder = await RunFolder.create(join(home, name), demoSpec({ data: '/no/such/text' }), head)
  const ids = Array.from({ length: windows }, (_, window) => Uint32Array.from({ length: 64 }, (_, i) => 100 * window + i))
  await folder.writeScores(scoreChunks(tally, ids, 32))
  return folder
}

/** Rows of a table: window, position, KL. */
const rowsOf = ({ columns }: TokenTable): number[][] => columns.kl.map((kl, i) => [columns.window[i] ?? -1, columns.position[i] ?? -1, kl])

describe('tokenTable', () => {
  it('has the worst tokens of the one method, first the worst', async () => {
    const folder = await run('small', ['a', 'b'], 5)
    const all = Array.from({ length: 5 * TOKENS }, (_, i) => [Math.floor(i / TOKENS), 33 + (i % TOKENS), klOf(1, Math.floor(i / TOKENS), i % TOKENS)])
    const sorted = [...all].sort((x, y) => (y[2] ?? 0) - (x[2] ?? 0))
    const table = await tokenTable(home, folder, 'b', 20, never)
    expect(table.tokens).toBe(5 * TOKENS)
    expect(rowsOf(table)).toEqual(sorted.slice(0, 20))
    expect(rowsOf(await tokenTable(home, folder, 'b', 100_000, never))).toEqual(sorted)
    const { columns } = table
    expect(new Set(Object.values(columns).map(({ length }) => length))).toEqual(new Set([20]))
    for (const [i, window] of columns.window.entries()) {
      const at = (columns.position[i] ?? 0) - 33
      expect(columns.tokenId[i]).toBe(100 * window + 33 + at)
      expect([columns.nllRef[i], columns.nllQ[i], columns.agree[i]]).toEqual([at + window / 100, at + window / 100, at % 2 === 0])
      // There is no tokenizer of this run: the ids stand for the text.
      expect(columns.text[i]).toBe(`#${columns.tokenId[i]}`)
      // … and its text is another one: nothing is known of the prefix.
      expect(columns.context[i]).toBe('')
    }
  })

  it('counts every token in the histogram, however few rows are asked for', async () => {
    const folder = await run('counted', ['a', 'b'], 4)
    const { klHistogram, columns, tokens } = await tokenTable(home, folder, 'a', 1, never)
    expect(columns.kl).toHaveLength(1)
    expect(klHistogram.zeros).toBe(4)
    expect(klHistogram.counts.reduce((sum, count) => sum + count, 0) + klHistogram.zeros).toBe(tokens)
    expect(klHistogram.edges).toHaveLength(klHistogram.counts.length + 1)
  })

  it('reads controls too, and no method that the run does not have', async () => {
    const folder = await run('controls', ['a'], 3)
    expect(await tokenTable(home, folder, 'control:aa', 100, never)).toMatchObject({ method: 'control:aa', tokens: TOKENS })
    expect(await tokenTable(home, folder, 'control:wrongCache', 100, never)).toMatchObject({ tokens: 0, columns: { kl: [] } })
    await expect(tokenTable(home, folder, 'b', 100, never)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('goes over several row groups', async () => {
    const windows = 2300
    const folder = await run('long', ['a', 'b'], windows)
    const table = await tokenTable(home, folder, 'b', 50, never)
    expect(table.tokens).toBe(windows * TOKENS)
    expect(table.tokens).toBeGreaterThan(65_536)
    expect(Math.max(...table.columns.window)).toBeGreaterThan(65_536 / TOKENS)
    expect(table.columns.kl).toEqual([...table.columns.kl].sort((a, b) => b - a))
  })

  it('ends when nobody wants it any more', async () => {
    const folder = await run('aborted', ['a'], 3)
    await expect(tokenTable(home, folder, 'a', 10, AbortSignal.abort(new LabError('CANCELLED', 'left')))).rejects.toMatchObject({ code: 'CANCELLED' })
  })

  it('says that there are no scores', async () => {
    const plan = samplePlan(['a'])
    const folder = await RunFolder.create(join(home, 'nothing'), demoSpec(), { schema: 'kvlab.head/1', id: 'x', createdAt: '', plan })
    await expect(tokenTable(home, folder, 'a', 10, never)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })

  it('gives a table or a LabError of a file in which anything was changed', async () => {
    const folder = await run('fuzz', ['a', 'b'], 3)
    const path = join(folder.path, 'scores.parquet')
    const whole = readFileSync(path)
    let refused = 0
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 3 }), async (at, byte, how) => {
        const changed = how === 0 ? whole.subarray(0, at % whole.length) : Buffer.from(whole)
        // The footer is where a small change does the most.
        if (how > 0) changed[how === 1 ? at % whole.length : whole.length - 1 - (at % Math.floor(whole.length / 3))] = byte
        writeFileSync(path, changed)
        await tokenTable(home, folder, 'b', 100, never).then(
          ({ tokens }) => expect(tokens).toBeLessThanOrEqual(3 * TOKENS),
          (error: unknown) => {
            refused++
            expect(error).toBeInstanceOf(LabError)
          },
        )
      }),
      { numRuns: 400 },
    )
    expect(refused).toBeGreaterThan(50)
  })

  it('leaves no failure of a read behind, which would end the engine', async () => {
    const folder = await run('stray', ['a', 'b'], 3)
    const path = join(folder.path, 'scores.parquet')
    const whole = readFileSync(path)
    const stray: unknown[] = []
    const note = (error: unknown): void => void stray.push(error)
    process.on('unhandledRejection', note)
    for (let at = Math.floor((2 * whole.length) / 3); at < whole.length; at++) {
      const changed = Buffer.from(whole)
      changed[at] = 1
      writeFileSync(path, changed)
      await tokenTable(home, folder, 'b', 100, never).catch((error: unknown) => expect(error).toBeInstanceOf(LabError))
      await new Promise((resolve) => setImmediate(resolve))
    }
    process.off('unhandledRejection', note)
    expect(stray).toEqual([])
  })
})
