import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunResult, TensorError } from '#core/contract/run.ts'
import { createRuns, type Runs } from './runs.ts'
import { defaultSpec } from './spec.ts'
import { readResult } from './store.ts'

const never = new AbortController().signal
const METHODS = ['int4:g64', 'q8_0/int2:g64', 'int4:g64@layers0,-1=q8_0/int2:g64@layers2-4=none', 'none@layers1=int4:g64+auto', 'int4:g64@layers0,2-5+auto']

let home = ''
let runs: Runs
let folder = ''
let result: RunResult
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-layers-'))
  runs = createRuns({ home })
  const steps = runs.start(defaultSpec({ windows: 3, methods: METHODS, batch: 5, threads: 1, keepKv: true }), {}, never)
  let step = await steps.next()
  while (!step.done) step = await steps.next()
  folder = step.value.folder
  for await (const _ of runs.watch(step.value.id, never));
  result = await readResult(folder)
})
afterAll(async () => {
  await runs.close()
  rmSync(home, { recursive: true, force: true })
})

const trial = (index: number): RunResult['trials'][number] => result.trials[index] ?? expect.fail(`no trial ${index}`)
const ofLayer = (index: number, layer: number): TensorError[] => trial(index).tensors.filter((tensor) => tensor.layer === layer)

describe('a sweep over methods with rules for layers', () => {
  it('measures them all', () => {
    expect(result.status).toBe('done')
    expect(result.trials.map(({ method, status }) => [method, status])).toEqual(METHODS.map((method) => [method, 'done']))
  })

  it('has in each layer the errors of that layer’s own method', () => {
    expect(result.model.layers).toBe(6)
    for (const layer of [0, 5]) expect(ofLayer(2, layer)).toEqual(ofLayer(1, layer))
    expect(ofLayer(2, 1)).toEqual(ofLayer(0, 1))
    for (const layer of [2, 3, 4]) expect(ofLayer(2, layer).map(({ maxError }) => maxError)).toEqual([0, 0])
    expect(ofLayer(0, 0)).not.toEqual(ofLayer(1, 0))
  })

  it('scores an override as it scores the other layers kept', () => {
    expect(trial(3).quality).toEqual(trial(4).quality)
    expect(trial(3).quality?.kl.mean).toBeGreaterThan(0)
    expect(trial(3).tensors).toEqual(trial(4).tensors)
  })

  it('breaks the bytes down by groups of layers', () => {
    const { streams, encoded, header } = trial(2).bytes ?? expect.fail('no bytes')
    expect(Object.keys(streams)).toEqual(['key.codes', 'key.scales', 'key.1.blocks', 'key.2.values', 'value.codes', 'value.scales', 'value.1.codes', 'value.1.scales', 'value.2.values'])
    expect(Object.values(streams).reduce((sum, { coded }) => sum + coded, header)).toBe(encoded)
  })

  it('keeps the files under names that any disk takes', () => {
    expect(readdirSync(join(folder, 'kv')).every((name) => /^0[1-5]-[a-z0-9_.+-]+$/.test(name))).toBe(true)
  })
})
