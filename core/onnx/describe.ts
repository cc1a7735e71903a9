import { LabError } from '#core/contract/errors.ts'
import type { OnnxInfo, OnnxValue } from '#core/contract/files.ts'
import { attentionOf } from './attention.ts'
import { splitHead } from './head.ts'
import { readGraph, type KvGraph } from './kv-graph.ts'
import { withMetrics } from './metrics.ts'
import { elementType, tensorHead, type OnnxModel } from './model.ts'
import type { ValueInfoProto } from './onnx_pb.ts'
import { weightsType } from './weights.ts'

/** What a model says of itself, whether its KV cache can be evaluated, and which edits apply to it. */
export function describeModel(model: OnnxModel, path: string, bytes: number): OnnxInfo {
  const heads = model.graph.initializer.map(tensorHead)
  const weights = new Set(heads.map(({ name }) => name))
  const inputs = model.graph.input.filter(({ name = '' }) => !weights.has(name)).map(valueOf)
  const outputs = model.graph.output.map(valueOf)
  const graph = kvGraph(path, inputs, outputs)
  return {
    kind: 'onnx',
    path,
    bytes,
    producer: model.producerName ? [model.producerName, model.producerVersion].filter(Boolean).join(' ') : null,
    irVersion: Number(model.irVersion ?? 0n),
    opsets: model.opsetImport.map(({ domain, version }) => ({ domain: domain || 'ai.onnx', version: Number(version ?? 0n) })),
    inputs,
    outputs,
    operators: operatorsOf(model),
    attention: 'reason' in graph ? null : attentionOf(model).kind,
    weightsType: weightsType(model),
    weights: byType(heads),
    externalFiles: [...new Set(heads.flatMap(({ external }) => (external ? [external.location] : [])))].sort(),
    cache: 'reason' in graph ? null : { layers: graph.layers, kvHeads: graph.kvHeads, headDim: graph.headDim, dtype: graph.kvDtype },
    unusable: 'reason' in graph ? graph.reason : null,
    edits: editsOf(model, 'reason' in graph ? null : graph.vocab),
    notes: notesOf(model),
  }
}

/** ONNX Runtime's names of element types, which the inputs and outputs of an open graph have too. */
const RUNTIME_NAMES: Readonly<Record<string, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16', F64: 'float64', I64: 'int64', I32: 'int32', I8: 'int8', U8: 'uint8', BOOL: 'bool' }

function valueOf({ name = '', type }: ValueInfoProto): OnnxValue {
  const tensor = type?.tensorType
  if (!tensor) return { name, type: 'none', shape: [] }
  const dtype = elementType(tensor.elemType)
  const shape = tensor.shape?.dim.map(({ dimValue, dimParam }) => (dimValue === undefined ? (dimParam ?? '?') : Number(dimValue))) ?? []
  return { name, type: RUNTIME_NAMES[dtype] ?? dtype.toLowerCase(), shape }
}

function kvGraph(path: string, inputs: readonly OnnxValue[], outputs: readonly OnnxValue[]): KvGraph | { reason: string } {
  try {
    return readGraph(path, inputs, outputs)
  } catch (error) {
    if (error instanceof LabError && error.code === 'MODEL_UNSUPPORTED') return error.details as { reason: string }
    throw error
  }
}

function operatorsOf(model: OnnxModel): OnnxInfo['operators'] {
  const counts = new Map<string, { type: string; domain: string; count: number }>()
  for (const { opType = '', domain } of model.graph.node) {
    const key = `${domain ?? ''} ${opType}`
    const known = counts.get(key) ?? { type: opType, domain: domain || 'ai.onnx', count: 0 }
    known.count++
    counts.set(key, known)
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || a.type.localeCompare(b.type))
}

function byType(heads: readonly ReturnType<typeof tensorHead>[]): OnnxInfo['weights'] {
  const types = new Map<string, { dtype: string; tensors: number; bytes: number }>()
  for (const { dtype, bytes } of heads) {
    const known = types.get(dtype) ?? { dtype, tensors: 0, bytes: 0 }
    known.tensors++
    known.bytes += bytes ?? 0
    types.set(dtype, known)
  }
  return [...types.values()].sort((a, b) => b.bytes - a.bytes)
}

function editsOf(model: OnnxModel, vocab: number | null): OnnxInfo['edits'] {
  const split = splitHead(model)
  const names = ['split before the LM head: a prefill computes no logits', 'metrics after the logits: only a few numbers a token leave the graph'] as const
  if ('reason' in split) return names.map((name) => ({ name, reason: split.reason }))
  // A vocabulary that only config.json gives changes the sums, not whether there can be any.
  const metrics = withMetrics(split.head, vocab ?? 1)
  return [{ name: names[0], reason: null }, { name: names[1], reason: 'reason' in metrics ? metrics.reason : null }]
}

function notesOf(model: OnnxModel): string[] {
  const levels = model.graph.node.filter(({ opType }) => opType === 'MatMulNBits').map(({ attribute }) => Number(attribute.find(({ name }) => name === 'accuracy_level')?.i ?? 0n))
  // Level 4 computes in int8: measured on SmolLM2, 3.6e-3 nats of KL against the same weights in F32.
  if (!levels.includes(INT8_ACTIVATIONS)) return []
  return ['its MatMulNBits operators round activations to int8 (accuracy_level 4): that alone costs some 4e-3 nats of KL, and hides differences below it']
}

/** `accuracy_level` of MatMulNBits at which it rounds activations to int8. */
const INT8_ACTIVATIONS = 4
