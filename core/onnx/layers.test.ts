import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { smallLlama, type SmallLlama } from '../../test/small-llama.ts'
import { node } from './build.ts'
import { cutLayers, type LayerCut } from './layers.ts'
import { readModel, tensorHead, withGraph, type OnnxModel } from './model.ts'

const NAMES = [0, 1].map((layer) => ({ key: `${layer}.key`, value: `${layer}.value` }))
const CACHE = {
  past: NAMES.map(({ key, value }) => ({ key: `past_key_values.${key}`, value: `past_key_values.${value}` })),
  present: NAMES.map(({ key, value }) => ({ key: `present.${key}`, value: `present.${value}` })),
}
const llama = async (options: SmallLlama = {}): Promise<OnnxModel> => readModel(await readFile(join(await smallLlama(options), 'onnx', 'model.onnx')), 'llama')
const logits = (model: OnnxModel): OnnxModel['graph']['output'] => model.graph.output.filter(({ name }) => name === 'logits')
const cutOf = (model: OnnxModel): ReturnType<typeof cutLayers> => cutLayers(model, CACHE, logits(model))

function parts(model: OnnxModel): { cut: LayerCut; models: OnnxModel[] } {
  const cut = cutOf(model)
  if ('reason' in cut) throw new Error(cut.reason)
  const types = new Map(cut.handed.flat().map((name) => [name, 'float32']))
  return { cut, models: Array.from({ length: cut.parts }, (_, index) => cut.part(index, types)) }
}
const weights = (model: OnnxModel): string[] => model.graph.initializer.map((tensor) => tensorHead(tensor)).filter(({ bytes }) => (bytes ?? 0) > 1024).map(({ name }) => name)

describe('a graph cut at its layers', () => {
  it('gives one layer after another, each with its own weights alone', async () => {
    const model = await llama({ tied: false })
    const { models } = parts(model)
    expect(models.map(({ graph }) => graph.output.map(({ name }) => name).filter((name) => name?.startsWith('present') || name === 'logits'))).toEqual([
      ['present.0.key', 'present.0.value'],
      ['present.1.key', 'present.1.value'],
      ['logits'],
    ])
    expect(models.flatMap(weights).sort()).toEqual(weights(model).sort())
    expect(models.reduce((sum, { graph }) => sum + graph.node.length, 0)).toBe(model.graph.node.length)
  })

  it('hands on little: the hidden states, the queries, the mask and the angles', async () => {
    const { cut } = parts(await llama())
    expect(cut.handed.map((names) => names.length)).toEqual([expect.any(Number), expect.any(Number), 0])
    for (const names of cut.handed) expect(names.length).toBeLessThan(8)
  })

  it('is refused where attention is one operator', async () => {
    const model = await llama()
    const fused = withGraph(model, { node: [...model.graph.node, node('GroupQueryAttention', ['embedded'], 'fused')] })
    expect(cutOf(fused)).toEqual({ reason: expect.stringContaining('fused operator') as string })
  })

  it('is refused where new tokens are read by more than the concatenation, or there is none', async () => {
    const model = await llama()
    const read = withGraph(model, { node: [...model.graph.node, node('Identity', ['layer.1.new.value'], 'elsewhere')] })
    expect(cutOf(read)).toEqual({ reason: expect.stringContaining('present.1.value is not all that reads the new tokens') as string })
    const other = withGraph(model, { node: model.graph.node.map((each) => (each.output[0] === 'present.0.key' ? node('Identity', ['layer.0.new.key'], 'present.0.key') : each)) })
    expect(cutOf(other)).toEqual({ reason: expect.stringContaining('present.0.key is not made by concatenating') as string })
  })
})
