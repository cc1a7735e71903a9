import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunEvent, RunPlan, RunResult } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { openSession } from '#core/evaluation/session.ts'
import { planWindows } from '#core/evaluation/windows.ts'
import { learnedFrom } from '#core/kv/calibration.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { loadText } from '#core/texts/texts.ts'
import { compareRuns } from './compare.ts'
import { createRuns, type Runs } from './runs.ts'
import { checkSpec, defaultSpec } from './spec.ts'
import { readResult } from './store.ts'
import { readTokens } from './token-text.ts'
import { validate } from './validate.ts'

const never = new AbortController().signal
const METHODS = ['nuq4:cal', 'skvq3:g32:cal', 'nuq4']

let home = ''
let runs: Runs
/** Paths of two parts of the embedded text. */
const texts = { learned: '', scored: '' }
const spec = (given: Partial<RunSpec> = {}): RunSpec =>
  defaultSpec({ data: texts.scored, windows: 3, methods: METHODS, batch: 2, threads: 1, calibration: { data: texts.learned, column: null, join: 'file', windows: 4 }, ...given })

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-calibration-'))
  runs = createRuns({ home })
  const { documents } = await loadText({ data: 'demo', column: null, join: 'file' })
  const paragraphs = (documents[0] ?? '').split(/\n\s*\n/)
  for (const [name, from] of [['learned', 40], ['scored', 400]] as const) {
    texts[name] = join(home, `${name}.txt`)
    writeFileSync(texts[name], paragraphs.slice(from, from + 60).join('\n\n'))
  }
})
afterAll(async () => {
  await runs.close()
  rmSync(home, { recursive: true, force: true })
})

async function ended<T>(steps: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const step = await steps.next()
    if (step.done) return step.value
  }
}

async function measured(of: RunSpec): Promise<{ folder: string; result: RunResult; phases: Set<string> }> {
  const { id, folder } = await ended(runs.start(of, {}, never))
  const phases = new Set<string>()
  for await (const event of runs.watch(id, never)) if (event.type === 'progress') phases.add(event.phase)
  return { folder, result: await readResult(folder), phases }
}

function withoutClock({ trials, controls, baseline }: RunResult): unknown {
  return { controls, baseline, trials: trials.map((trial) => ({ ...trial, speed: null })) }
}

/** The bytes of one tensor of a safetensors file. */
function tensor(file: Uint8Array, name: string): Buffer {
  const header = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const begin = 8 + Number(header.readBigUInt64LE(0))
  const entries = JSON.parse(header.toString('utf8', 8, begin)) as Record<string, { data_offsets: [number, number] }>
  const [from, to] = entries[name]?.data_offsets ?? [0, 0]
  expect(to).toBeGreaterThan(from)
  return header.subarray(begin + from, begin + to)
}

function isPass(event: RunEvent): boolean {
  return event.type === 'progress' && event.phase === 'measuring' && event.done >= 2
}

describe.each<Partial<RunSpec>>([{ mode: 'handoff' }, { mode: 'in-pass', methods: ['nuq4:cal', 'skvq3:g32:cal'] }, { mode: 'streaming', block: 16, methods: ['nuq4:cal', 'nuq2:cal@recent8'] }])('a sweep in $mode', (given) => {
  let own: { folder: string; result: RunResult; phases: Set<string> }
  beforeAll(async () => {
    own = await measured(spec(given))
  })

  it('learns from the calibration text, says so, and measures every method', () => {
    const { status, trials, protocol, controls } = own.result
    expect(status).toBe('done')
    expect(trials.map((trial) => [trial.method, trial.status])).toEqual(spec(given).methods.map((method) => [method, 'done']))
    expect(controls?.identity.passed).toBe(true)
    expect(protocol.calibration).toMatchObject({ name: 'learned.txt', join: 'file', windows: 4 })
    expect([...own.phases]).toEqual(expect.arrayContaining(['prefilling calibration windows', 'learning nuq4:cal', 'measuring']))
    for (const { quality } of trials) expect(quality?.kl.mean).toBeGreaterThan(1e-6)
  })

  it('keeps a file that decodes from its own bytes and holds the tables of these windows', async () => {
    const name = readdirSync(join(own.folder, 'kv')).find((file) => file.includes('nuq4') && file.includes('cal')) ?? expect.fail('no file')
    const kept = new Uint8Array(readFileSync(join(own.folder, 'kv', name)))
    const { folder, streams, bosId } = await readTokens(home, { ...spec(), data: texts.learned })
    const session = await openSession(folder, { threads: 1 })
    try {
      const windows = planWindows(streams, { contextLength: 64, advance: 64, bosId, windows: 4 })
      const caches = []
      for (const ids of windows) caches.push(await session.prefill(ids))
      const scored = await readTokens(home, spec())
      const [ids = new Uint32Array()] = planWindows(scored.streams, { contextLength: 64, advance: 64, bosId, windows: 1 })
      const cache = await session.prefill(given.mode === 'handoff' ? ids.subarray(0, 32) : ids)
      const method = readMethod('nuq4:cal')
      const due = encodeKv(cache, method, { model: own.result.model.name }, learnedFrom(caches, method)).bytes
      if (given.mode === 'handoff') expect(Buffer.compare(due, kept)).toBe(0)
      // Elsewhere the cache itself is another, the tables are the same.
      for (const name of ['key.levels', 'key.scales', 'key.zeros', 'value.levels']) expect(Buffer.compare(tensor(due, name), tensor(kept, name)), name).toBe(0)
      expect(decodeKv(kept).shape.tokens).toBe(cache.shape.tokens)
    } finally {
      await session.release()
    }
  })

  it('gives after a stop and a resume what it gives without', async () => {
    const { id, folder } = await ended(runs.start(spec(given), {}, never))
    let stopped = false
    for await (const event of runs.watch(id, never)) {
      if (!stopped && isPass(event)) {
        stopped = true
        await runs.cancel(id)
      }
    }
    expect((await readResult(folder)).status).toBe('cancelled')
    const again = await runs.resume(folder)
    for await (const _ of runs.watch(again.id, never));
    expect(withoutClock(await readResult(folder))).toEqual(withoutClock(own.result))
  })
})

describe('a calibration text', () => {
  const plan = (of: RunSpec): Promise<RunPlan> => ended(runs.plan(of, never))

  it.each(['nuq4', 'skvq3:g32'])('is part of the protocol where a method learns from it, and of %s it is not', async (plain) => {
    const [one, other] = [await plan(spec()), await plan(spec({ calibration: { data: texts.learned, column: null, join: 'file', windows: 3 } }))]
    const [without, unread] = [await plan(spec({ methods: [plain], calibration: null })), await plan(spec({ methods: [plain] }))]
    expect(new Set([one, other, without].map(({ protocol }) => protocol.fingerprint)).size).toBe(3)
    expect(unread.protocol).toEqual(without.protocol)
    expect(unread.warnings.join()).toContain('no method learns from the calibration text')
  })

  it('that is or shares what is scored is refused', async () => {
    await expect(plan(spec({ data: texts.learned }))).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('is the text that is scored') as string })
    const mixed = join(home, 'mixed.txt')
    writeFileSync(mixed, `${readFileSync(texts.scored, 'utf8')}\n\n${readFileSync(texts.learned, 'utf8').split('\n\n').slice(0, 20).join('\n\n')}`)
    await expect(plan(spec({ data: mixed }))).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('calibrate on another text') as string })
  })

  it('that is missing, too short or too much is refused, and one that is shorter than asked is said to be', async () => {
    expect(() => spec({ calibration: null })).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining('--calibration TEXT') as string }) as Error)
    const short = join(home, 'short.txt')
    writeFileSync(short, 'Call me')
    const from = (data: string, windows: number): RunSpec => spec({ calibration: { data, column: null, join: 'file', windows } })
    await expect(plan(from(short, 4))).rejects.toMatchObject({ code: 'TEXT_TOO_SHORT' })
    await expect(plan({ ...from(texts.learned, 4), memoryBudget: 1 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect((await plan(from(texts.learned, 4000))).warnings.join()).toContain('fewer than the 4000 asked for')
    await expect(plan(from(join(home, 'absent.txt'), 4))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })

  it('is what runs are told apart by', async () => {
    const results = [await measured(spec({ windows: 2 })), await measured(spec({ windows: 2, calibration: { data: texts.learned, column: null, join: 'file', windows: 2 } }))]
    const compared = results.map(({ folder, result }, i) => ({ id: `run${i}`, folder, result }))
    expect(() => compareRuns(compared, () => '')).toThrow(expect.objectContaining({ code: 'RUN_MISMATCH', message: expect.stringContaining('methods learned from 4 windows of learned.txt') as string }) as Error)
  })

  it('goes through validation', async () => {
    const report = await ended(validate(runs, home, { spec: spec({ methods: ['nuq3:cal'], windows: 2 }), out: null, baseline: null }, never))
    expect(report.compression.method).toBe('nuq3:cal')
    expect(report.run.protocol.calibration?.windows).toBe(4)
  })
})

it.each(['nuq4', 'skvq3:g32'])('in-pass cannot measure %s, which learns on the window itself', async (method) => {
  await expect(ended(runs.plan(spec({ mode: 'in-pass', methods: [method] }), never))).rejects.toMatchObject({ code: 'INVALID_METHOD', message: expect.stringContaining('depends on tokens that come later') as string })
})

it('specs from before calibration are read', () => {
  const { calibration: _, ...old } = defaultSpec({})
  expect(checkSpec(old)).toEqual(defaultSpec({}))
})
