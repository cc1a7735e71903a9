import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commandLine } from '#core/contract/command-line.ts'
import type { RunEvent, RunResult } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { markdown } from '#core/reports/markdown.ts'
import { specOf } from '#core/reports/reproduce.ts'
import { compareRuns } from './compare.ts'
import { createRuns, type Runs } from './runs.ts'
import { checkSpec, defaultSpec } from './spec.ts'
import { readResult } from './store.ts'

const never = new AbortController().signal
const spec = (given: Partial<RunSpec>): RunSpec => defaultSpec({ windows: 3, methods: ['int4:g32', 'q8_0/q4_0@sinks2', 'int4:g32@layers0,-1=q8_0/int4:g32:asym'], batch: 2, threads: 1, ...given })
const MODES: readonly Partial<RunSpec>[] = [{ mode: 'in-pass' }, { mode: 'streaming', block: 16 }]

let home = ''
let runs: Runs
const results = new Map<string, { folder: string; result: RunResult }>()
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-modes-'))
  runs = createRuns({ home })
  for (const mode of MODES) {
    const { id, folder } = await start(spec(mode))
    for await (const _ of runs.watch(id, never));
    results.set(mode.mode ?? '', { folder, result: await readResult(folder) })
  }
})
afterAll(async () => {
  await runs.close()
  rmSync(home, { recursive: true, force: true })
})

async function start(of: RunSpec): Promise<{ id: string; folder: string }> {
  const steps = runs.start(of, {}, never)
  for (;;) {
    const step = await steps.next()
    if (step.done) return step.value
  }
}

/** What a result says of methods and controls, without what depends on the clock. */
function measured({ trials, controls, baseline }: RunResult): unknown {
  return { controls, baseline, trials: trials.map((trial) => ({ ...trial, speed: null })) }
}

describe.each(MODES)('a sweep in $mode', (mode) => {
  const own = (): RunResult => results.get(mode.mode ?? '')?.result ?? expect.fail('no result')

  it('measures every method, with its controls', () => {
    const { status, protocol, trials, controls, baseline } = own()
    expect(status).toBe('done')
    expect(protocol).toMatchObject({ mode: mode.mode, block: mode.block ?? null, scoredTokens: 3 * 31 })
    expect(trials.map(({ method, status }) => [method, status])).toEqual([['int4:g32', 'done'], ['q8_0/q4_0@sinks2', 'done'], ['int4:g32@layers0,-1=q8_0/int4:g32:asym', 'done']])
    for (const { quality } of trials) expect(quality?.kl.mean).toBeGreaterThan(1e-5)
    expect(controls?.identity).toMatchObject({ klMax: 0, flips: 0, equalBits: true, passed: true })
    expect(controls?.aa).toMatchObject({ batch: 2, passed: true })
    expect(controls?.wrongCache.klMean).toBeGreaterThan(0.05)
    expect(baseline?.tokens).toBe(3 * 31)
  })

  it('counts the bytes of the whole window as one file, which is kept', () => {
    const { folder, result } = results.get(mode.mode ?? '') ?? expect.fail('no result')
    const { layers, kvHeads, headDim } = result.model
    const [first] = result.trials
    expect(first?.bytes?.original).toBe(3 * 64 * 2 * 2 * layers * kvHeads * headDim)
    const run = first?.bytes?.encoded ?? 0
    const name = readdirSync(join(folder, 'kv')).find((file) => file.startsWith('01-int4')) ?? ''
    const kept = readFileSync(join(folder, 'kv', name)).length
    expect(run).toBeGreaterThan(2.9 * kept)
    expect(run).toBeLessThan(3.1 * kept)
  })

  it('gives after a stop and a resume what it gives without', async () => {
    const { id, folder } = await start(spec(mode))
    let stopped = false
    for await (const event of runs.watch(id, never)) {
      if (!stopped && isSecondPass(event)) {
        stopped = true
        await runs.cancel(id)
      }
    }
    expect((await readResult(folder)).status).toBe('cancelled')
    const again = await runs.resume(folder)
    for await (const _ of runs.watch(again.id, never));
    expect(measured(await readResult(folder))).toEqual(measured(own()))
  })
})

function isSecondPass(event: RunEvent): boolean {
  return event.type === 'progress' && event.phase === 'measuring' && event.done >= 2
}

describe('modes', () => {
  it('are not compared with one another', () => {
    const compared = [...results].map(([id, { folder, result }]) => ({ id, folder, result }))
    expect(() => compareRuns(compared, () => '')).toThrow(expect.objectContaining({ code: 'RUN_MISMATCH' }))
  })

  it.each<[string, Partial<RunSpec>, string]>([
    ['a recent window in one pass', { mode: 'in-pass', methods: ['int4:g32@recent8'] }, 'keeps the last 8 tokens'],
    ['a method that encodes later, in one pass', { mode: 'in-pass', methods: ['kivi2:g32:r32'] }, 'some time after they were read; use --mode streaming'],
    ['one of which only some layers do', { mode: 'in-pass', methods: ['int4:g32@layers-1=kivi2:g32:r32'] }, 'int4:g32@layers-1=kivi2:g32:r32 cannot be measured in in-pass: it encodes tokens some time'],
  ])('refuse %s, with the reason', async (_, given, text) => {
    await expect(start(spec(given))).rejects.toMatchObject({ code: 'INVALID_METHOD', message: expect.stringContaining(text) as string })
  })

  it('take a block where tokens are fed in blocks, and nowhere else', () => {
    expect(checkSpec(defaultSpec({ mode: 'streaming', contextLength: 512 })).block).toBe(64)
    expect(defaultSpec({}).block).toBe(null)
    expect(() => defaultSpec({ block: 32 })).toThrow(/leave it out in handoff/)
    expect(() => defaultSpec({ mode: 'streaming' })).toThrow(/feeds a window of 64 at once/)
  })
})

describe('queries', () => {
  it('are rounded in-pass alone, and specs from before that are read', () => {
    expect(() => defaultSpec({ queries: 'q8_0' })).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining('in-pass only, not in handoff') as string }) as Error)
    expect(() => checkSpec({ ...defaultSpec({}), mode: 'in-pass', queries: 'q4_0' })).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }) as Error)
    const { queries: _, ...old } = defaultSpec({})
    expect(checkSpec(old)).toEqual(defaultSpec({}))
  })

  it('that are rounded are part of the protocol, of the report and of its command, and make another run', async () => {
    const { id, folder } = await start(spec({ mode: 'in-pass', methods: ['q8_0', 'none/q8_0'], queries: 'q8_0', windows: 2 }))
    for await (const _ of runs.watch(id, never));
    const result = await readResult(folder)
    const exact = results.get('in-pass') ?? expect.fail('no result')
    expect(result.protocol.queries).toBe('q8_0')
    expect(exact.result.protocol).not.toHaveProperty('queries')
    expect(result.controls?.identity).toMatchObject({ klMax: 0, passed: true })
    expect(markdown.render(result)).toContain('queries rounded to q8_0')
    expect(commandLine(specOf(result))).toContain('--mode in-pass --queries q8_0')
    const compared = [{ id, folder, result }, { id: 'exact', ...exact }]
    expect(() => compareRuns(compared, () => '')).toThrow(expect.objectContaining({ code: 'RUN_MISMATCH', details: { field: 'queries', values: ['q8_0', 'exact'] } }) as Error)
  })
})
