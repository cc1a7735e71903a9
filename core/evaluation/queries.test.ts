import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { f16ToF32, f32ToF16 } from '#core/bytes/float.ts'
import { LabError } from '#core/contract/errors.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { findModel } from '#core/library/models.ts'
import { smallLlama } from '../../test/small-llama.ts'
import type { HiddenStates } from './head.ts'
import { InPass } from './in-pass.ts'
import type { Restore } from './mode.ts'
import type { Reference, TokenScores } from './score.ts'
import { openSession, type ModelSession } from './session.ts'

const IDS = Uint32Array.from({ length: 48 }, (_, i) => (i * 37 + (i >> 2)) % 89)
const PREFIX = 20
const restore: Restore = (cache, method, into) => void decodeKv(encodeKv(cache, method).bytes, into)

describe('queries rounded as llama.cpp rounds them', () => {
  let exact: ModelSession
  let rounded: ModelSession
  beforeAll(async () => {
    const model = await findModel('demo')
    exact = await openSession(model, { threads: 1, layered: true })
    rounded = await openSession(model, { threads: 1, layered: true, queries: true })
  })
  afterAll(async () => {
    await exact.release()
    await rounded.release()
  })

  async function scores(session: ModelSession, methods: readonly string[]): Promise<TokenScores[]> {
    const mode = new InPass(session, PREFIX, restore)
    const rows = await mode.score(IDS, methods.map((text) => readMethod(text)), await mode.reference(IDS))
    return rows.map(({ scores }) => (scores instanceof LabError ? expect.fail(scores.message) : scores))
  }

  it('are what a pass multiplies with the keys: turned and stretched together, nothing changes', async () => {
    const size = rounded.info.headDim
    const turn = (values: Float32Array, by: number): void => {
      for (let at = 0; at < values.length; at += size) values.set(values.slice(at, at + size).map((value, i) => (i % 3 === 0 ? -by : by) * value).reverse(), at)
    }
    const turned = (sides: readonly ('key' | 'query')[]): Promise<HiddenStates> =>
      rounded.inPass(IDS, 1, (_, arrays) => {
        for (const side of sides) turn(arrays[side] ?? expect.fail(`no ${side}`), side === 'key' ? 0.25 : 4)
      })
    const plain = [...(await turned([])).data]
    const most = (states: HiddenStates): number => Math.max(...plain.map((value, i) => Math.abs(value - (states.data[i] ?? NaN))))
    expect(most(await turned(['key', 'query']))).toBeLessThan(1e-3)
    expect(most(await turned(['query']))).toBeGreaterThan(0.1)
  })

  it('lose what a slow rounding by hand loses, in the keys’ order of channels and rotation, where keys round', async () => {
    const { layers, headDim } = rounded.info
    const byHand = async (reference: Reference, text: string, roundKeys: (layer: number) => boolean): Promise<number[]> => {
      const states = await rounded.inPass(IDS, 1, (layer, { key, value, query = expect.fail('no query') }) => {
        const method = readMethod(text)
        if (!roundKeys(layer)) return
        for (let at = 0; at < query.length; at += headDim) query.set(slowly(query.slice(at, at + headDim), method.key.transforms.map(({ id }) => id)), at)
        const own = { key: [key], value: [value] }
        restore({ shape: { ...rounded.shape(IDS.length), layers: 1 }, ...own }, method, own, { method, layer })
      })
      const [scores] = await rounded.compare({ ...states, tokens: IDS.length - 1 - PREFIX, data: states.data.slice(PREFIX * states.width, (IDS.length - 1) * states.width) }, reference)
      return !scores || scores instanceof LabError ? expect.fail(scores?.message ?? 'no scores') : [...scores.kl]
    }
    const reference = await new InPass(rounded, PREFIX, restore).reference(IDS)
    for (const [text, plain, at] of [
      ['q8_0/none', 'q8_0/none', () => true],
      ['q8_0:interleaved:hadamard/q8_0:hadamard@layers0,-1', 'q8_0:interleaved:hadamard/q8_0:hadamard', (layer: number) => layer > 0 && layer < layers - 1],
    ] as const) {
      const hand = mean(await byHand(reference, plain, at))
      const [own] = await scores(rounded, [text])
      const [kept] = await scores(exact, [text])
      // Rounding that flips between neighbouring codes: single tokens differ, means hardly do.
      expect(mean(own?.kl ?? []) / hand, text).toBeCloseTo(1, 1)
      expect(Math.abs(mean(kept?.kl ?? []) / hand - 1), text).toBeGreaterThan(0.1)
    }
  })

  it('stay exact where keys are not rounded, and in the reference', async () => {
    const methods = ['none', 'none/q4_0', 'none:hadamard/q8_0']
    const [own, others] = [await scores(rounded, methods), await scores(exact, methods)]
    expect(new Set(own[0]?.kl)).toEqual(new Set([0]))
    own.forEach(({ kl, nll }, row) => {
      expect(mean(kl)).toBeCloseTo(mean(others[row]?.kl ?? []), 5)
      expect(mean(nll)).toBeCloseTo(mean(others[row]?.nll ?? []), 5)
    })
  })

  it('are refused for heads that blocks of 32 do not divide', async () => {
    const folder = await smallLlama()
    await expect(openSession(await findModel(folder), { threads: 1, layered: true, queries: true })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(/blocks of 32 values do not divide the head size 8; use --queries exact$/) as string,
    })
    await rm(folder, { recursive: true })
  })
})

/** One query by the definitions: order of channels, Sylvester's matrix over 64, blocks of 32 with a scale in F16, and all of it back. */
function slowly(row: Float32Array, turns: readonly string[]): Float32Array {
  const half = row.length / 2
  const place = (i: number): number => (turns.includes('interleaved') ? (i % 2) * half + Math.floor(i / 2) : i)
  const turned = (values: readonly number[]): number[] =>
    turns.includes('hadamard') ? values.map((_, i) => values.slice(i - (i % 64), i - (i % 64) + 64).reduce((sum, value, j) => sum + (ones(i % 64 & j) % 2 === 0 ? value : -value), 0) / 8) : [...values]
  const made = turned(Array.from(row, (_, i) => row[place(i)] ?? NaN))
  const codes = made.map((value, i) => {
    const step = Math.max(...made.slice(i - (i % 32), i - (i % 32) + 32).map(Math.abs)) / 127
    return step === 0 ? 0 : Math.round(value / step) * f16ToF32(f32ToF16(step))
  })
  const out = new Float32Array(row.length)
  turned(codes).forEach((value, i) => (out[place(i)] = value))
  return out
}

function ones(bits: number): number {
  return bits === 0 ? 0 : (bits & 1) + ones(bits >> 1)
}

function mean(values: Iterable<number>): number {
  const all = [...values]
  return all.reduce((sum, value) => sum + value, 0) / all.length
}
