import fc from 'fast-check'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { doneTrial, samplePlan, sampleResult } from '../../test/sample-result.ts'
import { demoSpec } from './spec.ts'
import { readResult, RunFolder, type RunHead } from './store.ts'

const plan = samplePlan(['int8:g64', 'q8_0/q4_0@sinks4+lz4'])
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
    const mine = JSON.parse(readFileSync(lock, 'utf8')) as { pid: number; host: string; token: string }
    await expect(folder.lock()).rejects.toMatchObject({ code: 'BUSY', message: expect.stringContaining('by this engine') as string })
    writeFileSync(lock, JSON.stringify({ ...mine, pid: process.ppid }))
    await expect(folder.lock()).rejects.toMatchObject({ code: 'BUSY' })
    writeFileSync(lock, JSON.stringify({ ...mine, host: 'elsewhere' }))
    await expect(folder.lock()).rejects.toMatchObject({ code: 'BUSY' })
    writeFileSync(lock, JSON.stringify({ ...mine, pid: 2 ** 22 + 1 }))
    await (await folder.lock())()
    // A process that is gone had the id of this one.
    writeFileSync(lock, JSON.stringify({ ...mine, token: 'another' }))
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

  it('reads results of earlier versions, and refuses what is none', async () => {
    const folder = await RunFolder.create(join(home, 'results'), demoSpec(), head)
    const { prefill: _, ...earlier } = sampleResult([doneTrial('int8:g64')])
    const path = join(folder.path, 'result.json')
    writeFileSync(path, JSON.stringify(earlier))
    expect(await readResult(folder.path)).toEqual({ ...earlier, prefill: null })
    for (const wrong of [null, [], { ...earlier, schema: 'kvlab.run/9' }, { ...earlier, status: 'running' }, { ...earlier, trials: {} }, { ...earlier, protocol: { fingerprint: 3 } }, { ...earlier, timing: null }]) {
      writeFileSync(path, JSON.stringify(wrong))
      await expect(readResult(folder.path)).rejects.toMatchObject({ code: 'MALFORMED_FILE' })
    }
  })

  it('keeps notes, and takes a file that is none for no notes', async () => {
    const folder = await RunFolder.create(join(home, 'notes'), demoSpec(), head)
    expect(await folder.notes()).toEqual({ tags: [], notes: '' })
    await folder.writeNotes({ tags: ['a', 'ü'], notes: 'two\nlines' })
    expect(await folder.notes()).toEqual({ tags: ['a', 'ü'], notes: 'two\nlines' })
    expect(readdirSync(folder.path).sort()).toEqual(['notes.json', 'run.json', 'spec.json'])
    for (const text of ['', 'null', '{"schema":"kvlab.notes/1","tags":"a","notes":""}']) {
      writeFileSync(join(folder.path, 'notes.json'), text)
      expect(await folder.notes()).toEqual({ tags: [], notes: '' })
    }
  })

  it('tells what was recorded since the latest start, past torn and foreign lines', async () => {
    const folder = await RunFolder.create(join(home, 'events'), demoSpec(), head)
    expect(await folder.events()).toEqual([])
    const at = head.createdAt
    const end = { type: 'finished', at, status: 'cancelled', reason: null, folder: folder.path, result: null } as const
    for (const event of [{ type: 'planned', at, plan }, { type: 'warning', at, text: 'first' }, end, { type: 'planned', at, plan }, { type: 'warning', at, text: 'second' }] as const) folder.record(event)
    appendFileSync(join(folder.path, 'events.ndjson'), '{"type":"trial"}\n[]\n{"type":"rung","windows":1,"dropped":[2]}\n{"type":"warn')
    expect(await folder.events()).toEqual([{ type: 'planned', at, plan }, { type: 'warning', at, text: 'second' }])
  })
})
