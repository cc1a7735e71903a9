import fc from 'fast-check'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import type { RunPlan } from '#core/contract/run.ts'
import { doneTrial, sampleResult } from '../../test/sample-result.ts'
import { demoSpec } from './spec.ts'
import { readResult, RunFolder, type RunHead } from './store.ts'

const result = sampleResult([doneTrial('int8:g64')])
const plan: RunPlan = {
  protocol: result.protocol,
  model: result.model,
  data: result.data,
  methods: ['int8:g64', 'q8_0/q4_0@sinks4+lz4'],
  rungEnds: [],
  cells: 20,
  passes: 40,
  scoredTokens: 310,
  batch: 2,
  threads: 2,
  resolvableLnRatio: 0.01,
  estimate: { memoryBytes: 1, diskBytes: 1, seconds: 1 },
  warnings: [],
}
const head: RunHead = { schema: 'kvlab.head/1', id: 'test', createdAt: '2026-01-01T00:00:00.000Z', plan }

describe('RunFolder', () => {
  let home = ''
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'kvlab-store-'))
  })
  afterAll(() => rmSync(home, { recursive: true }))

  it('opens what it made, and refuses a folder with something in it', async () => {
    const folder = await RunFolder.create(join(home, 'a'), demoSpec(), head)
    expect(await RunFolder.open(folder.path)).toEqual(folder)
    await expect(RunFolder.create(folder.path, demoSpec(), head)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    await expect(RunFolder.open(join(home, 'nothing'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(readResult(folder.path)).rejects.toThrow(/kvlab resume/)
  })

  it('names files of methods so that every file system takes them', async () => {
    const folder = await RunFolder.create(join(home, 'names'), demoSpec(), head)
    await folder.writeKv('q8_0/q4_0@sinks4+lz4', 0, new Uint8Array(3))
    expect(readdirSync(join(folder.path, 'kv'))).toEqual(['02-q8_0_q4_0_sinks4+lz4.window-0.safetensors'])
  })

  it('is locked by one process, and a lock of a dead one is taken over', async () => {
    const folder = await RunFolder.create(join(home, 'lock'), demoSpec(), head)
    const unlock = await folder.lock()
    const lock = join(folder.path, 'lock')
    const mine = JSON.parse(readFileSync(lock, 'utf8')) as { pid: number; host: string }
    writeFileSync(lock, JSON.stringify({ ...mine, pid: process.ppid }))
    await expect(folder.lock()).rejects.toMatchObject({ code: 'RUN_BUSY' })
    writeFileSync(lock, JSON.stringify({ ...mine, host: 'elsewhere' }))
    await expect(folder.lock()).rejects.toMatchObject({ code: 'RUN_BUSY' })
    writeFileSync(lock, JSON.stringify({ ...mine, pid: 2 ** 22 + 1 }))
    await (await folder.lock())()
    writeFileSync(lock, 'torn')
    await (await folder.lock())()
    await unlock()
    expect(readdirSync(folder.path)).not.toContain('lock')
  })

  it('opens a folder whose spec or head was changed in any way, or throws LabError', async () => {
    const folder = await RunFolder.create(join(home, 'fuzz'), demoSpec(), head)
    const files = ['spec.json', 'run.json'].map((name) => ({ path: join(folder.path, name), bytes: readFileSync(join(folder.path, name)) }))
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1 }), fc.nat(), fc.integer({ min: 0, max: 255 }), fc.boolean(), async (which, at, byte, cut) => {
        const { path, bytes } = files[which]!
        const changed = cut ? bytes.subarray(0, at % bytes.length) : Buffer.from(bytes)
        if (!cut) changed[at % bytes.length] = byte
        writeFileSync(path, changed)
        try {
          await RunFolder.open(folder.path)
        } catch (error) {
          expect(error).toBeInstanceOf(LabError)
        } finally {
          writeFileSync(path, bytes)
        }
      }),
      { numRuns: 300 },
    )
    writeFileSync(files[1]!.path, JSON.stringify({ ...head, plan: { ...plan, protocol: { ...plan.protocol, windows: 2 ** 40 } } }))
    await expect(RunFolder.open(folder.path)).rejects.toMatchObject({ code: 'MALFORMED_FILE' })
  })
})
