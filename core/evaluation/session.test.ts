import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { findModel } from '#core/library/models.ts'
import { installNode24 } from '../../test/node24.ts'
import { TINY, tinyModel, type TinyModel } from '../../test/tiny-model.ts'
import { openSession, type ModelSession } from './session.ts'

/** How the tiny model's keys are rotated. */
const ROTATION = { theta: 10_000, rotaryDims: 4, scaling: null }

const folders: string[] = []
async function make(options: TinyModel = {}): Promise<string> {
  const folder = await tinyModel(options)
  folders.push(folder)
  return folder
}
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

/** Open the model of `options`, work with it, release it. */
async function using<T>(options: TinyModel, work: (session: ModelSession) => Promise<T>): Promise<T> {
  const session = await openSession(await findModel(await make(options)), { threads: 1 })
  try {
    return await work(session)
  } finally {
    await session.release()
  }
}

const coded = (code: string, text: RegExp): unknown => expect.objectContaining({ code, message: expect.stringMatching(text) as string })
const IDS = Uint32Array.of(1, 5, 2, 7, 0, 3)

describe('a session', () => {
  it.each<[string, TinyModel, Partial<ModelSession['info']>]>([
    ['float32', {}, { kvDtype: 'F32', hasPositionIds: true }],
    ['float16', { kv: 'float16' }, { kvDtype: 'F16', hasPositionIds: true }],
    ['a graph without position_ids', { positionIds: false }, { kvDtype: 'F32', hasPositionIds: false }],
    ['present under another name', { present: 'present_key_values' }, { kvDtype: 'F32', hasPositionIds: true }],
  ])('of %s describes itself, and continues a prefix as if it were fed at once', async (_, options, info) => {
    await using(options, async (session) => {
      expect(session.info).toEqual({ ...TINY, ...info, maxPositions: 16, rope: { theta: 10000, scaling: null }, rotation: ROTATION, whole: expect.stringContaining('weight matrix') as string })
      const prefix = await session.prefill(IDS.subarray(0, 4))
      expect(prefix.shape).toEqual({ layers: 2, kvHeads: 2, tokens: 4, headDim: 4, dtype: info.kvDtype, rope: ROTATION })
      const past = session.past(1, 4)
      past.fill(0, prefix)
      const after = await session.logits(past, IDS.subarray(4))
      const whole = await session.logits(null, IDS)
      // The tiny model sums the whole cache, so that its last rows agree; the values are exact in both dtypes.
      expect(after).toEqual(whole.slice(4 * TINY.vocab))
      expect(await session.logits(null, IDS, 4)).toEqual(after)
      expect(new Set(whole).size).toBeGreaterThan(10)
      expect(session.inferenceSeconds).toBeGreaterThan(0)
    })
  })

  it('of float16 gives the same cache and logits as of float32, converted exactly', async () => {
    const [half, single] = [{ kv: 'float16' }, {}].map((options) => using(options as TinyModel, async (session) => ({ cache: await session.prefill(IDS), logits: await session.logits(null, IDS) })))
    expect((await half)?.cache.key).toEqual((await single)?.cache.key)
    expect((await half)?.cache.value).toEqual((await single)?.cache.value)
    expect((await half)?.logits).toEqual((await single)?.logits)
  })

  it('scores a batch of different pasts as it scores each alone', async () => {
    await using({}, async (session) => {
      const prefixes = await Promise.all([IDS.subarray(0, 3), IDS.subarray(1, 4), IDS.subarray(2, 5)].map((ids) => session.prefill(ids)))
      const past = session.past(3, 3)
      prefixes.forEach((prefix, row) => past.fill(row, prefix))
      const single = session.past(1, 3)
      single.fill(0, await session.prefill(IDS.subarray(3, 6)))
      const reference = await session.reference(single, IDS.subarray(3))
      const together = await session.score(past, IDS.subarray(3), reference)
      for (const [row, prefix] of prefixes.entries()) {
        single.fill(0, prefix)
        expect([together[row]]).toEqual(await session.score(single, IDS.subarray(3), reference))
      }
      expect(new Set(together.map((scores) => (scores instanceof LabError ? NaN : scores.kl[0]))).size).toBe(3)
    })
  })

  it('refuses ids and lengths that the model cannot take', async () => {
    await using({}, async (session) => {
      await expect(session.prefill(Uint32Array.of(1, 8))).rejects.toThrow(coded('INVALID_INPUT', /token id 8 is beyond its vocabulary of 8/))
      await expect(session.logits(session.past(1, 12), new Uint32Array(5))).rejects.toThrow(coded('INVALID_INPUT', /17 tokens is beyond its 16 positions/))
      await expect(session.prefill(new Uint32Array())).rejects.toThrow(coded('INVALID_INPUT', /at least one token/))
      expect(() => session.past(2, 3).row(2)).toThrow(/row 2 of a batch of 2/)
    })
  })
})

describe('a model that cannot be evaluated', () => {
  it.each<[string, TinyModel, string, RegExp]>([
    ['gives no KV cache', { present: null }, 'MODEL_UNSUPPORTED', /no present outputs/],
    ['has an int8 KV cache', { kv: 'int8' }, 'MODEL_UNSUPPORTED', /KV cache is int8; float32 and float16/],
    ['has a bfloat16 KV cache', { kv: 'bfloat16' }, 'MODEL_UNSUPPORTED', /bfloat16/],
    ['wants an input that is not known', { extraInput: 'encoder_hidden_states' }, 'MODEL_UNSUPPORTED', /encoder_hidden_states is not known/],
    ['is two graphs in one', { extraInput: 'use_cache_branch' }, 'MODEL_UNSUPPORTED', /two graphs in one.*take an export with one/],
    ['misses its external data', { external: true }, 'MODEL_BROKEN', /External data.*model\.onnx_data/],
  ])('because it %s is refused with the reason', async (_, options, code, text) => {
    const model = await findModel(await make(options))
    await expect(openSession(model, { threads: 1 })).rejects.toThrow(coded(code, text))
  })

  it.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ['is cut off', (bytes) => bytes.subarray(0, bytes.length >> 1)],
    ['is empty', () => new Uint8Array()],
    ['is garbage', () => new TextEncoder().encode('not a graph at all')],
  ])('because its file %s is refused', async (_, change) => {
    const model = await findModel(await make())
    await writeFile(model.onnxPath, change(await readFile(model.onnxPath)))
    await expect(openSession(model, { threads: 1 })).rejects.toThrow(coded('MODEL_BROKEN', /does not load/))
  })

  it('because its config.json is damaged is refused', async () => {
    const model = await findModel(await make())
    await writeFile(model.configPath, '{"model_type": "lla')
    await expect(openSession(model, { threads: 1 })).rejects.toThrow(coded('MODEL_BROKEN', /config.json cannot be read/))
  })

  it('by any flipped bit runs or is refused, nothing else', async () => {
    const model = await findModel(await make())
    const bytes = await readFile(model.onnxPath)
    let refused = 0
    for (let i = 0; i < 60; i++) {
      const flipped = Uint8Array.from(bytes)
      const at = Math.floor((bytes.length * (i + 0.5)) / 60)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (i % 8))
      await writeFile(model.onnxPath, flipped)
      try {
        const session = await openSession(model, { threads: 1 })
        await session
          .prefill(IDS)
          .then(() => session.logits(null, IDS))
          .finally(() => session.release())
      } catch (error) {
        expect(error).toBeInstanceOf(LabError)
        expect(['MODEL_BROKEN', 'MODEL_UNSUPPORTED']).toContain((error as LabError).code)
        refused++
      }
    }
    expect(refused).toBeGreaterThan(10)
  })
})

const node24 = installNode24()
const binary = 'path' in node24 ? node24.path : ''
describe.skipIf('missing' in node24)(`under Node 24, which has Float16Array${'missing' in node24 ? ` (skipped: ${node24.missing})` : ''}`, () => {
  let folder = ''
  beforeAll(async () => {
    folder = await make({ kv: 'float16' })
  })
  /** Feeds float16 to the tiny model in a Node 24 of its own, after `first`. */
  async function feed(first: string): Promise<string> {
    const script = `
      ${first}
      const { InferenceSession, Tensor } = await import('onnxruntime-node')
      const session = await InferenceSession.create(${JSON.stringify(`${folder}/onnx/model.onnx`)})
      const ids = (values) => new Tensor('int64', BigInt64Array.from(values), [1, values.length])
      const feeds = { input_ids: ids([1n]), attention_mask: ids([1n, 1n]), position_ids: ids([1n]) }
      for (const layer of [0, 1]) for (const side of ['key', 'value']) feeds['past_key_values.' + layer + '.' + side] = new Tensor('float16', new Uint16Array(8).fill(0x3c00), [1, 2, 1, 4])
      const { logits } = await session.run(feeds, ['logits'])
      console.log(process.versions.node.split('.')[0], logits.data.constructor.name, logits.data.length)`
    const { stdout } = await promisify(execFile)(binary, ['--input-type=module', '--no-warnings', '-e', script], { cwd: fileURLToPath(new URL('../..', import.meta.url)) })
    return stdout.trim()
  }

  it('float16 feeds arrive when the class is removed first', async () => {
    expect(await feed(`await import(${JSON.stringify(new URL('./float16array.ts', import.meta.url).href)})`)).toBe('24 Uint16Array 8')
  })

  it('and do not otherwise: when this fails, float16array.ts is no longer needed', async () => {
    await expect(feed('')).rejects.toThrow(/not enough space/)
  })
})
