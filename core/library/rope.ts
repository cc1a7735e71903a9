import type { ModelFacts } from '#core/contract/run.ts'
import { isObject, object, positive, whole } from './fields.ts'

type Config = Record<string, unknown>
/** Rotation as config.json has it: `full` of layers that see all, `local` the base of those with a window, where they have one of their own. */
type Rope = { readonly theta: number | null; readonly local: number | null; readonly scaling: Config; readonly type: string | null }

/** transformers' base where a file of these families names none. */
const DEFAULT_THETA = 10_000
const WITH_DEFAULT = new Set(['llama', 'mistral', 'mixtral', 'phi', 'phi3', 'gemma', 'gemma2', 'qwen2', 'stablelm'])
/** Families whose positions are rows of a table that was trained. */
const LEARNED = new Set(['gpt2', 'gpt_neo', 'gpt_bigcode', 'opt', 'biogpt', 'xglm'])
const SLOPES = new Set(['bloom', 'mpt'])

/** How positions get into the keys, as a result records it. */
export function ropeOf(config: Config): ModelFacts['rope'] {
  const { theta, type } = rope(config)
  return { theta, scaling: type }
}

/** The same in words: `θ 10,000`, `llama3 ×32 of 8,192, θ 500,000`, `none: learned positions`; null where nobody knows. */
export function ropeWords(config: Config): string | null {
  const family = String(config['model_type'])
  if (LEARNED.has(family)) return 'none: learned positions'
  if (SLOPES.has(family)) return 'none: slopes on distances (ALiBi)'
  const { theta, local, scaling, type } = rope(config)
  const base = theta ?? (WITH_DEFAULT.has(family) ? DEFAULT_THETA : null)
  const part = positive(config['partial_rotary_factor']) ?? positive(scaling['partial_rotary_factor']) ?? positive(config['rotary_pct'])
  const words = [
    ...(type === null ? [] : [scalingWords(type, scaling, config)]),
    ...(part !== null && part < 1 ? [`partial ${Math.round(100 * part)} %`] : []),
    ...(base === null ? [] : [`θ ${number(base)}`]),
    ...(local === null || local === theta ? [] : [`θ ${number(local)} in layers with a window`]),
  ]
  return words.length === 0 ? null : words.join(', ')
}

function scalingWords(type: string, scaling: Config, config: Config): string {
  const factor = positive(scaling['factor'])
  const original = whole(scaling['original_max_position_embeddings']) ?? whole(config['original_max_position_embeddings'])
  return [type, ...(factor === null || type === 'longrope' ? [] : [`×${number(factor)}`]), ...(original === null ? [] : [`of ${number(original)}`])].join(' ')
}

function rope(config: Config): Rope {
  // Newer files hold one `rope_parameters` in place of `rope_theta` and `rope_scaling`, or one for each kind of layer.
  const parameters = object(config['rope_parameters'])
  const full = isObject(parameters['full_attention']) ? parameters['full_attention'] : parameters
  const scaling = isObject(config['rope_parameters']) ? full : object(config['rope_scaling'])
  const named = scaling['rope_type'] ?? scaling['type']
  return {
    theta: positive(config['rope_theta']) ?? positive(full['rope_theta']),
    local: positive(config['rope_local_base_freq']) ?? positive(object(parameters['sliding_attention'])['rope_theta']),
    scaling,
    // The name that Phi-3's first files had for it.
    type: typeof named !== 'string' || named === 'default' ? null : named === 'su' ? 'longrope' : named,
  }
}

/** As other numbers are written, whatever the machine's language. */
function number(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 3 })
}
