import { tensorHead, type OnnxModel } from './model.ts'
import type { NodeProto } from './onnx_pb.ts'

/** Operators that take a matrix in blocks, with a scale a block: which input is the matrix, and the bits of a weight where the node does not say. */
const BLOCKED: Readonly<Record<string, { matrix: number; bits: number; letters: string }>> = {
  MatMulNBits: { matrix: 1, bits: 4, letters: 'I' },
  GatherBlockQuantized: { matrix: 0, bits: 4, letters: 'I' },
  MatMulBnb4: { matrix: 1, bits: 4, letters: 'BNB' },
}
/** A kind of weights that has less than this part of the bytes is not worth a word. */
const WORTH_A_WORD = 0.1

/**
 * What the weights are, the largest part first: `F32`, `F16`, `I4 in blocks of 32 (MatMulNBits) and F32`. Scales and zero points count as their matrix.
 * null where there are none.
 */
export function weightsType(model: OnnxModel): string | null {
  const heads = new Map(model.graph.initializer.map(tensorHead).map((head) => [head.name, head]))
  const kinds = new Map<string, string>()
  for (const node of model.graph.node) {
    const kind = kindOf(node, heads.get(node.input[node.opType === 'DequantizeLinear' ? 0 : (BLOCKED[node.opType ?? '']?.matrix ?? 0)] ?? '')?.dtype)
    if (kind !== null) for (const name of node.input) if (heads.has(name)) kinds.set(name, kind)
  }
  const sums = new Map<string, number>()
  for (const { name, dtype, bytes } of heads.values()) {
    const kind = kinds.get(name) ?? dtype
    sums.set(kind, (sums.get(kind) ?? 0) + (bytes ?? 0))
  }
  const total = [...sums.values()].reduce((sum, bytes) => sum + bytes, 0)
  const large = [...sums].filter(([, bytes]) => bytes > 0 && bytes >= WORTH_A_WORD * total).sort(([, a], [, b]) => b - a)
  const words = large.map(([kind]) => kind)
  return words.length === 0 ? null : [words.slice(0, -1).join(', '), ...words.slice(-1)].filter((part) => part !== '').join(' and ')
}

function kindOf(node: NodeProto, dtype: string | undefined): string | null {
  const { opType = '' } = node
  const number = (name: string): number | undefined => {
    const value = node.attribute.find((attribute) => attribute.name === name)?.i
    return value === undefined ? undefined : Number(value)
  }
  if (dtype === undefined) return null
  const block = number('block_size') ?? 0
  if (opType === 'DequantizeLinear') return block > 0 ? `${dtype} in blocks of ${block} (DequantizeLinear)` : dtype
  const blocked = BLOCKED[opType]
  return blocked ? `${blocked.letters}${number('bits') ?? blocked.bits} in blocks of ${block} (${opType})` : null
}
