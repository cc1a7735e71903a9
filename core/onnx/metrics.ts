import { newModel, node, value } from './build.ts'
import { constant, elementType, opsetOf, withGraph, writeModel, type OnnxModel } from './model.ts'
import type { NodeProto } from './onnx_pb.ts'
import type { Refusal } from './head.ts'

/**
 * What the metrics part of a graph is fed beside the hidden states, `[batch, tokens, …]`:
 * `logits` of the reference F32 [vocab]; its `weights` F32 [vocab], e^(logit - maximum); `picks` I64 [2]: the target and the reference's most likely token.
 */
export const METRIC_INPUTS = { logits: 'kvlab.reference.logits', weights: 'kvlab.reference.weights', picks: 'kvlab.picks' } as const
/**
 * What it gives, F32 `[batch, tokens, …]`, with d = logit - the reference's logit and w the weights:
 * `max` [1] of the logits; `picked` [2], the logits at `picks`; `excess`, sums of w (e^d - 1), and `shift`, sums of w d, each over runs of `metricRun` tokens of the
 * vocabulary: [vocab / run]. With W = Σ w: ln Σ e^logit = the reference's + ln(1 + Σ excess / W), and KL(reference || this) = ln(1 + Σ excess / W) - Σ shift / W.
 * Differences go into the sums, so that equal logits give zeros, and nearby ones lose nothing to rounding.
 */
export const METRIC_OUTPUTS = { max: 'kvlab.max', picked: 'kvlab.picked', excess: 'kvlab.excess', shift: 'kvlab.shift' } as const

/**
 * The logits as F32, in place of F16 ones. ONNX Runtime computes them in F32 on a CPU and rounds them for the output alone, so that a comparison inside the graph
 * would see others than the caller.
 */
export const WIDE_LOGITS = 'kvlab.logits'

/** Terms that are summed in F32 before the caller goes on in F64: few enough that small terms are not lost beside large ones. */
const LONGEST_RUN = 256
/** A vocabulary that no such power of two divides well is summed whole. */
const SHORTEST_RUN = 16

/** How many tokens of the vocabulary go into one sum. */
export function metricRun(vocab: number): number {
  for (let run = LONGEST_RUN; run >= SHORTEST_RUN; run /= 2) if (vocab % run === 0) return run
  return vocab
}

/** Operators that are needed, by the first operator set that has them as they are written here. */
const OLDEST_OPSET = 13
/** From here on ReduceMax takes its axes as an input. */
const AXES_AS_INPUT = 18

/** A head that compares its logits with a reference's where they are made: only a few numbers a token leave the model. `logits` stay an output, computed in any case. */
export function withMetrics(head: OnnxModel, vocab: number): OnnxModel | Refusal {
  const opset = opsetOf(head)
  if (opset < OLDEST_OPSET) return { reason: `its operator set ${opset} is older than ${OLDEST_OPSET}` }
  const logits = head.graph.output.find(({ name }) => name === 'logits')
  const type = elementType(logits?.type?.tensorType?.elemType)
  if (type !== 'F32' && type !== 'F16') return { reason: `its logits are ${type}, not F32 or F16` }
  const run = metricRun(vocab)
  const nodes: NodeProto[] = []
  const row = (last: number): (number | string)[] => ['batch', 'tokens', last]
  const op = (opType: string, input: readonly string[], output: string, attributes: Readonly<Record<string, number | readonly number[]>> = {}): string => {
    nodes.push(node(opType, input, output, attributes))
    return output
  }
  const z = type === 'F32' ? 'logits' : op('Cast', ['logits'], WIDE_LOGITS, { to: 1 })
  const maxAxes = opset < AXES_AS_INPUT ? { axes: [-1] } : {}
  op('ReduceMax', [z, ...(opset < AXES_AS_INPUT ? [] : ['kvlab.axis'])], METRIC_OUTPUTS.max, { ...maxAxes, keepdims: 1 })
  op('GatherElements', [z, METRIC_INPUTS.picks], METRIC_OUTPUTS.picked, { axis: 2 })
  const d = op('Sub', [z, METRIC_INPUTS.logits], 'kvlab.d')
  const growth = op('Sub', [op('Exp', [d], 'kvlab.exp'), 'kvlab.one'], 'kvlab.growth')
  for (const [values, sum] of [[growth, METRIC_OUTPUTS.excess], [d, METRIC_OUTPUTS.shift]] as const) {
    const terms = op('Mul', [values, METRIC_INPUTS.weights], `${sum}.terms`)
    op('ReduceSum', [op('Reshape', [terms, 'kvlab.runs'], `${sum}.runs`), 'kvlab.axis'], sum, { keepdims: 0 })
  }
  const constants = [constant('kvlab.axis', 'I64', [1], [-1]), constant('kvlab.one', 'F32', [], [1]), constant('kvlab.runs', 'I64', [4], [0, 0, -1, run])]
  return withGraph(head, {
    node: [...head.graph.node, ...nodes],
    initializer: [...head.graph.initializer, ...constants],
    input: [...head.graph.input, value(METRIC_INPUTS.logits, 'F32', row(vocab)), value(METRIC_INPUTS.weights, 'F32', row(vocab)), value(METRIC_INPUTS.picks, 'I64', row(2))],
    output: [...head.graph.output, ...(type === 'F16' ? [value(WIDE_LOGITS, 'F32', row(vocab))] : []), value(METRIC_OUTPUTS.max, 'F32', row(1)), value(METRIC_OUTPUTS.picked, 'F32', row(2)), value(METRIC_OUTPUTS.excess, 'F32', row(vocab / run)), value(METRIC_OUTPUTS.shift, 'F32', row(vocab / run))],
  })
}

/**
 * The graph that makes a reference's weights e^(logit - maximum), of `logits` F32 [rows, vocab] and `maxima` F32 [rows, 1]; a model of its own, because they are
 * needed once a window and a graph computes all it has at every run.
 */
export function weightsModel(): Uint8Array[] {
  const nodes = [node('Sub', ['logits', 'maxima'], 'differences'), node('Exp', ['differences'], 'weights')]
  return writeModel(newModel(nodes, [], [value('logits', 'F32', ['rows', 'vocab']), value('maxima', 'F32', ['rows', 1])], [value('weights', 'F32', ['rows', 'vocab'])]))
}
