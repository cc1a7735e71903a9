import { type RopeFacts, scalingOf } from './rope.ts'

type Config = Readonly<Record<string, unknown>>

/** Families that pair channel i with i + half and rotate every layer alike. */
const HALF_SPLIT = new Set(['llama', 'mistral', 'mixtral', 'qwen2', 'qwen2_moe', 'qwen3', 'qwen3_moe', 'phi', 'phi3', 'gemma', 'gemma2', 'stablelm', 'starcoder2', 'olmo', 'olmo2', 'granite'])
const DEFAULT_THETA = 10_000

/**
 * How a model rotates its keys, from its config.json; null where that is not known for certain: other families, whose pairs lie otherwise or whose layers differ,
 * and scalings that depend on the length of the text (`dynamic`, `longrope`).
 */
export function ropeFacts(config: Config, headDim: number): RopeFacts | null {
  if (!HALF_SPLIT.has(String(config['model_type']))) return null
  const parameters = recordOf(config['rope_parameters'])
  // One for each kind of layer.
  if (Object.values(parameters).some((value) => typeof value === 'object' && value !== null)) return null
  const scaling: Config = { ...recordOf(config['rope_scaling']), ...parameters }
  const theta = config['rope_theta'] ?? scaling['rope_theta'] ?? DEFAULT_THETA
  const part = config['partial_rotary_factor'] ?? scaling['partial_rotary_factor'] ?? 1
  if (typeof theta !== 'number' || !(theta > 1) || typeof part !== 'number' || !(part > 0 && part <= 1)) return null
  const rotaryDims = Math.floor(headDim * part)
  if (rotaryDims < 2 || rotaryDims % 2 !== 0) return null
  const type = scaling['rope_type'] ?? scaling['type'] ?? 'default'
  if (type === 'default') return { theta, rotaryDims, scaling: null }
  const originalTokens = scaling['original_max_position_embeddings'] ?? config['original_max_position_embeddings'] ?? (type === 'yarn' ? config['max_position_embeddings'] : undefined)
  // yarn's corrections are rounded to whole pairs unless a file says otherwise, which is rare and not built.
  if (scaling['truncate'] === false) return null
  const read = scalingOf({
    type,
    factor: scaling['factor'],
    lowFactor: scaling['low_freq_factor'],
    highFactor: scaling['high_freq_factor'],
    betaFast: scaling['beta_fast'] ?? 32,
    betaSlow: scaling['beta_slow'] ?? 1,
    originalTokens,
  })
  return read && { theta, rotaryDims, scaling: read }
}

function recordOf(value: unknown): Config {
  return typeof value === 'object' && value !== null ? (value as Config) : {}
}
