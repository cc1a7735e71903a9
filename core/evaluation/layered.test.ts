import { rm } from 'node:fs/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { findModel } from '#core/library/models.ts'
import { smallLlama, type SmallLlama } from '../../test/small-llama.ts'
import { tinyModel } from '../../test/tiny-model.ts'
import { InPass } from './in-pass.ts'
import { openSession, type ModelSession, type SessionOptions } from './session.ts'

const folders: string[] = []
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

async function using<T>(making: Promise<string>, options: Partial<SessionOptions>, work: (session: ModelSession) => Promise<T>): Promise<T> {
  const folder = await making
  folders.push(folder)
  const session = await openSession(await findModel(folder), { threads: 1, layered: true, ...options })
  try {
    return await work(session)
  } finally {
    await session.release()
  }
}

const IDS = Uint32Array.from({ length: 48 }, (_, i) => (i * 37 + (i >> 2)) % 89)
const PREFIX = 20

describe('a model cut at its layers', () => {
  it.each<[string, SmallLlama, Partial<SessionOptions>, number]>([
    ['float32', {}, {}, 1e-5],
    ['float16', { type: 'float16' }, {}, 5e-3],
    ['an untied head', { tied: false }, {}, 1e-5],
    ['operator set 13', { opset: 13 }, {}, 1e-5],
    ['weights in a file beside the graph', { external: true }, {}, 1e-5],
    ['a graph that runs whole', {}, { whole: true }, 1e-5],
  ])('of %s predicts as the uncut one, and attends to what it is given', async (_, options, how, tolerance) => {
    await using(smallLlama(options), how, async (session) => {
      const past = session.past(1, PREFIX)
      past.fill(0, await session.prefill(IDS.subarray(0, PREFIX)))
      const uncut = (await session.reference(past, IDS.subarray(PREFIX))).nll
      const mode = new InPass(session, PREFIX, (cache, method, into) => void decodeKv(encodeKv(cache, method).bytes, into))
      const reference = await mode.reference(IDS)
      expect(Math.max(...reference.nll.map((nll, i) => Math.abs(nll - (uncut[i] ?? NaN))))).toBeLessThan(tolerance)
      const rows = await mode.score(IDS, ['none', 'fp8-e4m3', 'fp8-e4m3@layers1'].map((text) => readMethod(text)), reference)
      const [none, all, first] = rows.map(({ scores }) => (scores instanceof LabError ? expect.fail(scores.message) : scores))
      expect(new Set(none?.kl)).toEqual(new Set([0]))
      expect(Math.max(...(all?.kl ?? []))).toBeGreaterThan(1e-6)
      expect(all?.kl).not.toEqual(first?.kl)
      // The layer that is kept is as the model makes it; what was made before it was not.
      const kept = rows[2]
      expect(kept?.attended.key[1]).toEqual(kept?.original.key[1])
      expect(kept?.attended.key[0]).not.toEqual(kept?.original.key[0])
      // The cache of the uncompressed row is the ordinary one, to a few of the smallest steps of its type.
      const ordinary = await session.prefill(IDS)
      expect(Math.max(...(rows[0]?.original.value[1] ?? []).map((value, i) => Math.abs(value - (ordinary.value[1]?.[i] ?? NaN))))).toBeLessThan(4 * tolerance)
    })
  })

  it('is refused with the reason where it cannot be cut', async () => {
    await expect(using(tinyModel(), {}, () => Promise.resolve())).rejects.toMatchObject({ code: 'MODEL_UNSUPPORTED', message: expect.stringMatching(/^in-pass: /) as string })
  })
})
