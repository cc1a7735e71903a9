import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { SIDES } from '#core/kv/cache.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { findModel } from '#core/library/models.ts'
import { agrees } from '../../test/torch-agrees.ts'
import { golden, readTorch, shared, type TorchFixture } from '../../test/torch.ts'
import type { TokenScores } from './score.ts'
import { openSession, type ModelSession } from './session.ts'

async function open(name: string): Promise<ModelSession> {
  return openSession(await findModel(name), { threads: 1 })
}

/** Per-token scores of each method over the fixture's first `windows` windows, through a KV file each, `batch` methods in one pass. */
async function handoff(session: ModelSession, fixture: TorchFixture, methods: readonly string[], windows: number, batch: number): Promise<Map<string, TokenScores>> {
  const { prefix: tokens } = fixture.facts
  const parts = new Map<string, TokenScores[]>(methods.map((method) => [method, []]))
  for (const ids of fixture.windows.slice(0, windows)) {
    const prefix = await session.prefill(ids.subarray(0, tokens))
    const suffix = ids.subarray(tokens)
    const uncompressed = session.past(1, tokens)
    uncompressed.fill(0, prefix)
    const reference = await session.reference(uncompressed, suffix)
    for (let first = 0; first < methods.length; first += batch) {
      const group = methods.slice(first, first + batch)
      const past = session.past(group.length, tokens)
      group.forEach((method, row) => decodeKv(encodeKv(prefix, readMethod(method)).bytes, past.row(row)))
      const scores = await session.score(past, suffix, reference)
      group.forEach((method, row) => {
        const score = scores[row]
        if (!score || score instanceof LabError) throw score ?? new Error('no scores')
        parts.get(method)?.push(score)
      })
    }
  }
  const all = (list: readonly TokenScores[], pick: (score: TokenScores) => Iterable<number>): number[] => list.flatMap((score) => [...pick(score)])
  return new Map(
    [...parts].map(([method, list]) => [
      method,
      { nll: Float64Array.from(all(list, ({ nll }) => nll)), kl: Float64Array.from(all(list, ({ kl }) => kl)), agree: Uint8Array.from(all(list, ({ agree }) => agree)) },
    ]),
  )
}

async function sameCache(session: ModelSession, fixture: TorchFixture): Promise<void> {
  const cache = await session.prefill(fixture.windows[0]?.subarray(0, 64) ?? new Uint32Array())
  for (const side of SIDES) {
    for (const [layer, values] of cache[side].entries()) {
      const expected = await fixture.floats(`layer_${layer}_${side}`)
      expect(values).toHaveLength(expected.length)
      const largest = Math.max(...expected.map(Math.abs))
      expect(Math.max(...values.map((value, i) => Math.abs(value - (expected[i] ?? NaN)))), `layer ${layer} ${side}`).toBeLessThan(1e-4 * largest)
    }
  }
}

function methodsOf(fixture: TorchFixture): string[] {
  return Object.keys(fixture.facts.modes['handoff'] ?? {})
}

describe('handoff on the demo model, as torch', () => {
  let session: ModelSession
  beforeAll(async () => {
    session = await open('demo')
  })
  afterAll(() => session.release())

  it('the cache of a prefix', async () => {
    await sameCache(session, await readTorch(golden('demo-moby')))
  })

  describe.each(['demo-moby-c64', 'demo-moby'])('%s', (name) => {
    it('every method of the fixture', async () => {
      const fixture = await readTorch(golden(name))
      // At 32 tokens nothing is left to quantize beside the recent 32, which the lab refuses.
      const methods = methodsOf(fixture).filter((method) => name === 'demo-moby' || method !== 'int4:g64@recent32')
      expect(methods.length).toBeGreaterThan(18)
      const scores = await handoff(session, fixture, methods, fixture.windows.length, 4)
      for (const [method, own] of scores) {
        expect(own.nll).toHaveLength(fixture.windows.length * (fixture.facts.prefix - 1))
        await agrees(fixture, 'handoff', method, own).catch((error: unknown) => {
          throw new Error(`${method}: ${error instanceof Error ? error.message : String(error)}`)
        })
      }
      // Identity through the file: exactly nothing is lost, in a batch too.
      const none = scores.get('none')
      expect(new Set(none?.kl)).toEqual(new Set([0]))
      expect(new Set(none?.agree)).toEqual(new Set([1]))
    })
  })

  it('rows of a batch score as they do alone', async () => {
    const fixture = await readTorch(golden('demo-moby-c64'))
    const methods = ['int4:g64', 'none', 'q8_0', 'int2:g32:asym']
    const together = await handoff(session, fixture, methods, 2, 4)
    const alone = await handoff(session, fixture, methods, 2, 1)
    for (const method of methods) {
      const differences = Array.from(together.get(method)?.nll ?? [], (value, i) => Math.abs(value - (alone.get(method)?.nll[i] ?? NaN)))
      expect(differences).toHaveLength(62)
      expect(Math.max(...differences)).toBeLessThan(1e-5)
    }
  })

  it('a row that is not finite is an error of its own', async () => {
    const fixture = await readTorch(golden('demo-moby-c64'))
    const ids = fixture.windows[0] ?? new Uint32Array()
    const prefix = await session.prefill(ids.subarray(0, 32))
    const past = session.past(3, 32)
    for (const row of [0, 1, 2]) past.fill(row, prefix)
    const uncompressed = session.past(1, 32)
    uncompressed.fill(0, prefix)
    const reference = await session.reference(uncompressed, ids.subarray(32))
    past.row(1).value[3]?.fill(NaN, 100, 101)
    const [first, second, third] = await session.score(past, ids.subarray(32), reference)
    expect(second).toMatchObject({ code: 'NOT_FINITE', details: { token: 0 } })
    for (const row of [first, third]) expect(row instanceof LabError ? row : new Set(row?.kl)).toEqual(new Set([0]))
    expect(session.scoreSeconds).toBeGreaterThan(0)
  })
})

const smol = shared('models/SmolLM2-135M-Instruct')
describe.skipIf(!existsSync(smol))('handoff on SmolLM2, as torch (skipped without ../shared)', () => {
  let session: ModelSession
  let fixture: TorchFixture
  beforeAll(async () => {
    session = await open(smol)
    fixture = await readTorch(shared('fixtures/torch/smollm2-wikitext2'))
  })
  afterAll(() => session.release())

  it('the cache of a prefix', async () => {
    await sameCache(session, fixture)
  }, 300_000)

  it('methods of several kinds on one window', async () => {
    const scores = await handoff(session, fixture, ['none', 'int4:g64', 'q4_0', 'int2:g32:asym', 'int4:g64@sinks4'], 1, 1)
    for (const [method, own] of scores) await agrees(fixture, 'handoff', method, own)
    expect(new Set(scores.get('none')?.kl)).toEqual(new Set([0]))
  }, 300_000)
})
