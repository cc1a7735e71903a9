import { readFile } from 'node:fs/promises'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { ModelFacts } from '#core/contract/run.ts'
import { ropeFacts, type RopeFacts } from '#core/kv/cache.ts'
import { isObject, object, positive, whole } from './fields.ts'
import { ropeOf, ropeWords } from './rope.ts'

/** What config.json says of a model and the graph does not; null where it is silent. Lengths in tokens. */
export type ModelConfig = {
  readonly family: string | null
  /** The longest context. */
  readonly maxPositions: number | null
  readonly vocab: number | null
  readonly queryHeads: number | null
  /** As a result records it. */
  readonly rope: ModelFacts['rope']
  /** How keys of that head size are rotated; null where that is not known for certain. */
  readonly rotation: (headDim: number) => RopeFacts | null
  /** As a person reads it. */
  readonly ropeWords: string | null
  /** From this length on positions are rotated by other factors (longrope). */
  readonly ropeSwitch: number | null
  /** Tokens that some layers look back, where that is less than the longest context. */
  readonly window: number | null
  /** Whether each layer has that window; null where the file does not say it layer by layer. */
  readonly windowed: readonly boolean[] | null
  /** Bounds of attention scores and of logits, c · tanh(x / c). */
  readonly softCaps: { readonly attention: number | null; readonly logits: number | null }
}

/** config.json is some kilobytes. */
const MAX_CONFIG_BYTES = 4 * 2 ** 20

/** The configuration at `path`. Throws LabError MODEL_BROKEN where it is no JSON object, or of file errors. */
export async function readConfig(path: string): Promise<ModelConfig> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  return configOf(parsed(text, path))
}

/** The same of a parsed file, for what it holds, whatever that is. */
export function configOf(document: Record<string, unknown>): ModelConfig {
  // Models that also see pictures keep what concerns their text apart.
  const inner = document['text_config']
  const config = isObject(inner) ? inner : document
  const family = document['model_type']
  const maxPositions = whole(config['max_position_embeddings']) ?? whole(config['n_positions'])
  const switchAt = whole(config['original_max_position_embeddings']) ?? whole(object(config['rope_scaling'])['original_max_position_embeddings'])
  const rope = ropeOf(config)
  return {
    family: typeof family === 'string' ? family : null,
    maxPositions,
    vocab: whole(config['vocab_size']),
    queryHeads: whole(config['num_attention_heads']) ?? whole(config['n_head']),
    rope,
    rotation: (headDim) => ropeFacts(config, headDim),
    ropeWords: ropeWords(config),
    ropeSwitch: rope.scaling === 'longrope' && switchAt !== null && switchAt !== maxPositions ? switchAt : null,
    window: windowOf(config, maxPositions),
    windowed: Array.isArray(config['layer_types']) ? config['layer_types'].map((type) => type === 'sliding_attention') : null,
    softCaps: { attention: positive(config['attn_logit_softcapping']), logits: positive(config['final_logit_softcapping']) },
  }
}

/** Some families name a window that their layers do not use. */
function windowOf(config: Record<string, unknown>, maxPositions: number | null): number | null {
  const window = whole(config['sliding_window'])
  if (window === null || (maxPositions !== null && window >= maxPositions)) return null
  const { layer_types: layers, use_sliding_window: use, model_type: type } = config
  if (Array.isArray(layers)) return layers.includes('sliding_attention') ? window : null
  // transformers takes the window of Qwen's only where the file says so.
  const used = typeof use === 'boolean' ? use : !/^qwen/.test(String(type))
  return used ? window : null
}

function parsed(text: string, path: string): Record<string, unknown> {
  let reason = 'it is not a JSON object'
  try {
    if (text.length > MAX_CONFIG_BYTES) throw new Error(`it has more than ${MAX_CONFIG_BYTES} characters`)
    const document: unknown = JSON.parse(text)
    if (isObject(document)) return document
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error)
  }
  throw new LabError('MODEL_BROKEN', `${path} cannot be read (${reason}): get the file again`, { reason })
}
