import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EngineApi } from '#core/contract/api.ts'
import { createClient } from '#core/contract/rpc.ts'
import { forkEngine } from '#core/host/fork.ts'
import { importToShelf } from '#core/library/import.ts'
import { listModels } from '#core/library/model-list.ts'
import { verifyShelf } from '#core/library/verify.ts'
import { drained, writeTree } from './shelf-files.ts'

const script = fileURLToPath(new URL('../out/engine.js', import.meta.url))
/** Enough that a kill falls into the copying. */
const WEIGHTS = Buffer.alloc(60_000_000, 'weights')
const KILLS = 8

let folder = ''
let source = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-shelf-kill-'))
  source = await writeTree(join(folder, 'big'), { 'config.json': '{}', 'tokenizer.json': '{}', 'tokenizer_config.json': '{}', 'onnx/model.onnx': 'no graph', 'onnx/model.onnx_data': WEIGHTS })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('kill -9 during an import', () => {
  it('leaves nothing that is listed, and the next import puts away what is left', async () => {
    const home = join(folder, 'home')
    const places = { home, cache: join(home, 'hub') }
    const models = join(home, 'models')
    const still = new AbortController().signal
    let halves = 0
    for (let kill = 0; kill < KILLS; kill++) {
      const engine = forkEngine({ home, verbose: false, script })
      const client = createClient<EngineApi>(engine.port)
      const ended = drained(client.stream('shelf.import', { kind: 'model', path: source, name: null })).then(() => null, (error: unknown) => error)
      while ((await readdir(models).catch(() => [])).length === 0) await setTimeout(1)
      await setTimeout(kill * 15)
      await engine.kill()
      await ended
      const shown = (await readdir(models)).filter((name) => !name.startsWith('.'))
      const { result } = await drained(listModels(places, still))
      expect(result.slice(1).map(({ name }) => name)).toEqual(shown)
      // A kill that came too late finds it whole.
      for (const { path } of result.slice(1)) expect((await drained(verifyShelf(places, { kind: 'model', path }, still))).result.passed).toBe(true)
      if (shown.length === 0) halves++
      await rm(join(models, 'big'), { recursive: true, force: true })
    }
    expect(halves).toBeGreaterThan(0)
    // A lock that its process had no time to write is taken for one that is being written.
    await setTimeout(2100)
    await drained(importToShelf(places, { kind: 'model', path: source, name: null }, still))
    expect(await readdir(models)).toEqual(['big'])
  })
})
