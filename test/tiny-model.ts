import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { graphBytes, integer, integers, node, tensor, value, type TypeName } from './onnx-writer.ts'

/** What a tiny model is to be like; the default is a sound float32 model. */
export type TinyModel = {
  kv?: 'float32' | 'float16' | 'int8' | 'bfloat16'
  /** Outputs of the KV cache under this word, null for none. */
  present?: string | null
  positionIds?: boolean
  /** One more input that no one feeds. */
  extraInput?: string
  /** Tables of the KV cache in `model.onnx_data`, which is not written. */
  external?: boolean
  /** This token's logits hold a NaN. */
  poisoned?: number
}

export const TINY = { vocab: 8, layers: 2, kvHeads: 2, headDim: 4 }

/**
 * A folder with a two-layer model of ONNX operators: each token's keys and values come from tables, present = past + new, and the logits
 * are a table's row plus the sum over all values of the cache. No attention, but every input and output of a language model.
 */
export async function tinyModel(options: TinyModel = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kvlab-tiny-'))
  await mkdir(join(folder, 'onnx'))
  await writeFile(join(folder, 'onnx', 'model.onnx'), tinyOnnx(options))
  await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: 'llama', vocab_size: TINY.vocab, max_position_embeddings: 16, rope_theta: 10000 }))
  const tokens = Object.fromEntries([...'abcdefgh'].map((letter, id) => [letter, id]))
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ version: '1.0', added_tokens: [], model: { type: 'BPE', vocab: tokens, merges: [] } }))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast' }))
  return folder
}

function tinyOnnx({ kv = 'float32', present = 'present', positionIds = true, extraInput, external = false, poisoned }: TinyModel): Uint8Array {
  const { vocab, layers, kvHeads, headDim } = TINY
  const summed = kv === 'float32' || kv === 'float16'
  const logitsType: TypeName = summed ? kv : 'float32'
  const cache = ['batch', kvHeads, 'past', headDim] as const
  const nodes: Uint8Array[] = []
  const inputs = [value('input_ids', 'int64', ['batch', 'tokens']), value('attention_mask', 'int64', ['batch', 'all'])]
  if (positionIds) inputs.push(value('position_ids', 'int64', ['batch', 'tokens']))
  if (extraInput !== undefined) inputs.push(value(extraInput, 'int64', ['batch']))
  const outputs = [value('logits', logitsType, ['batch', 'tokens', vocab])]
  const table = Array.from({ length: vocab * vocab }, (_, i) => (Math.floor(i / vocab) === poisoned ? NaN : ((i * 5) % 11) / 4))
  const initializers = [tensor('table', logitsType, [vocab, vocab], table), tensor('token_axis', 'int64', [1], [2]), tensor('row', 'int64', [3], [0, 1, vocab])]
  let logits = 'looked_up'
  nodes.push(node('Gather', ['table', 'input_ids'], [logits]))
  for (let layer = 0; layer < layers; layer++) {
    for (const side of ['key', 'value']) {
      const name = `${layer}.${side}`
      const output = `${present ?? 'hidden'}.${name}`
      inputs.push(value(`past_key_values.${name}`, kv, cache))
      if (present !== null) outputs.push(value(output, kv, ['batch', kvHeads, 'all', headDim]))
      const rows = Array.from({ length: vocab * kvHeads * headDim }, (_, i) => ((i * 7 + layer) % 13) / 16)
      initializers.push(tensor(`rows.${name}`, kv, [vocab, kvHeads, headDim], rows, external ? { location: 'model.onnx_data' } : null))
      nodes.push(node('Gather', [`rows.${name}`, 'input_ids'], [`new.${name}`]))
      nodes.push(node('Transpose', [`new.${name}`], [`turned.${name}`], integers('perm', [0, 2, 1, 3])))
      nodes.push(node('Concat', [`past_key_values.${name}`, `turned.${name}`], [output], integer('axis', 2)))
      if (!summed || side === 'key') continue
      nodes.push(node('ReduceSum', [output, 'token_axis'], [`sum.${name}`]))
      nodes.push(node('Reshape', [`sum.${name}`, 'row'], [`flat.${name}`]))
      nodes.push(node('Add', [logits, `flat.${name}`], [layer === layers - 1 ? 'logits' : `added.${name}`]))
      logits = `added.${name}`
    }
  }
  if (!summed) nodes.push(node('Identity', ['looked_up'], ['logits']))
  return graphBytes({ nodes, initializers, inputs, outputs }, 17)
}
