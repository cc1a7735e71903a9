import { attentionOf } from './attention.ts'
import { typedValue, untypedValue } from './build.ts'
import type { Refusal } from './head.ts'
import type { KvGraph } from './kv-graph.ts'
import { namesRead, tensorHead, type OnnxModel } from './model.ts'
import type { NodeProto, ValueInfoProto } from './onnx_pb.ts'
import { needed, producers, subgraph } from './wiring.ts'

/**
 * A graph cut where each layer's keys and values are made, into one part more than it has layers: part n makes those of layer n from what parts before it left, and
 * all that comes after reads them as they are fed; the last part makes the outputs that were asked for.
 */
export type LayerCut = {
  readonly parts: number
  /** What each part hands to later ones besides keys, values and queries that are cut at, by name. */
  readonly handed: readonly (readonly string[])[]
  /** One part as a model of its own. `types`: of what the parts before it handed on, ONNX Runtime's names, such as `float32`. */
  part(index: number, types: ReadonlyMap<string, string>): OnnxModel
}

/** What a model whose attention is one fused operator is told; completes "in-pass: ". */
const FUSED = 'its attention is one fused operator, inside which keys and values cannot be edited: take an export with plain attention, or the mode streaming'

/**
 * Cut at the present keys and values of a graph that makes them by concatenating the past with the new tokens. In a pass without a past they are the new tokens', so
 * that whoever changes them on their way from part to part changes what this pass attends to. `outputs`: what the last part is to give; `queries`: of each layer the name of
 * its queries (queries.ts), to cut at them too; none to leave them inside.
 */
export function cutLayers(model: OnnxModel, { past, present }: Pick<KvGraph, 'past' | 'present'>, outputs: readonly ValueInfoProto[], queries: readonly string[] = []): LayerCut | Refusal {
  if (attentionOf(model).kind === 'fused') return { reason: FUSED }
  const made = producers(model)
  const layerOf = new Map<string, number>()
  for (const [layer, names] of present.entries()) {
    for (const side of ['key', 'value'] as const) {
      const reason = whyNotAppended(model, made.get(names[side]), past[layer]?.[side] ?? '')
      if (reason !== null) return { reason: `${names[side]} ${reason}` }
      layerOf.set(names[side], layer)
    }
    const query = queries[layer]
    if (query !== undefined) layerOf.set(query, layer)
  }
  const levels = levelsOf(model, layerOf)
  if ('reason' in levels) return levels
  const handed = handedOn(model, levels, layerOf, present.length, outputs.map(({ name = '' }) => name))
  const infos = new Map([...model.graph.input, ...model.graph.output].map((info) => [info.name ?? '', info]))
  const described = (name: string): ValueInfoProto => infos.get(name) ?? untypedValue(name)
  const part = (index: number, types: ReadonlyMap<string, string>): OnnxModel => {
    const cutAt = [...layerOf].flatMap(([name, layer]) => (layer === index ? [name] : []))
    const gives = index === present.length ? outputs : [...cutAt, ...(handed[index] ?? [])].map(described)
    const given = new Set([...handed.slice(0, index).flat(), ...[...layerOf].flatMap(([name, layer]) => (layer < index ? [name] : [])), ...model.graph.input.map(({ name = '' }) => name)])
    const weights = new Set(model.graph.initializer.map((tensor) => tensorHead(tensor).name))
    const { read } = needed(model, gives.map(({ name = '' }) => name), given)
    const takes = [...given].filter((name) => read.has(name) && !weights.has(name)).map((name) => {
      const type = types.get(name)
      return type === undefined ? described(name) : typedValue(name, type)
    })
    return subgraph(model, takes, gives)
  }
  return { parts: present.length + 1, handed, part }
}

/** Why a present value is not the past with new tokens behind it that nothing else reads; null where it is. */
function whyNotAppended(model: OnnxModel, node: NodeProto | undefined, past: string): string | null {
  const [before, added, ...more] = node?.input ?? []
  if (node?.opType !== 'Concat' || before !== past || added === undefined || more.length > 0) return 'is not made by concatenating the past with the new tokens'
  const others = model.graph.node.some((other) => other !== node && other.opType !== 'Shape' && namesRead(other).includes(added))
  return others ? 'is not all that reads the new tokens: an edit of it would not reach everything' : null
}

/** Of each value that depends on what is fed, the first part that can make it, or for what is cut at the first that reads it. */
function levelsOf(model: OnnxModel, layerOf: ReadonlyMap<string, number>): Map<string, number> | Refusal {
  const weights = new Set(model.graph.initializer.map((tensor) => tensorHead(tensor).name))
  const levels = new Map<string, number>(model.graph.input.flatMap(({ name = '' }) => (weights.has(name) ? [] : [[name, 0]])))
  for (const node of model.graph.node) {
    const read = namesRead(node).flatMap((name) => levels.get(name) ?? [])
    if (read.length === 0) continue
    const level = Math.max(...read)
    for (const name of node.output) {
      const layer = layerOf.get(name)
      if (layer !== undefined && layer !== level) return { reason: `${name} does not follow from the layer before it` }
      levels.set(name, layer === undefined ? level : level + 1)
    }
  }
  return levels
}

/** Of each part what it makes and later parts read, what is cut at apart. */
function handedOn(model: OnnxModel, levels: ReadonlyMap<string, number>, layerOf: ReadonlyMap<string, number>, last: number, outputs: readonly string[]): string[][] {
  const inputs = new Set(model.graph.input.map(({ name = '' }) => name))
  const handed = Array.from({ length: last + 1 }, () => new Set<string>())
  const take = (name: string, reader: number): void => {
    const level = levels.get(name)
    if (level !== undefined && level < reader && !inputs.has(name) && !layerOf.has(name)) handed[level]?.add(name)
  }
  for (const node of model.graph.node) {
    const reader = Math.max(...namesRead(node).map((name) => levels.get(name) ?? -1), -1)
    for (const name of namesRead(node)) take(name, reader)
  }
  for (const name of outputs) take(name, last)
  return handed.map((names) => [...names])
}
