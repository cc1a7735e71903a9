import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { headRows } from '#core/contract/memory.ts'
import { findModel } from '#core/library/models.ts'
import { node } from '#core/onnx/build.ts'
import { constant, readModel, withGraph, writeModel } from '#core/onnx/model.ts'
import { shared } from '../../test/torch.ts'
import { smallLlama, type SmallLlama } from '../../test/small-llama.ts'
import type { Reference, TokenScores } from './score.ts'
import { openSession, type ModelSession, type SessionOptions } from './session.ts'

const folders: string[] = []
async function temporary(making: Promise<string>): Promise<string> {
  const folder = await making
  folders.push(folder)
  return folder
}
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

type Measured = { whole: string | null; reference: Reference; scores: TokenScores }

/** The suffix of `ids` scored after a prefix whose values `damage` changes, against the undamaged one. */
async function measure(name: string, ids: Uint32Array, prefix: number, options: Partial<SessionOptions>, damage: (values: Float32Array) => void): Promise<Measured> {
  const session: ModelSession = await openSession(await findModel(name), { threads: 1, ...options })
  try {
    const past = session.past(1, prefix)
    past.fill(0, await session.prefill(ids.subarray(0, prefix)))
    const reference = await session.reference(past, ids.subarray(prefix))
    const [same] = await session.score(past, ids.subarray(prefix), reference)
    expect(same instanceof LabError ? same : new Set(same?.kl)).toEqual(new Set([0]))
    for (const values of [...past.row(0).key, ...past.row(0).value]) damage(values)
    const [scores] = await session.score(past, ids.subarray(prefix), reference)
    if (!scores || scores instanceof LabError) throw scores ?? new Error('no scores')
    return { whole: session.info.whole, reference, scores }
  } finally {
    await session.release()
  }
}

/** Adds waves: unlike a rounding, what it does to nearly equal values is nearly equal. */
const waves = (height: number) => (values: Float32Array): void => values.forEach((value, i) => (values[i] = value + height * Math.sin(i)))

function expectAlike(a: Measured, b: Measured, tolerance = 1e-5): void {
  const far = (x: ArrayLike<number>, y: ArrayLike<number>): number => Math.max(...Array.from(x, (value, i) => Math.abs(value - (y[i] ?? NaN))))
  expect(far(a.reference.nll, b.reference.nll)).toBeLessThan(tolerance)
  expect(far(a.scores.nll, b.scores.nll)).toBeLessThan(tolerance)
  expect(far(a.scores.kl, b.scores.kl)).toBeLessThan(tolerance)
  if (tolerance <= 1e-5) expect([...a.scores.agree]).toEqual([...b.scores.agree])
  // A comparison of zeros would pass as well.
  expect(Math.max(...b.scores.kl)).toBeGreaterThan(10 * tolerance)
}

const IDS = Uint32Array.from({ length: 48 }, (_, i) => (i * 37 + (i >> 2)) % 89)

describe('a split model scores as the whole one', () => {
  it.each<[string, SmallLlama, number]>([
    ['float32, operator set 18', {}, 1e-5],
    ['operator set 13, where reductions take their axes as attributes', { opset: 13 }, 1e-5],
    ['operator set 21', { opset: 21 }, 1e-5],
    ['a vocabulary that no run divides', { vocab: 97 }, 1e-5],
    ['an untied head', { tied: false }, 1e-5],
    ['weights in a file beside the graph', { external: true }, 1e-5],
    // Whole, the logits are rounded to F16 on their way out; split, they are compared as they were computed.
    ['float16', { type: 'float16' }, 5e-3],
  ])('%s', async (_, options, tolerance) => {
    const name = await temporary(smallLlama(options))
    const whole = await measure(name, IDS, 24, { whole: true }, waves(0.25))
    const split = await measure(name, IDS, 24, {}, waves(0.25))
    expect([whole.whole, split.whole]).toEqual(['that was asked for', null])
    expectAlike(split, whole, tolerance)
  })

  it('the demo model', async () => {
    const ids = Uint32Array.from({ length: 64 }, (_, i) => (i * 137) % 4000)
    expectAlike(await measure('demo', ids, 32, {}, waves(0.5)), await measure('demo', ids, 32, { whole: true }, waves(0.5)))
  })

  const smol = shared('models/SmolLM2-135M-Instruct')
  it.skipIf(!existsSync(smol))('SmolLM2 (skipped without ../shared), on more rows than its head takes at a time', async () => {
    const ids = Uint32Array.from({ length: 32 + headRows(49_152) + 3 }, (_, i) => (i * 137) % 40_000)
    expectAlike(await measure(smol, ids, 32, { threads: 2 }, waves(0.5)), await measure(smol, ids, 32, { threads: 2, whole: true }, waves(0.5)))
  }, 300_000)

  it('also where the logits lie so far apart that e^d is no F32 number', async () => {
    const name = await temporary(smallLlama({ tied: false, seed: 5 }))
    const damage = (values: Float32Array): void => values.forEach((value, i) => (values[i] = value * 1e6))
    const whole = await measure(name, IDS, 24, { whole: true }, damage)
    const split = await measure(name, IDS, 24, {}, damage)
    expectAlike(split, whole)
  })
})

describe('edited graphs', () => {
  it('are kept in the folder given for them, and never in the model folder', async () => {
    const name = await temporary(smallLlama({ seed: 2 }))
    const graphs = join(await temporary(mkdtemp(join(tmpdir(), 'kvlab-graphs-'))), 'graphs')
    const before = await readdir(name, { recursive: true })
    const first = await measure(name, IDS, 24, { graphs }, waves(0.25))
    const [entry = '', ...others] = await readdir(graphs)
    expect(others).toEqual([])
    expect((await readdir(join(graphs, entry))).sort()).toEqual(['body.onnx', 'head.onnx'])
    expect(await readdir(name, { recursive: true })).toEqual(before)
    // The second time they are taken from there: a head that cannot be read fails.
    expectAlike(await measure(name, IDS, 24, { graphs }, waves(0.25)), first)
    await writeFile(join(graphs, entry, 'head.onnx'), 'damaged')
    expectAlike(await measure(name, IDS, 24, { graphs }, waves(0.25)), first)
    expect((await readFile(join(graphs, entry, 'head.onnx'))).length).toBeGreaterThan(1000)
  })

  it('that do not run are not used: the graph runs whole, and the session says why', async () => {
    // Its head takes hidden states of one row alone: right for the graph as a whole, of no use to the head by itself.
    const name = await temporary(smallLlama({ seed: 4 }))
    const onnx = join(name, 'onnx', 'model.onnx')
    const model = readModel(Uint8Array.from(await readFile(onnx)), onnx)
    const flat = [node('Reshape', ['final.out', 'flat.rows'], 'final.rows'), node('MatMul', ['final.rows', 'head'], 'rows'), node('Unsqueeze', ['rows', 'flat.axis'], 'logits')]
    const nodes = model.graph.node.filter(({ output }) => output[0] !== 'logits')
    const constants = [constant('flat.rows', 'I64', [2], [-1, 32]), constant('flat.axis', 'I64', [1], [0])]
    await writeFile(onnx, writeModel(withGraph(model, { node: [...nodes, ...flat], initializer: [...model.graph.initializer, ...constants] })))
    const { whole, scores } = await measure(name, IDS, 24, {}, waves(0.25))
    expect(whole).toMatch(/expected \[1,2,/)
    expect(Math.max(...scores.kl)).toBeGreaterThan(0.01)
  })

  it('need no folder that can be written', async () => {
    const name = await temporary(smallLlama({ seed: 3 }))
    const file = join(await temporary(mkdtemp(join(tmpdir(), 'kvlab-graphs-'))), 'file')
    await writeFile(file, '')
    const { whole } = await measure(name, IDS, 24, { graphs: join(file, 'graphs') }, waves(0.25))
    expect(whole).toBeNull()
  })
})
