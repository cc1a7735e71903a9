import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { findModel } from '#core/library/models.ts'
import { agrees, DEEP_BOUNDS } from '../../test/torch-agrees.ts'
import { golden, readTorch, shared, type TorchFixture } from '../../test/torch.ts'
import { InPass } from './in-pass.ts'
import { differingLayer, type Restore, type WindowMode } from './mode.ts'
import type { TokenScores } from './score.ts'
import { openSession, type ModelSession } from './session.ts'
import { Streaming } from './streaming.ts'

const restore: Restore = (cache, method, into) => void decodeKv(encodeKv(cache, method).bytes, into)

/** Per-token scores of each method over the first windows; every row's settled values are held against one file of the whole cache. */
async function scored(mode: WindowMode, windows: readonly Uint32Array[], methods: readonly string[], batch: number): Promise<Map<string, TokenScores>> {
  const parts = new Map<string, TokenScores[]>(methods.map((method) => [method, []]))
  for (const ids of windows) {
    const reference = await mode.reference(ids)
    for (let first = 0; first < methods.length; first += batch) {
      const group = methods.slice(first, first + batch)
      const rows = await mode.score(ids, group.map((text) => readMethod(text)), reference)
      for (const [index, text] of group.entries()) {
        const row = rows[index]
        const scores = row?.scores ?? new LabError('INTERNAL', 'no row')
        if (scores instanceof LabError || !row) throw scores instanceof LabError ? scores : new Error('no row')
        expect(Math.min(...row.settled.key), text).toBeGreaterThan(ids.length / 2)
        expect(differingLayer(row, decodeKv(encodeKv(row.original, readMethod(text)).bytes).arrays), text).toBe(null)
        parts.get(text)?.push(scores)
      }
    }
  }
  return new Map([...parts].map(([text, list]) => [text, { nll: joined(list, 'nll'), kl: joined(list, 'kl'), agree: Uint8Array.from(list.flatMap(({ agree }) => [...agree])) }]))
}

function joined(list: readonly TokenScores[], field: 'nll' | 'kl'): Float64Array {
  return Float64Array.from(list.flatMap((scores) => [...scores[field]]))
}

async function agreeAll(fixture: TorchFixture, name: 'in-pass' | 'streaming', scores: ReadonlyMap<string, TokenScores>, bounds?: typeof DEEP_BOUNDS): Promise<void> {
  for (const [method, own] of scores) {
    await agrees(fixture, name, method, own, bounds).catch((error: unknown) => {
      throw new Error(`${method}: ${error instanceof Error ? error.message : String(error)}`)
    })
  }
  const none = scores.get('none')
  expect(new Set(none?.kl)).toEqual(new Set([0]))
  expect(new Set(none?.agree)).toEqual(new Set([1]))
}

const methodsOf = (fixture: TorchFixture, mode: string): string[] => Object.keys(fixture.facts.modes[mode] ?? {})

describe('modes on the demo model', () => {
  let session: ModelSession
  let fixture: TorchFixture
  beforeAll(async () => {
    session = await openSession(await findModel('demo'), { threads: 1, layered: true })
    fixture = await readTorch(golden('demo-moby'))
  })
  afterAll(() => session.release())
  const prefix = (): number => fixture.facts.prefix

  it('in-pass as torch, every method of the fixture', async () => {
    const methods = methodsOf(fixture, 'in-pass')
    expect(methods).toHaveLength(8)
    await agreeAll(fixture, 'in-pass', await scored(new InPass(session, prefix(), restore), fixture.windows.slice(0, 4), methods, 4))
  })

  it('streaming as torch, every method of the fixture', async () => {
    const methods = methodsOf(fixture, 'streaming')
    expect(methods).toHaveLength(4)
    await agreeAll(fixture, 'streaming', await scored(new Streaming(session, prefix(), 64, restore), fixture.windows.slice(0, 4), methods, 4))
  })

  it('the reference of every mode is the uncut pass of the window', async () => {
    const ids = fixture.windows[1] ?? new Uint32Array()
    const past = session.past(1, prefix())
    past.fill(0, await session.prefill(ids.subarray(0, prefix())))
    const uncut = (await session.reference(past, ids.subarray(prefix()))).nll.slice()
    for (const mode of [new InPass(session, prefix(), restore), new Streaming(session, prefix(), 64, restore), new Streaming(session, prefix(), 100, restore)]) {
      const own = (await mode.reference(ids)).nll
      expect(Math.max(...own.map((nll, i) => Math.abs(nll - (uncut[i] ?? NaN))))).toBeLessThan(1e-5)
    }
  })

  it('handoff is streaming with the prefix fed at once, and the rest too', async () => {
    const ids = fixture.windows[0] ?? new Uint32Array()
    const methods = ['int4:g64', 'q4_0@sinks4', 'int2:g32:asym@recent32', 'none'].map((text) => readMethod(text))
    const mode = new Streaming(session, prefix(), prefix(), restore)
    const reference = await mode.reference(ids)
    const streamed = await mode.score(ids, methods, reference)
    const past = session.past(methods.length, prefix())
    const cache = await session.prefill(ids.subarray(0, prefix()))
    methods.forEach((method, row) => decodeKv(encodeKv(cache, method).bytes, past.row(row)))
    const handed = await session.score(past, ids.subarray(prefix()), reference)
    expect(streamed.map(({ scores }) => scores)).toEqual(handed)
  })

  it('in-pass is streaming by single tokens but for the own token', async () => {
    const ids = (fixture.windows[0] ?? new Uint32Array()).slice(0, 48)
    const method = readMethod('q4_0')
    const means: number[] = []
    for (const mode of [new InPass(session, 24, restore), new Streaming(session, 24, 1, restore)]) {
      const [row] = await mode.score(ids, [method], await mode.reference(ids))
      const scores = row?.scores ?? new LabError('INTERNAL', 'no row')
      if (scores instanceof LabError) throw scores
      means.push(scores.kl.reduce((sum, kl) => sum + kl, 0) / scores.kl.length)
    }
    const [inPass = NaN, streaming = NaN] = means
    expect(inPass).toBeGreaterThan(0)
    expect(Math.abs(inPass - streaming) / inPass).toBeLessThan(0.5)
    expect(inPass).not.toBe(streaming)
  })

  it('streaming flushes when the method says so, each side by its own rule', async () => {
    const ids = (fixture.windows[0] ?? new Uint32Array()).slice(0, 128)
    const mode = new Streaming(session, 64, 24, restore)
    const method = readMethod('kivi2:g32:r32')
    const [row] = await mode.score(ids, [method], await mode.reference(ids))
    // The last block is fed after 120 tokens: 96 keys are three groups, and of the values all but the last 32 are due.
    expect(row?.settled).toEqual({ key: Array(6).fill(96), value: Array(6).fill(88) })
    expect(row?.scores).not.toBeInstanceOf(LabError)
    if (!row) return
    expect(differingLayer(row, decodeKv(encodeKv(row.original, method).bytes).arrays)).toBe(null)
    const size = session.info.headDim
    const [made, attended] = [row.original.value[2], row.attended.value[2]]
    expect(attended?.slice(88 * size, 128 * size)).toEqual(made?.slice(88 * size, 128 * size))
    expect(attended?.slice(87 * size, 88 * size)).not.toEqual(made?.slice(87 * size, 88 * size))
  })

  it('streaming flushes each layer by its own rule', async () => {
    const ids = (fixture.windows[0] ?? new Uint32Array()).slice(0, 128)
    const mode = new Streaming(session, 64, 24, restore)
    const method = readMethod('int4:g64@sinks2@layers0@layers1=kivi2:g32:r32@layers-1=none/kivi4:g32:r64')
    const [row] = await mode.score(ids, [method], await mode.reference(ids))
    // Of 120 tokens two are sinks; the keys of KIVI settle by 32, values but for the residual.
    expect(row?.settled).toEqual({ key: [120, 98, 120, 120, 120, 120], value: [120, 88, 120, 120, 120, 56] })
    expect(row?.scores).not.toBeInstanceOf(LabError)
    if (row) expect(differingLayer(row, decodeKv(encodeKv(row.original, method).bytes).arrays)).toBe(null)
  })

  it('streaming takes blocks after which one side has settled and the other has not', async () => {
    const ids = (fixture.windows[0] ?? new Uint32Array()).slice(0, 128)
    const mode = new Streaming(session, 64, 32, restore)
    const method = readMethod('kivi2:g32:r32@layers2=int8:g64')
    const [row] = await mode.score(ids, [method], await mode.reference(ids))
    expect(row?.scores).not.toBeInstanceOf(LabError)
    expect(row?.settled).toEqual({ key: Array(6).fill(96), value: [64, 64, 96, 64, 64, 64] })
    if (row) expect(differingLayer(row, decodeKv(encodeKv(row.original, method).bytes).arrays)).toBe(null)
  })

  it('an override measures what keeping the other layers measures', async () => {
    const ids = (fixture.windows[0] ?? new Uint32Array()).slice(0, 96)
    const pairs = [['none@layers2=q4_0', 'q4_0@layers0,1,3-5'], ['q4_0@layers0,-1=none', 'q4_0@layers0,-1'], ['int8:g64@layers0-4=q4_0', 'q4_0@layers5=int8:g64']] as const
    const methods = pairs.flat().map((text) => readMethod(text))
    for (const mode of [new InPass(session, 48, restore), new Streaming(session, 48, 16, restore)]) {
      const rows = await mode.score(ids, methods, await mode.reference(ids))
      for (const [i, pair] of pairs.entries()) {
        const [one, other] = [rows[2 * i], rows[2 * i + 1]]
        expect(one?.scores, pair[0]).not.toBeInstanceOf(LabError)
        expect(one?.attended, pair[0]).toEqual(other?.attended)
        expect(one?.scores, pair[0]).toEqual(other?.scores)
      }
      const own = rows.map(({ scores }) => (scores instanceof LabError ? NaN : scores.kl.reduce((sum, kl) => sum + kl, 0)))
      expect(new Set(own).size).toBe(3)
      for (const [row, method] of methods.entries()) {
        const one = rows[row]
        if (one) expect(differingLayer(one, decodeKv(encodeKv(one.original, method).bytes).arrays)).toBe(null)
      }
    }
  })

  it('a row that a method cannot hold fails alone', async () => {
    const ids = (fixture.windows[0] ?? new Uint32Array()).slice(0, 48)
    const [good, bad] = [readMethod('int8:g64'), readMethod('int4:g64')]
    const failing: Restore = (cache, method, into, origin) => {
      if (method.key.params['bits'] === 4 || method.key.quantizer === 'int4') throw new LabError('OUT_OF_RANGE', 'too large')
      restore(cache, method, into, origin)
    }
    for (const mode of [new InPass(session, 24, failing), new Streaming(session, 24, 8, failing)]) {
      const rows = await mode.score(ids, [bad, good], await mode.reference(ids))
      expect(rows[0]?.scores).toMatchObject({ code: 'OUT_OF_RANGE' })
      expect(rows[1]?.scores).not.toBeInstanceOf(LabError)
    }
  })
})

const smol = shared('models/SmolLM2-135M-Instruct')
describe.skipIf(!existsSync(smol))('modes on SmolLM2, as torch (skipped without ../shared)', () => {
  let session: ModelSession
  beforeAll(async () => {
    session = await openSession(await findModel(smol), { threads: 1, layered: true })
  })
  afterAll(() => session.release())

  it.each<['in-pass' | 'streaming', string, string[]]>([
    ['in-pass', 'smollm2-wikitext2', ['none', 'q4_0']],
    ['in-pass', 'smollm2-llamacpp-chunks', ['none', 'q4_0:interleaved/q4_0']],
    ['streaming', 'smollm2-wikitext2', ['none', 'int4:g64@sinks4@recent64']],
  ])('%s on one window of %s', async (name, fixtureName, methods) => {
    const fixture = await readTorch(shared(`fixtures/torch/${fixtureName}`))
    const mode = name === 'in-pass' ? new InPass(session, fixture.facts.prefix, restore) : new Streaming(session, fixture.facts.prefix, 64, restore)
    await agreeAll(fixture, name, await scored(mode, fixture.windows.slice(0, 1), methods, 1), name === 'in-pass' ? DEEP_BOUNDS : undefined)
  }, 600_000)
})
