import { LabError } from '#core/contract/errors.ts'
import type { ModelFolder } from '#core/library/models.ts'
import { huggingFace } from './tokenizer.ts'

/** What the graph does not say of a model; null where the configuration is silent. `maxPositions`: the longest context in tokens. */
export type ModelConfig = {
  readonly maxPositions: number | null
  readonly vocab: number | null
  readonly rope: { readonly theta: number | null; readonly scaling: string | null }
}

/** The model's config.json. Throws LabError MODEL_BROKEN when it cannot be read. */
export async function loadConfig(model: ModelFolder): Promise<ModelConfig> {
  const { AutoConfig } = await huggingFace()
  try {
    const config: unknown = await AutoConfig.from_pretrained(model.folder, { local_files_only: true })
    // Newer files hold one `rope_parameters` object in place of `rope_theta` and `rope_scaling`.
    const parameters = field(config, 'rope_parameters')
    const scaling = parameters ?? field(config, 'rope_scaling')
    const type = field(scaling, 'rope_type') ?? field(scaling, 'type')
    return {
      maxPositions: whole(field(config, 'max_position_embeddings')),
      vocab: whole(field(config, 'vocab_size')),
      rope: {
        theta: positive(field(config, 'rope_theta') ?? field(parameters, 'rope_theta')),
        scaling: typeof type === 'string' && type !== 'default' ? type : null,
      },
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new LabError('MODEL_BROKEN', `${model.configPath} cannot be read (${reason}): get the file again`, { reason })
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? ((value as Record<string, unknown>)[name] ?? undefined) : undefined
}

function positive(value: unknown): number | null {
  return typeof value === 'number' && value > 0 && Number.isFinite(value) ? value : null
}

function whole(value: unknown): number | null {
  const number = positive(value)
  return number !== null && Number.isInteger(number) ? number : null
}
