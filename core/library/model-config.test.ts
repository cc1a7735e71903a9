import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { configOf, type ModelConfig } from './model-config.ts'

const LLAMA3 = { factor: 32.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 8192, rope_type: 'llama3' }

/** What files of these families say, the lines that matter. */
const FILES: [string, Record<string, unknown>, Partial<ModelConfig>][] = [
  ['Llama 3.2 1B', { model_type: 'llama', max_position_embeddings: 131072, num_attention_heads: 32, rope_theta: 500000.0, rope_scaling: LLAMA3, vocab_size: 128256 }, { family: 'llama', maxPositions: 131072, queryHeads: 32, vocab: 128256, rope: { theta: 500000, scaling: 'llama3' }, ropeWords: 'llama3 ×32 of 8,192, θ 500,000', window: null }],
  ['TinyLlama, whose first files named no base', { model_type: 'llama', max_position_embeddings: 2048, rope_scaling: null }, { rope: { theta: null, scaling: null }, ropeWords: 'θ 10,000' }],
  ['Llama 3 in the words of transformers 5', { model_type: 'llama', rope_parameters: { ...LLAMA3, rope_theta: 500000.0 } }, { rope: { theta: 500000, scaling: 'llama3' }, ropeWords: 'llama3 ×32 of 8,192, θ 500,000' }],
  ['Qwen 2.5, which names a window that it does not use', { model_type: 'qwen2', max_position_embeddings: 131072, sliding_window: 32768, use_sliding_window: false, rope_theta: 1e6 }, { window: null, ropeWords: 'θ 1,000,000' }],
  ['Qwen 2.5 that does not say whether it uses its window', { model_type: 'qwen2', max_position_embeddings: 131072, sliding_window: 32768 }, { window: null }],
  ['Qwen 2.5 with a long context', { model_type: 'qwen2', rope_theta: 1e6, rope_scaling: { factor: 4.0, original_max_position_embeddings: 32768, type: 'yarn' } }, { rope: { theta: 1e6, scaling: 'yarn' }, ropeWords: 'yarn ×4 of 32,768, θ 1,000,000' }],
  ['Mistral 7B v0.1', { model_type: 'mistral', max_position_embeddings: 32768, sliding_window: 4096, rope_theta: 10000.0 }, { window: 4096, windowed: null }],
  ['Mistral 7B v0.3', { model_type: 'mistral', max_position_embeddings: 32768, sliding_window: null, rope_theta: 1e6 }, { window: null }],
  ['Phi-3 mini 4k', { model_type: 'phi3', max_position_embeddings: 4096, original_max_position_embeddings: 4096, sliding_window: 2047, rope_theta: 10000.0, rope_scaling: null }, { window: 2047, ropeSwitch: null }],
  ['Phi-3 mini 128k, whose first files say su', { model_type: 'phi3', max_position_embeddings: 131072, original_max_position_embeddings: 4096, sliding_window: 262144, rope_theta: 10000.0, rope_scaling: { type: 'su', short_factor: [1], long_factor: [4] } }, { window: null, ropeSwitch: 4096, rope: { theta: 10000, scaling: 'longrope' }, ropeWords: 'longrope of 4,096, θ 10,000' }],
  ['Phi-2', { model_type: 'phi', partial_rotary_factor: 0.4, rope_theta: 10000.0 }, { ropeWords: 'partial 40 %, θ 10,000' }],
  ['Gemma 2 2B', { model_type: 'gemma2', max_position_embeddings: 8192, sliding_window: 4096, attn_logit_softcapping: 50.0, final_logit_softcapping: 30.0, rope_theta: 10000.0 }, { window: 4096, softCaps: { attention: 50, logits: 30 } }],
  ['Gemma 3 4B, which sees pictures', { model_type: 'gemma3', text_config: { model_type: 'gemma3_text', max_position_embeddings: 131072, sliding_window: 1024, rope_theta: 1e6, rope_local_base_freq: 10000, rope_scaling: { factor: 8.0, rope_type: 'linear' } } }, { family: 'gemma3', window: 1024, ropeWords: 'linear ×8, θ 1,000,000, θ 10,000 in layers with a window' }],
  ['Gemma 3 in the words of transformers 5', { model_type: 'gemma3_text', layer_types: ['sliding_attention', 'full_attention'], sliding_window: 512, rope_parameters: { full_attention: { rope_type: 'default', rope_theta: 1e6 }, sliding_attention: { rope_type: 'default', rope_theta: 10000.0 } } }, { window: 512, windowed: [true, false], rope: { theta: 1e6, scaling: null }, ropeWords: 'θ 1,000,000, θ 10,000 in layers with a window' }],
  ['a model none of whose layers has the window', { model_type: 'qwen3', layer_types: ['full_attention'], sliding_window: 512 }, { window: null }],
  ['GPT-2', { model_type: 'gpt2', n_positions: 1024, n_head: 12, vocab_size: 50257 }, { maxPositions: 1024, queryHeads: 12, ropeWords: 'none: learned positions', rope: { theta: null, scaling: null } }],
  ['an unknown family', { model_type: 'mamba' }, { ropeWords: null, maxPositions: null }],
]

describe('config.json', () => {
  it.each(FILES)('of %s', (_, file, expected) => {
    expect(configOf(file)).toMatchObject(expected)
  })

  it('is believed only where it makes sense, whatever it holds', () => {
    const keys = [...new Set(FILES.flatMap(([, file]) => Object.keys(file))), 'text_config', 'rope_parameters', 'partial_rotary_factor']
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom(-1, 0, 0.5, 1e308, '8', [null], { factor: 'x', rope_type: 3 }, { full_attention: [] }))
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), value), (file) => {
        const { maxPositions, vocab, queryHeads, window, rope } = configOf(file)
        for (const number of [maxPositions, vocab, queryHeads, window]) expect(number === null || (Number.isSafeInteger(number) && number > 0)).toBe(true)
        expect(rope.theta === null || rope.theta > 0).toBe(true)
      }),
    )
  })
})
