import { describe, expect, it } from 'vitest'
import type { HubChoice, HubFile } from '#core/contract/hub.ts'
import { modelChoices } from './choices.ts'

const MEMORY = 16e9

/** `path bytes` a line; a `+` before it: it is here already. */
function listing(text: string): HubFile[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [, here = '', path = '', bytes = ''] = /^\s*(\+?)(.+) (\d+)$/.exec(line) ?? []
      return { path, bytes: Number(bytes), sha256: null, gitSha1: 'a'.repeat(40), present: here !== '' }
    })
}

const BESIDE = ['LICENSE', 'README.md', 'config.json', 'generation_config.json', 'merges.txt', 'special_tokens_map.json', 'tokenizer.json', 'tokenizer_config.json', 'vocab.json']

// The structure of the real repositories; sizes are rounded.
const SMOLLM = listing(`
  .gitattributes 1519
  LICENSE 11357
  README.md 4000
  all_results.json 700
  config.json 861
  generation_config.json 132
  merges.txt 466391
  model.safetensors 269060552
  +onnx/model.onnx 538091520
  onnx/model_bnb4.onnx 178000000
  onnx/model_fp16.onnx 269300000
  onnx/model_int8.onnx 137000000
  onnx/model_q4.onnx 181000000
  onnx/model_q4f16.onnx 118000000
  onnx/model_quantized.onnx 137000000
  onnx/model_uint8.onnx 137000000
  runs/events.out.tfevents.1 9000
  special_tokens_map.json 655
  tokenizer.json 2104556
  tokenizer_config.json 3764
  training_args.bin 7000
  vocab.json 800662`)

const LLAMA = listing(`
  .gitattributes 2000
  LICENSE.txt 7712
  README.md 9000
  USE_POLICY.md 6021
  config.json 1000
  generation_config.json 184
  onnx/model.onnx 1000000
  onnx/model.onnx_data 2090000000
  onnx/model.onnx_data_1 2040000000
  onnx/model.onnx_data_2 1000000000
  onnx/model_fp16.onnx 700000
  onnx/model_fp16.onnx_data 2086000000
  onnx/model_fp16.onnx_data_1 390000000
  onnx/model_q4.onnx 1690000000
  onnx/model_q4f16.onnx 300000
  onnx/model_q4f16.onnx_data 1090000000
  special_tokens_map.json 296
  tokenizer.json 9085657
  tokenizer_config.json 54528`)

const byName = (choices: HubChoice[], name: string): HubChoice | undefined => choices.find((choice) => choice.name === name)

describe('modelChoices', () => {
  it('of a repository with one file a graph: small and exact ones first, each with what a run reads and nothing else', () => {
    const choices = modelChoices(SMOLLM, MEMORY)
    expect(choices.map(({ name, type }) => `${name}: ${type}`)).toEqual([
      'q4: int4 weights', 'q4f16: int4 weights, float16 else', 'fp16: float16 weights', 'int8: int8 weights', 'quantized: int8 weights', 'uint8: uint8 weights',
      'bnb4: 4-bit weights of bitsandbytes', 'fp32: weights as exported, float32 mostly',
    ])
    const small = SMOLLM.filter(({ path }) => BESIDE.includes(path)).reduce((sum, { bytes }) => sum + bytes, 0)
    expect(choices[0]).toEqual({ name: 'q4', main: 'onnx/model_q4.onnx', files: ['onnx/model_q4.onnx', ...BESIDE], bytes: 181000000 + small, missing: 181000000 + small, type: 'int4 weights', unusable: null })
    expect(byName(choices, 'fp32')).toMatchObject({ main: 'onnx/model.onnx', bytes: 538091520 + small, missing: small })
    expect(choices.every(({ unusable }) => unusable === null)).toBe(true)
  })

  it('with external data, each piece of it once', () => {
    const choices = modelChoices(LLAMA, MEMORY)
    expect(choices.map(({ name }) => name)).toEqual(['q4', 'q4f16', 'fp16', 'fp32'])
    expect(byName(choices, 'fp32')?.files.slice(0, 4)).toEqual(['onnx/model.onnx', 'onnx/model.onnx_data', 'onnx/model.onnx_data_1', 'onnx/model.onnx_data_2'])
    expect(byName(choices, 'q4f16')?.files).toEqual(expect.arrayContaining(['onnx/model_q4f16.onnx_data', 'LICENSE.txt', 'USE_POLICY.md']))
    expect(byName(choices, 'q4')?.files.filter((path) => path.startsWith('onnx/'))).toEqual(['onnx/model_q4.onnx'])
  })

  it('says which do not fit into memory, with both numbers, after those that do', () => {
    const choices = modelChoices(LLAMA, 3e9)
    expect(choices.map(({ name, unusable }) => [name, unusable])).toEqual([
      ['q4', null],
      ['q4f16', null],
      ['fp16', 'it needs about 3.2 GB of memory and this machine has 3.0 GB'],
      ['fp32', 'it needs about 6.7 GB of memory and this machine has 3.0 GB'],
    ])
  })

  it('says which graphs are parts of something else', () => {
    const choices = modelChoices(
      listing(`
        config.json 1
        tokenizer.json 1
        tokenizer_config.json 1
        onnx/decoder_model.onnx 10
        onnx/decoder_model_merged.onnx 20
        onnx/decoder_model_merged_q4.onnx 5
        onnx/decoder_with_past_model.onnx 10
        onnx/embed_tokens.onnx 3
        onnx/encoder_model.onnx 3
        onnx/vision_encoder_q4.onnx 3`),
      MEMORY,
    )
    expect(choices.map(({ name, unusable }) => [name, /use_cache_branch|half|no KV cache|several graphs/.exec(unusable ?? '')?.[0]]).sort()).toEqual([
      ['onnx/decoder_model', 'no KV cache'], ['onnx/decoder_model_merged', 'use_cache_branch'], ['onnx/decoder_model_merged_q4', 'use_cache_branch'], ['onnx/decoder_with_past_model', 'half'],
      ['onnx/embed_tokens', 'several graphs'], ['onnx/encoder_model', 'several graphs'], ['onnx/vision_encoder_q4', 'several graphs'],
    ])
  })

  it.each(['config.json', 'tokenizer.json', 'tokenizer_config.json'])('says that %s is missing', (name) => {
    expect(modelChoices(SMOLLM.filter(({ path }) => path !== name), MEMORY)[0]?.unusable).toContain(`no ${name} at its top`)
  })

  it('looks beside a graph in a folder of its own, and names it by its path', () => {
    const folder = 'cpu_and_mobile/cpu-int4-rtn-block-32'
    const files = ['config.json', 'genai_config.json', 'phi3-mini.onnx', 'phi3-mini.onnx.data', 'tokenizer.json', 'tokenizer.model', 'tokenizer_config.json'].map((name) => `${folder}/${name} 9`)
    const choices = modelChoices(listing(`README.md 5\nconfig.json 5\n${files.join('\n')}\ncuda/cuda-fp16/model.onnx 9`), MEMORY)
    expect(choices).toEqual([
      {
        name: `${folder}/phi3-mini`, main: `${folder}/phi3-mini.onnx`, bytes: 63, missing: 63, type: 'int4 weights', unusable: null,
        files: ['phi3-mini.onnx', 'phi3-mini.onnx.data', 'config.json', 'genai_config.json', 'tokenizer.json', 'tokenizer.model', 'tokenizer_config.json'].map((name) => `${folder}/${name}`),
      },
      expect.objectContaining({ name: 'cuda/cuda-fp16/model', unusable: 'the repository has no config.json in cuda/cuda-fp16, which a run needs' }),
    ])
  })

  it('tells two graphs of one name apart, and has none where there is none', () => {
    const choices = modelChoices(listing('config.json 1\ntokenizer.json 1\ntokenizer_config.json 1\nmodel.onnx 9\nonnx/model.onnx 8\nonnx/model_q4.onnx 3'), MEMORY)
    expect(choices.map(({ name }) => name)).toEqual(['q4', 'onnx/model', 'model'])
    expect(modelChoices(listing('config.json 1\nmodel.safetensors 9'), MEMORY)).toEqual([])
  })
})
