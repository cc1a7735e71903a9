import { newModel, node, value } from './build.ts'
import { constant, writeModel } from './model.ts'

/** Shape of the probe: the rows of a short window, the width of a small model. */
export const PROBE = { rows: 64, width: 768, layers: 4 } as const

/** A graph of nothing but what language models spend their time on, to time a machine with: matrix products with one elementwise operation between them. */
export function probeModel(): Uint8Array[] {
  const { rows, width, layers } = PROBE
  const weights = Array.from({ length: width * width }, (_, i) => ((i * 37) % 101) / 101 - 0.5)
  const nodes = Array.from({ length: layers }, (_, layer) => [
    node('MatMul', [layer === 0 ? 'x' : `bounded.${layer - 1}`, 'weight'], `product.${layer}`),
    node('Tanh', [`product.${layer}`], `bounded.${layer}`),
  ]).flat()
  return writeModel(newModel(nodes, [constant('weight', 'F32', [width, width], weights)], [value('x', 'F32', [rows, width])], [value(`bounded.${layers - 1}`, 'F32', [rows, width])]))
}
