import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { findModel } from '#core/library/models.ts'
import { loadText } from '#core/texts/texts.ts'
import { readTorch, shared, type TorchFixture } from '../../test/torch.ts'
import { InPass } from './in-pass.ts'
import type { TokenScores } from './score.ts'
import { openSession, type ModelSession } from './session.ts'
import { loadTokenizer } from './tokenizer.ts'
import { planWindows } from './windows.ts'

/** From the least harmful to the most, each at least three times the one before; `means` and `logs`: how far the mean KL may be from another program's, and the mean of its logarithm. */
const METHODS = [
  { method: 'q8_0:interleaved:hadamard/q8_0:hadamard', means: 0.3, logs: 0.15 },
  // Values alone hardly amplify what two programs round differently.
  { method: 'none/q4_0', means: 0.06, logs: 0.06 },
  { method: 'q4_0:interleaved:hadamard/q4_0:hadamard', means: 0.2, logs: 0.1 },
  { method: 'q4_0:interleaved/q4_0', means: 0.2, logs: 0.1 },
] as const
/** Within 15 % of llama.cpp only where queries are rounded as its kernel rounds them. */
const ROUNDED = ['q8_0:interleaved:hadamard/q8_0:hadamard', 'q8_0:interleaved/q8_0'] as const
const WINDOWS = 2

/** The part of llama.cpp's own measurements that is looked at; `cumulative` after each window. */
type Row = { weights: string; rotation: string; key: string; value: string; flashAttention: string; cumulative: { perplexity: number; kl: number }[] }

const smol = shared('models/SmolLM2-135M-Instruct')
const wiki = shared('data/wikitext-2-raw-v1/wiki.test.raw')
const llamaCpp = shared('fixtures/llamacpp/results.json')
describe.skipIf(![smol, wiki, llamaCpp].every((path) => existsSync(path)))('in-pass on SmolLM2 as llama.cpp and torch have it (skipped without ../shared)', () => {
  let session: ModelSession
  let fixture: TorchFixture
  let rows: Row[]
  const own = new Map<string, TokenScores[]>()
  const reference: number[] = []

  beforeAll(async () => {
    session = await openSession(await findModel(smol), { threads: 2, layered: true })
    fixture = await readTorch(shared('fixtures/torch/smollm2-llamacpp-chunks'))
    rows = (JSON.parse(await readFile(llamaCpp, 'utf8')) as { rows: Row[] }).rows.filter(({ weights }) => weights.startsWith('F32'))
    reference.push(...(await measure(session, METHODS.map(({ method }) => method), own)))
  }, 600_000)
  afterAll(() => session.release())

  /** Adds the scores of each method on each window to `into`; the losses without any. */
  async function measure(of: ModelSession, methods: readonly string[], into: Map<string, TokenScores[]>): Promise<number[]> {
    const losses: number[] = []
    const mode = new InPass(of, fixture.facts.prefix, (cache, method, into) => void decodeKv(encodeKv(cache, method).bytes, into))
    for (const ids of fixture.windows.slice(0, WINDOWS)) {
      const unharmed = await mode.reference(ids)
      losses.push(...unharmed.nll)
      const made = await mode.score(ids, methods.map((method) => readMethod(method)), unharmed)
      for (const [index, method] of methods.entries()) {
        const scores = made[index]?.scores ?? new LabError('INTERNAL', 'no row')
        if (scores instanceof LabError) throw scores
        into.set(method, [...(into.get(method) ?? []), scores])
      }
    }
    return losses
  }

  const klOf = (method: string, of = own): number[] => (of.get(method) ?? []).flatMap(({ kl }) => [...kl])
  const first = async (name: string): Promise<number[]> => [...(await fixture.floats(`in-pass.${name}`)).slice(0, reference.length)]
  const after = (row: Row | undefined): { perplexity: number; kl: number } => row?.cumulative[WINDOWS - 1] ?? { perplexity: NaN, kl: NaN }

  it('the tokens are theirs', async () => {
    const { documents } = await loadText({ data: wiki, column: null, join: 'file' })
    const tokenizer = await loadTokenizer(await findModel(smol))
    const ids = tokenizer.encode(documents[0]?.slice(0, 30_000) ?? '')
    expect(tokenizer.addsBos).toBe(false)
    expect(planWindows([ids], { contextLength: 512, advance: 512, bosId: null, windows: WINDOWS })).toEqual(fixture.windows.slice(0, WINDOWS))
  })

  it('so are the losses without compression: each by 1e-3 of torch’s, perplexity by 0.1 % of llama.cpp’s', async () => {
    const torch = await first('none.nll')
    expect(reference).toHaveLength(WINDOWS * 255)
    expect(Math.max(...reference.map((nll, i) => Math.abs(nll - (torch[i] ?? NaN))))).toBeLessThan(1e-3)
    expect(Math.exp(mean(reference)) / after(rows.find(({ key, flashAttention }) => key === 'f32' && flashAttention === 'off')).perplexity).toBeCloseTo(1, 3)
  })

  it.each(METHODS)('$method costs what it costs in torch', async ({ method, means, logs }) => {
    const torch = await first(`${method}.kl`)
    const kl = klOf(method)
    expect(Math.abs(mean(kl) / mean(torch) - 1)).toBeLessThan(means)
    expect(Math.abs(mean(kl.map((value, i) => Math.log(Math.max(value, 1e-9) / Math.max(torch[i] ?? NaN, 1e-9)))))).toBeLessThan(logs)
  })

  it.each(METHODS)('$method costs no more than in llama.cpp', ({ method, means }) => {
    const [key = '', value = ''] = method.split('/').map((side) => side.split(':')[0] ?? '')
    const rotation = method.includes('hadamard') ? 'on' : 'off'
    const { kl } = after(rows.find((row) => row.key === key.replace('none', 'f16') && row.value === value && row.rotation === rotation))
    const ratio = mean(klOf(method)) / kl
    expect(ratio).toBeLessThan(1 + means)
    // Its kernel also rounds the query to 8 bits, which is much beside 8-bit keys and little beside 4-bit ones.
    if (key !== 'q8_0') expect(ratio).toBeGreaterThan(1 - means)
  })

  it('q8_0 costs what it costs in llama.cpp where queries are rounded too', async () => {
    const rounding = await openSession(await findModel(smol), { threads: 2, layered: true, queries: true })
    const rounded = new Map<string, TokenScores[]>()
    await measure(rounding, ROUNDED, rounded).finally(() => rounding.release())
    for (const method of ROUNDED) {
      const rotation = method.includes('hadamard') ? 'on' : 'off'
      const { kl } = after(rows.find((row) => row.key === 'q8_0' && row.value === 'q8_0' && row.rotation === rotation))
      expect(Math.abs(mean(klOf(method, rounded)) / kl - 1), method).toBeLessThan(0.15)
    }
  }, 600_000)

  it('the methods stand in the same order', () => {
    const costs = METHODS.map(({ method }) => mean(klOf(method)))
    costs.slice(1).forEach((cost, i) => expect(cost).toBeGreaterThan(2 * (costs[i] ?? NaN)))
  })
})

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
