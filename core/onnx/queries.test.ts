import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { smallLlama } from '../../test/small-llama.ts'
import { node } from './build.ts'
import { constant, readModel, withGraph, type OnnxModel } from './model.ts'
import type { NodeProto } from './onnx_pb.ts'
import { queriesOf } from './queries.ts'

const PRESENT = [0, 1].map((layer) => ({ key: `present.${layer}.key`, value: `present.${layer}.value` }))
const llama = async (): Promise<OnnxModel> => readModel(await readFile(join(await smallLlama(), 'onnx', 'model.onnx')), 'llama')

/** The model with other nodes in place of the one that makes `output`. */
function replaced(model: OnnxModel, output: string, by: (old: NodeProto) => NodeProto[]): OnnxModel {
  return withGraph(model, { node: model.graph.node.flatMap((each) => (each.output[0] === output ? by(each) : [each])) })
}

describe('the queries of a graph', () => {
  it('are what is multiplied with the present keys, before one number scales it', async () => {
    const model = await llama()
    expect(queriesOf(model, PRESENT)).toEqual(['layer.0.grouped', 'layer.1.grouped'])
    // The same number from the size of a head, as exports of torch have it.
    const fromShape = replaced(model, 'layer.1.scaled', () => [
      node('Shape', ['layer.1.grouped'], 'size'),
      node('Slice', ['size', 'from', 'to'], 'width'),
      node('Sqrt', ['width'], 'width.root'),
      node('Div', ['layer.1.grouped', 'width.root'], 'layer.1.scaled'),
    ])
    const numbers = withGraph(fromShape, { initializer: [...fromShape.graph.initializer, constant('from', 'I64', [1], [3]), constant('to', 'I64', [1], [4])] })
    expect(queriesOf(numbers, PRESENT)).toEqual(['layer.0.grouped', 'layer.1.grouped'])
    // A factor for each channel is part of the query.
    const vector = replaced(model, 'layer.0.scaled', () => [node('Mul', ['layer.0.grouped', 'channels'], 'layer.0.scaled')])
    expect(queriesOf(withGraph(vector, { initializer: [...vector.graph.initializer, constant('channels', 'F32', [8], [1, 2, 3, 4, 5, 6, 7, 8])] }), PRESENT)).toEqual(['layer.0.scaled', 'layer.1.grouped'])
  })

  it('are refused where there is no such product, or something else reads them', async () => {
    const model = await llama()
    expect(queriesOf(replaced(model, 'layer.1.keys', () => [node('Neg', ['present.1.key'], 'layer.1.keys')]), PRESENT)).toEqual({ reason: 'no one product of queries with present.1.key was found' })
    const read = withGraph(model, { node: [...model.graph.node, node('Identity', ['layer.1.grouped'], 'elsewhere')] })
    expect(queriesOf(read, PRESENT)).toEqual({ reason: 'layer.1.grouped is read by more than the product with present.1.key' })
  })
})
