import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findModel } from '#core/library/models.ts'
import { loadText } from '#core/texts/texts.ts'
import { golden, readTorch, shared } from '../../test/torch.ts'
import { measurePerplexity, perplexityWindows, type PerplexityProtocol, type PerplexityResult } from './perplexity.ts'
import { openSession, type ModelSession } from './session.ts'
import { loadTokenizer } from './tokenizer.ts'
import { tokenStreams } from './windows.ts'

describe('windows of a protocol', () => {
  it('hf-stride scores every token but the first exactly once', () => {
    expect(perplexityWindows({ kind: 'hf-stride', context: 4, stride: 2 }, 9)).toEqual([
      { begin: 0, end: 4, scored: 1 },
      { begin: 2, end: 6, scored: 4 },
      { begin: 4, end: 8, scored: 6 },
      { begin: 6, end: 9, scored: 8 },
    ])
    // A stride of a whole context leaves each window's first token without a prediction; a last window of one token scores nothing.
    expect(perplexityWindows({ kind: 'hf-stride', context: 4, stride: 4 }, 9)).toEqual([
      { begin: 0, end: 4, scored: 1 },
      { begin: 4, end: 8, scored: 5 },
    ])
    expect(perplexityWindows({ kind: 'hf-stride-window-mean', context: 4, stride: 2 }, 3)).toEqual([{ begin: 0, end: 3, scored: 1 }])
    expect(perplexityWindows({ kind: 'hf-stride', context: 4, stride: 2 }, 1)).toEqual([])
  })

  it('disjoint and llama.cpp drop the tail', () => {
    expect(perplexityWindows({ kind: 'disjoint', context: 4 }, 9)).toEqual([
      { begin: 0, end: 4, scored: 1 },
      { begin: 4, end: 8, scored: 5 },
    ])
    expect(perplexityWindows({ kind: 'llama.cpp', context: 512 }, 1100)).toEqual([
      { begin: 0, end: 512, scored: 257 },
      { begin: 512, end: 1024, scored: 769 },
    ])
  })

  it('of lengths that make no sense are refused', () => {
    expect(() => perplexityWindows({ kind: 'disjoint', context: 1 }, 9)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
    expect(() => perplexityWindows({ kind: 'hf-stride', context: 4, stride: 5 }, 9)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
    expect(() => perplexityWindows({ kind: 'hf-stride', context: 4, stride: 0 }, 9)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  })
})

type Case = readonly [string, PerplexityProtocol]
const CASES: readonly Case[] = [
  ['hf-stride:512:256', { kind: 'hf-stride', context: 512, stride: 256 }],
  ['hf-stride:1024:512', { kind: 'hf-stride', context: 1024, stride: 512 }],
  ['hf-stride:1024:512', { kind: 'hf-stride-window-mean', context: 1024, stride: 512 }],
  ['disjoint:512', { kind: 'disjoint', context: 512 }],
  ['disjoint:1024', { kind: 'disjoint', context: 1024 }],
  ['llama.cpp:512', { kind: 'llama.cpp', context: 512 }],
]

async function measure(session: ModelSession, ids: Uint32Array, protocol: PerplexityProtocol, bosId: number | null, signal = new AbortController().signal): Promise<PerplexityResult> {
  const steps = measurePerplexity(session, ids, protocol, { bosId, signal })
  for (let last = -1; ; ) {
    const step = await steps.next()
    if (step.done) return step.value
    expect(step.value.done).toBe(++last)
  }
}

/** Opens a model and the first `tokens` ids of a text, as torch_reference.py had them. */
async function given(model: string, data: string, join: 'file' | 'hf-rows', tokens: number): Promise<{ session: ModelSession; ids: Uint32Array; bosId: number | null }> {
  const folder = await findModel(model)
  const tokenizer = await loadTokenizer(folder)
  const bosId = tokenizer.addsBos ? tokenizer.bosId : null
  const { documents } = await loadText({ data, column: null, join })
  // Enough characters for the ids asked for, with a margin so that the cut does not change them.
  const [stream] = tokenStreams(documents.map((document) => tokenizer.encode(document.slice(0, tokens * 8))), bosId)
  return { session: await openSession(folder, { threads: 1 }), ids: (stream ?? new Uint32Array()).slice(0, tokens), bosId }
}

async function agrees(session: ModelSession, ids: Uint32Array, bosId: number | null, path: string, [name, protocol]: Case, tolerance: number): Promise<PerplexityResult> {
  const { facts } = await readTorch(path)
  const expected = facts.perplexity[name]
  const result = await measure(session, ids, protocol, bosId)
  expect(result.tokens).toBe(expected?.tokens)
  const perplexity = (protocol.kind === 'hf-stride-window-mean' ? expected?.windowMean : expected?.perplexity) ?? NaN
  expect(Math.abs(result.perplexity / perplexity - 1)).toBeLessThan(tolerance)
  expect(result.standardError / result.perplexity).toBeGreaterThan(0.005)
  expect(result.standardError / result.perplexity).toBeLessThan(0.1)
  return result
}

async function largestDifference(nll: Float64Array, path: string): Promise<number> {
  const expected = await (await readTorch(path)).floats('llamacpp.nll')
  expect(nll).toHaveLength(expected.length)
  return nll.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? NaN))), 0)
}

describe('on the demo model, as torch', () => {
  let all: Awaited<ReturnType<typeof given>>
  beforeAll(async () => {
    all = await given('demo', 'demo', 'file', 8192)
  })
  afterAll(() => all.session.release())

  it.each(CASES)('%s, relative 1e-4', async (...protocol) => {
    const result = await agrees(all.session, all.ids, all.bosId, golden('demo-moby'), protocol, 1e-4)
    // F32 sums of two libraries in another order; the reference's losses are F32 themselves.
    if (protocol[1].kind === 'llama.cpp') expect(await largestDifference(result.nll, golden('demo-moby'))).toBeLessThan(1e-4)
  })

  it('refuses a text that is too short, and stops when asked', async () => {
    const { session, ids } = all
    await expect(measure(session, ids.subarray(0, 511), { kind: 'llama.cpp', context: 512 }, 0)).rejects.toThrow(
      expect.objectContaining({ code: 'TEXT_TOO_SHORT', message: expect.stringMatching(/has 511 tokens, a window needs 512/) as string }),
    )
    await expect(measure(session, ids, { kind: 'disjoint', context: 512 }, 0, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
  })
})

const smol = shared('models/SmolLM2-135M-Instruct')
const wiki = shared('data/wikitext-2-raw-v1/wiki.test.raw')
describe.skipIf(!existsSync(smol) || !existsSync(wiki))('on SmolLM2, as torch (skipped without ../shared)', () => {
  let all: Awaited<ReturnType<typeof given>>
  beforeAll(async () => {
    all = await given(smol, wiki, 'hf-rows', 4096)
  })
  afterAll(() => all.session.release())

  const path = shared('fixtures/torch/smollm2-wikitext2')
  const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length

  it('hf-stride, relative 1e-3, and the mean of its windows', async () => {
    const protocol: PerplexityProtocol = { kind: 'hf-stride', context: 512, stride: 256 }
    const { nll } = await agrees(all.session, all.ids, all.bosId, path, ['hf-stride:512:256', protocol], 1e-3)
    let at = 0
    const means = perplexityWindows(protocol, all.ids.length).map(({ scored, end }) => mean(nll.subarray(at, (at += end - scored))))
    const expected = (await readTorch(path)).facts.perplexity['hf-stride:512:256']?.windowMean ?? NaN
    expect(Math.abs(Math.exp(mean(Float64Array.from(means))) / expected - 1)).toBeLessThan(1e-3)
  }, 300_000)

  it('disjoint, relative 1e-3, and within it every loss of llama.cpp, whose windows are the same without BOS', async () => {
    const { nll } = await agrees(all.session, all.ids, all.bosId, path, ['disjoint:512', { kind: 'disjoint', context: 512 }], 1e-3)
    const halves = Float64Array.from(Array.from({ length: 8 }, (_, i) => [...nll.subarray(511 * i + 256, 511 * (i + 1))]).flat())
    expect(await largestDifference(halves, path)).toBeLessThan(3e-4)
    const expected = (await readTorch(path)).facts.perplexity['llama.cpp:512']?.perplexity ?? NaN
    expect(Math.abs(Math.exp(mean(halves)) / expected - 1)).toBeLessThan(1e-3)
  }, 300_000)
})
