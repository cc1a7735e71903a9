import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { engineApi, type EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Settings } from '#core/contract/library.ts'
import { portPair } from '#core/contract/ports.ts'
import { createClient, serve, type Client } from '#core/contract/rpc.ts'
import { createEngine, type Engine } from '#core/engine.ts'
import { writeSafetensors } from '#core/safetensors/write.ts'
import { tinyModel } from './tiny-model.ts'

let home = ''
let engine: Engine
let client: Client<EngineApi>
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'kvlab-library-'))
  engine = createEngine({ home })
  const [ours, theirs] = portPair()
  void serve(engineApi, engine.handlers, theirs)
  client = createClient<EngineApi>(ours)
})
afterAll(async () => {
  client.close()
  await engine.close()
  await rm(home, { recursive: true, force: true })
})

async function drain<E, R>(steps: AsyncGenerator<E, R, void>): Promise<{ events: E[]; result: R }> {
  const events: E[] = []
  for (;;) {
    const step = await steps.next()
    if (step.done) return { events, result: step.value }
    events.push(step.value)
  }
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(() => null, (reason: unknown) => reason)
  if (error instanceof LabError) return error.code
  throw new Error('it did not fail with a LabError')
}

const HUB: Settings['hub'] = { endpoint: null, proxy: null, cache: null, offline: false }

describe('the library over a port', () => {
  it('keeps settings, and a new sweep begins with them', async () => {
    expect(await client.call('settings.read', {})).toEqual({ threads: 'auto', memoryBudget: 'auto', modelFolders: [], dataFolders: [], hub: HUB })
    const chosen = { threads: 2, memoryBudget: 1e9, modelFolders: [join(home, 'more')], dataFolders: [], hub: { ...HUB, offline: true } }
    expect(await client.call('settings.write', chosen)).toEqual(chosen)
    expect(await client.call('settings.read', {})).toEqual(chosen)
    const { spec, demo, presets } = await client.call('spec.defaults', {})
    expect(spec).toMatchObject({ model: 'demo', data: 'demo', threads: 2, memoryBudget: 1e9 })
    expect(demo).toMatchObject({ windows: 330, threads: 'auto' })
    expect(presets.length).toBeGreaterThan(5)
    expect(await codeOf(client.call('settings.write', { ...chosen, threads: 0 }))).toBe('INVALID_INPUT')
  })

  it('goes on with damaged settings where none are needed, says so elsewhere, and takes new ones', async () => {
    await writeFile(join(home, 'settings.json'), '{"threads":')
    for (const route of ['settings.read', 'spec.defaults'] as const) expect(await codeOf(client.call(route, {}))).toBe('MALFORMED_FILE')
    for (const route of ['model.list', 'data.list'] as const) expect(await codeOf(drain(client.stream(route, {})))).toBe('MALFORMED_FILE')
    expect((await client.call('model.inspect', { path: 'demo' })).unusable).toBe(null)
    expect((await client.call('folder.list', { path: home })).entries.map(({ name }) => name)).toEqual(['settings.json'])
    await client.call('settings.write', { threads: 'auto', memoryBudget: 'auto', modelFolders: [], dataFolders: [] })
    expect((await drain(client.stream('model.list', {}))).result.map(({ path }) => path)).toEqual(['demo'])
  })

  it('lists models and texts with what is read of them, and inspects what is named', async () => {
    await mkdir(join(home, 'models'))
    await rename(await tinyModel(), join(home, 'models', 'tiny'))
    await mkdir(join(home, 'data'))
    await writeFile(join(home, 'data', 'text.txt'), 'abc')
    const models = await drain(client.stream('model.list', {}))
    expect(models.result.map(({ name, unusable }) => [name, unusable])).toEqual([['kvlab-demo', null], ['tiny', null]])
    expect(models.events.map(({ phase }) => phase)).toContain('reading models')
    for (const entry of models.result) expect(await client.call('model.inspect', { path: entry.path })).toEqual(entry)
    const texts = await drain(client.stream('data.list', {}))
    expect(texts.result.map(({ name, unusable }) => [name, unusable])).toEqual([['demo', null], ['text.txt', null]])
    for (const entry of texts.result) expect(await client.call('data.inspect', { path: entry.path })).toEqual(entry)
    for (const route of ['model.inspect', 'data.inspect', 'folder.list'] as const) expect(await codeOf(client.call(route, { path: join(home, 'none') }))).toBe('FILE_NOT_FOUND')
    for (const route of ['model.inspect', 'data.inspect', 'folder.list'] as const) expect(await codeOf(client.call(route, { path: '' }))).toBe('INVALID_INPUT')
  })

  it('gives the histogram of a tensor', async () => {
    const path = join(home, 'some.safetensors')
    await writeSafetensors(path, [{ name: 'x', dtype: 'F32', shape: [3], bytes: new Uint8Array(Float32Array.of(0, 64, NaN).buffer) }], new Map())
    const histogram = await client.call('file.histogram', { path, tensor: 'x' })
    expect(histogram).toMatchObject({ tensor: 'x', nonFinite: 1 })
    expect(histogram.edges).toEqual(Array.from({ length: 65 }, (_, i) => i))
    expect([histogram.counts[0], histogram.counts[63]]).toEqual([1, 1])
    expect(await codeOf(client.call('file.histogram', { path, tensor: 'y' }))).toBe('INVALID_INPUT')
  })

  it('stops listing when the reader leaves', async () => {
    const controller = new AbortController()
    const steps = client.stream('model.list', {}, { signal: controller.signal })
    await steps.next()
    controller.abort()
    expect(await codeOf(drain(steps))).toBe('CANCELLED')
    expect((await drain(client.stream('model.list', {}))).result.length).toBeGreaterThan(0)
  })
})
