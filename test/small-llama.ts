import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { graphBytes, integer, integers, node, raw, tensor, value, type TypeName } from './onnx-writer.ts'

/** A random Llama of ONNX operators; `external` puts its weights into a file beside the graph, `tied` takes the embedding for its head too. */
export type SmallLlama = { opset?: number; type?: 'float32' | 'float16'; vocab?: number; tied?: boolean; external?: boolean; seed?: number }

const [LAYERS, HEADS, KV_HEADS, DIM, WIDTH, INNER, POSITIONS] = [2, 4, 2, 8, 32, 48, 64]

/** A folder with the model: grouped-query attention, rotary positions, RMS norms, SwiGLU. */
export async function smallLlama(options: SmallLlama = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kvlab-llama-'))
  const { vocab = 96 } = options
  const { graph, data } = smallLlamaOnnx(options)
  await mkdir(join(folder, 'onnx'))
  await writeFile(join(folder, 'onnx', 'model.onnx'), graph)
  if (data.length > 0) await writeFile(join(folder, 'onnx', 'model.onnx_data'), Buffer.concat(data))
  await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: 'llama', vocab_size: vocab, max_position_embeddings: POSITIONS, rope_theta: 10000 }))
  const tokens = Object.fromEntries(Array.from({ length: vocab }, (_, id) => [String.fromCodePoint(0x4e00 + id), id]))
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ version: '1.0', added_tokens: [], model: { type: 'BPE', vocab: tokens, merges: [] } }))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast' }))
  return folder
}

function smallLlamaOnnx({ opset = 18, type = 'float32', vocab = 96, tied = true, external = false, seed = 1 }: SmallLlama): { graph: Uint8Array; data: Uint8Array[] } {
  const nodes: Uint8Array[] = []
  const initializers: Uint8Array[] = []
  const data: Uint8Array[] = []
  let offset = 0
  let state = seed
  // Multiples of 2^-9: exact in F16 too.
  const random = (scale: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) && (Math.round((state / 2 ** 31 - 1) * scale * 512) / 512 || 0)
  const constant = (name: string, of: TypeName, dims: number[], values: readonly number[]): string => {
    const bytes = raw(of, values)
    const outside = external && bytes.length > 256
    initializers.push(tensor(name, of, dims, values, outside ? { location: 'model.onnx_data', offset, length: bytes.length } : null))
    if (outside) {
      data.push(bytes)
      offset += bytes.length
    }
    return name
  }
  const weight = (name: string, rows: number, columns: number): string => constant(name, type, [rows, columns], Array.from({ length: rows * columns }, () => random(3 / Math.sqrt(rows))))
  const run = (op: string, inputs: readonly string[], output: string, ...attributes: Uint8Array[]): string => {
    nodes.push(node(op, inputs, [output], ...attributes))
    return output
  }
  const whole = (name: string, ...values: number[]): string => constant(name, 'int64', [values.length], values)
  const reduceMean = (input: string, output: string): string =>
    opset < 18 ? run('ReduceMean', [input], output, integers('axes', [-1]), integer('keepdims', 1)) : run('ReduceMean', [input, 'last'], output, integer('keepdims', 1))
  const norm = (input: string, name: string): string => {
    const squares = reduceMean(run('Mul', [input, input], `${name}.square`), `${name}.mean`)
    const scaled = run('Div', [input, run('Sqrt', [run('Add', [squares, 'epsilon'], `${name}.sum`)], `${name}.root`)], `${name}.scaled`)
    return run('Mul', [scaled, constant(`${name}.weight`, type, [WIDTH], Array.from({ length: WIDTH }, () => 1 + random(0.25)))], `${name}.out`)
  }
  whole('last', -1)
  constant('epsilon', type, [], [2 ** -9])
  constant('masked', type, [], [-512])
  constant('zero', type, [], [0])
  constant('begin', 'int64', [], [0])
  constant('step', 'int64', [], [1])
  constant('root', type, [], [Math.round(512 / Math.sqrt(DIM)) / 512])
  whole('axes.key', 0, 1, 2)
  whole('axes.query', 1, 3)
  whole('heads', 0, 0, HEADS, DIM)
  whole('kvHeads', 0, 0, KV_HEADS, DIM)
  whole('grouped', 0, KV_HEADS, -1, DIM)
  whole('ungrouped', 0, HEADS, -1, DIM)
  whole('flat', 0, 0, WIDTH)
  whole('head axis', 2)

  const cache = ['batch', KV_HEADS, 'past', DIM] as const
  const inputs = [value('input_ids', 'int64', ['batch', 'tokens']), value('attention_mask', 'int64', ['batch', 'all']), value('position_ids', 'int64', ['batch', 'tokens'])]
  const outputs = [value('logits', type, ['batch', 'tokens', vocab])]
  // Keys at or before a query's position are seen.
  run('Shape', ['attention_mask'], 'mask.shape')
  run('Gather', ['mask.shape', 'step'], 'mask.length', integer('axis', 0))
  run('Unsqueeze', [run('Range', ['begin', 'mask.length', 'step'], 'mask.keys'), 'axes.key'], 'mask.key')
  run('Where', [run('LessOrEqual', ['mask.key', run('Unsqueeze', ['position_ids', 'axes.query'], 'mask.query')], 'mask.seen'), 'zero', 'masked'], 'mask')
  for (const [name, of] of [['cos', Math.cos], ['sin', Math.sin]] as const) {
    const table = Array.from({ length: (POSITIONS * DIM) / 2 }, (_, i) => Math.round(of(Math.floor(i / (DIM / 2)) * 10000 ** (-(i % (DIM / 2)) / (DIM / 2))) * 512) / 512)
    run('Unsqueeze', [run('Gather', [constant(`${name}.table`, type, [POSITIONS, DIM / 2], table), 'position_ids'], `${name}.rows`, integer('axis', 0)), 'head axis'], name)
  }
  const rotate = (input: string): string => {
    nodes.push(node('Split', [input, 'halves'], [`${input}.a`, `${input}.b`], integer('axis', -1)))
    const times = (half: string, by: string): string => run('Mul', [`${input}.${half}`, by], `${input}.${half}.${by}`)
    const first = run('Sub', [times('a', 'cos'), times('b', 'sin')], `${input}.first`)
    const second = run('Add', [times('b', 'cos'), times('a', 'sin')], `${input}.second`)
    return run('Concat', [first, second], `${input}.rotated`, integer('axis', -1))
  }
  whole('halves', DIM / 2, DIM / 2)

  let hidden = run('Gather', [weight('embedding', vocab, WIDTH), 'input_ids'], 'embedded', integer('axis', 0))
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `layer.${layer}`
    const x = norm(hidden, `${at}.before`)
    const project = (name: string, heads: number): string => run('Reshape', [run('MatMul', [x, weight(`${at}.${name}`, WIDTH, heads * DIM)], `${at}.${name}.flat`), heads === HEADS ? 'heads' : 'kvHeads'], `${at}.${name}.heads`)
    const turn = (input: string, output: string): string => run('Transpose', [input], output, integers('perm', [0, 2, 1, 3]))
    const query = turn(rotate(project('query', HEADS)), `${at}.queries`)
    const sides = { key: rotate(project('key', KV_HEADS)), value: project('value', KV_HEADS) }
    for (const side of ['key', 'value'] as const) {
      inputs.push(value(`past_key_values.${layer}.${side}`, type, cache))
      outputs.push(value(`present.${layer}.${side}`, type, ['batch', KV_HEADS, 'all', DIM]))
      run('Concat', [`past_key_values.${layer}.${side}`, turn(sides[side], `${at}.new.${side}`)], `present.${layer}.${side}`, integer('axis', 2))
    }
    // Heads that share keys become rows of one matrix; the mask is repeated for them.
    const keys = run('Transpose', [`present.${layer}.key`], `${at}.keys`, integers('perm', [0, 1, 3, 2]))
    const scores = run('MatMul', [run('Mul', [run('Reshape', [query, 'grouped'], `${at}.grouped`), 'root'], `${at}.scaled`), keys], `${at}.scores`)
    const repeated = run('Concat', Array.from({ length: HEADS / KV_HEADS }, () => 'mask'), `${at}.mask`, integer('axis', 2))
    const shares = run('Softmax', [run('Add', [scores, repeated], `${at}.seen`)], `${at}.shares`, integer('axis', -1))
    const mixed = run('Reshape', [run('MatMul', [shares, `present.${layer}.value`], `${at}.mixed`), 'ungrouped'], `${at}.ungrouped`)
    const joined = run('Reshape', [turn(mixed, `${at}.turned`), 'flat'], `${at}.joined`)
    hidden = run('Add', [hidden, run('MatMul', [joined, weight(`${at}.output`, WIDTH, WIDTH)], `${at}.attention`)], `${at}.between`)
    const y = norm(hidden, `${at}.after`)
    const gate = run('MatMul', [y, weight(`${at}.gate`, WIDTH, INNER)], `${at}.gate.out`)
    const swish = run('Mul', [gate, run('Sigmoid', [gate], `${at}.sigmoid`)], `${at}.swish`)
    const inner = run('Mul', [swish, run('MatMul', [y, weight(`${at}.up`, WIDTH, INNER)], `${at}.up.out`)], `${at}.inner`)
    hidden = run('Add', [hidden, run('MatMul', [inner, weight(`${at}.down`, INNER, WIDTH)], `${at}.down.out`)], `${at}.out`)
  }
  const final = norm(hidden, 'final')
  const head = tied ? run('Transpose', ['embedding'], 'head', integers('perm', [1, 0])) : weight('head', WIDTH, vocab)
  run('MatMul', [final, head], 'logits')
  return { graph: graphBytes({ nodes, initializers, inputs, outputs }, opset), data }
}
