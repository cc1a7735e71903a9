import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { codecs } from '#core/codecs/index.ts'
import { openSession } from '#core/evaluation/session.ts'
import { planWindows } from '#core/evaluation/windows.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod, writeMethod } from '#core/kv/methods.ts'
import { quantizers } from '#core/quantizers/index.ts'
import { transforms } from '#core/transforms/index.ts'
import { METHOD_PRESETS } from './presets.ts'
import { createRuns } from './runs.ts'
import { defaultSpec } from './spec.ts'
import { readResult } from './store.ts'
import { readTokens } from './token-text.ts'

const home = mkdtempSync(join(tmpdir(), 'kvlab-every-method-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const never = new AbortController().signal

/** Every quantizer, codec of this Node.js and transform, and every method of a preset, as they are written. */
const METHODS = [
  ...new Set(
    [
      ...quantizers.map(({ id }) => (id.startsWith('kivi') ? `${id}:g16:r16` : id)),
      ...codecs.filter(({ missing }) => missing === undefined).flatMap(({ id }) => (id === 'raw' ? [] : [`int4:g64+${id}`, `none+${id}`])),
      ...transforms.map(({ id }) => `int4:g64:${id}`),
      ...METHOD_PRESETS.flatMap(({ methods }) => methods),
    ].map((text) => writeMethod(readMethod(text))),
  ),
]

it('one sweep measures every method that there is, on files that hold what the method makes of the cache, bit for bit', { timeout: 600_000 }, async () => {
  expect(METHODS.length).toBeGreaterThanOrEqual(60)
  const runs = createRuns({ home })
  const spec = defaultSpec({ windows: 2, methods: METHODS, threads: 1, batch: 1 })
  const steps = runs.start(spec, {}, never)
  let step = await steps.next()
  while (!step.done) step = await steps.next()
  const { id, folder } = step.value
  for await (const _ of runs.watch(id, never));
  await runs.close()
  const { trials, model } = await readResult(folder)
  expect(trials.filter(({ status }) => status !== 'done').map(({ method, reason }) => [method, reason])).toEqual([])

  const { folder: modelFolder, streams, bosId } = await readTokens(home, spec)
  const session = await openSession(modelFolder, { threads: 1 })
  const [ids = new Uint32Array()] = planWindows(streams, { contextLength: spec.contextLength, advance: spec.advance, bosId, windows: 1 })
  const cache = await session.prefill(ids.subarray(0, spec.prefixLength))
  await session.release()
  const kept = new Map(readdirSync(join(folder, 'kv')).map((name) => readFileSync(join(folder, 'kv', name))).map((bytes) => [writeMethod(decodeKv(bytes).method), bytes]))
  expect([...kept.keys()].sort()).toEqual([...METHODS].sort())
  for (const [method, bytes] of kept) expect(Buffer.compare(bytes, encodeKv(cache, readMethod(method), { model: model.name }).bytes), method).toBe(0)
})
