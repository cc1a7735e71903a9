import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { smallLlama, type SmallLlama } from '../../test/small-llama.ts'
import { tinyModel } from '../../test/tiny-model.ts'
import { describeModel } from './describe.ts'
import { splitHead, type SplitModel } from './head.ts'
import { METRIC_INPUTS, metricRun, withMetrics } from './metrics.ts'
import { opsetOf, readModel, tensorHead, writeModel, type OnnxModel } from './model.ts'
import { subgraph } from './wiring.ts'

const graphOf = async (folder: string): Promise<Uint8Array> => Uint8Array.from(await readFile(join(folder, 'onnx', 'model.onnx')))
const llama = async (options: SmallLlama = {}): Promise<OnnxModel> => readModel(await graphOf(await smallLlama(options)), 'llama')
const bytesOf = (model: OnnxModel): Uint8Array => Uint8Array.from(Buffer.concat(writeModel(model)))
const names = (values: readonly { name?: string | undefined }[]): string[] => values.map(({ name = '' }) => name)

function split(model: OnnxModel): SplitModel {
  const parts = splitHead(model)
  if ('reason' in parts) throw new Error(parts.reason)
  return parts
}

describe('a model', () => {
  it('is written as it was read, fields that the schema does not know among it', async () => {
    const bytes = await graphOf(await smallLlama())
    // A function (25) and a doc string (6) of the model, both unknown here, as two more fields at its end.
    const unknown = Uint8Array.from([...bytes, 25 * 8 + 2 - 72, 1, 3, 7, 7, 7, 6 * 8 + 2, 2, 104, 105])
    const model = readModel(unknown, 'model')
    const again = readModel(bytesOf(model), 'again')
    expect(again).toEqual(model)
    expect(again.$unknown).toHaveLength(2)
    expect(names(again.graph.initializer.map(tensorHead))).toContain('embedding')
  })

  it('keeps its weights as views, through edits too', async () => {
    const bytes = await graphOf(await smallLlama())
    const { body } = split(readModel(bytes, 'model'))
    expect(body.graph.initializer.every(({ buffer }) => buffer === bytes.buffer)).toBe(true)
    expect(writeModel(body).filter(({ buffer }) => buffer === bytes.buffer)).toHaveLength(body.graph.initializer.length)
  })

  it('tells what its tensors are and where their values lie', async () => {
    const head = (await llama({ external: true })).graph.initializer.map(tensorHead).find(({ name }) => name === 'layer.0.query')
    expect(head).toEqual({ name: 'layer.0.query', dtype: 'F32', dims: [32, 32], bytes: 4096, external: { location: 'model.onnx_data', offset: expect.any(Number) as number, length: 4096 } })
  })

  it.each(['', 'not a model', '\u0000\u0001'])('is refused by code where there is none: %j', (text) => {
    expect(() => readModel(new TextEncoder().encode(text), 'file.onnx')).toThrow(expect.objectContaining({ code: 'MALFORMED_FILE', message: expect.stringContaining('file.onnx') as string }) as LabError)
  })

  it('with any bytes changed or cut off is read, described and edited, or refused by code', async () => {
    const bytes = await graphOf(await tinyModel())
    const whole = await graphOf(await smallLlama())
    const attempt = (damaged: Uint8Array): void => {
      try {
        const model = readModel(damaged, 'damaged')
        describeModel(model, 'damaged', damaged.length)
        const parts = splitHead(model)
        if (!('reason' in parts)) for (const part of [parts.body, withMetrics(parts.head, 96)]) if (!('reason' in part)) writeModel(part)
      } catch (error) {
        expect(error).toBeInstanceOf(LabError)
        expect(['MALFORMED_FILE', 'MODEL_UNSUPPORTED']).toContain((error as LabError).code)
      }
    }
    for (const source of [bytes, whole]) {
      const place = fc.nat({ max: source.length - 1 })
      fc.assert(
        fc.property(fc.array(fc.tuple(place, fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }), fc.option(place), (changes, end) => {
          const damaged = source.slice(0, end ?? source.length)
          for (const [at, byte] of changes) if (at < damaged.length) damaged[at] = byte
          attempt(damaged)
        }),
        { numRuns: 300 },
      )
    }
  })
})

describe('the cut before the LM head', () => {
  it.each<[string, SmallLlama]>([['tied', {}], ['with a head of its own', { tied: false }], ['float16', { type: 'float16' }]])('of a %s Llama has the hidden states between its parts', async (_, options) => {
    const model = await llama(options)
    const { body, head, hidden, hiddenType } = split(model)
    expect(hidden).toBe('final.out')
    expect(hiddenType).toBe(options.type === 'float16' ? 'F16' : 'F32')
    expect(names(body.graph.output)).toEqual(['final.out', ...names(model.graph.output).slice(1)])
    expect(names(head.graph.input)).toEqual(['final.out'])
    expect(names(head.graph.output)).toEqual(['logits'])
    expect(body.graph.node.length + head.graph.node.length).toBe(model.graph.node.length)
    // A tied embedding is needed on both sides, everything else on one.
    const shared = names(body.graph.initializer.map(tensorHead)).filter((name) => names(head.graph.initializer.map(tensorHead)).includes(name))
    expect(shared).toEqual(options.tied === false ? [] : ['embedding'])
  })

  it('is refused with the reason where more than hidden states goes into the logits', async () => {
    const model = readModel(await graphOf(await tinyModel()), 'tiny')
    expect(splitHead(model)).toEqual({ reason: expect.stringContaining('last hidden states') as string })
  })

  it('leaves out what no output needs, and refuses to cut an input off', async () => {
    const model = await llama()
    const keys = model.graph.output.filter(({ name }) => name === 'present.0.key')
    const part = subgraph(model, model.graph.input, keys)
    expect(names(part.graph.initializer.map(tensorHead))).not.toContain('layer.0.value')
    expect(part.graph.node.length).toBeLessThan(model.graph.node.length / 2)
    expect(() => subgraph(model, [], keys)).toThrow(expect.objectContaining({ code: 'INTERNAL' }) as LabError)
  })
})

describe('metrics after the logits', () => {
  it('add inputs and outputs, and leave the logits', async () => {
    const head = withMetrics(split(await llama()).head, 96)
    if ('reason' in head) throw new Error(head.reason)
    expect(names(head.graph.input)).toEqual(['final.out', ...Object.values(METRIC_INPUTS)])
    expect(names(head.graph.output)).toContain('logits')
  })

  it('sum the vocabulary in runs that divide it, or whole', () => {
    expect([49152, 32000, 151936, 96, 50257].map(metricRun)).toEqual([256, 256, 128, 32, 50257])
  })

  it('are refused to operator sets that lack the operators', async () => {
    const { head } = split(await llama())
    const old = readModel(bytesOf(head), 'old')
    for (const set of old.opsetImport) set.version = 11n
    expect(opsetOf(old)).toBe(11)
    expect(withMetrics(old, 96)).toEqual({ reason: 'its operator set 11 is older than 13' })
  })
})
