import { describe, expect, it } from 'vitest'
import { checkMethod, readMethod, writeMethod } from '#core/kv/methods.ts'
import { LLAMA_CPP, llamaCppMethods, llamaCppSpec } from './llama-cpp.ts'
import { METHOD_PRESETS, presetSpec } from './presets.ts'
import { defaultSpec } from './spec.ts'

const nothing = (): Promise<never> => Promise.reject(new Error('the model was looked at'))

describe('llama.cpp’s table', () => {
  it('of a Llama model with heads of 64: 8 pairs, rotated and not, keys in its order of channels', () => {
    expect(llamaCppMethods({ family: 'llama', headDim: 64 })).toEqual([
      'q8_0:interleaved:hadamard/q8_0:hadamard', 'q8_0:interleaved/q8_0',
      'q5_1:interleaved:hadamard/q5_1:hadamard', 'q5_1:interleaved/q5_1',
      'q5_0:interleaved:hadamard/q5_0:hadamard', 'q5_0:interleaved/q5_0',
      'q4_1:interleaved:hadamard/q4_1:hadamard', 'q4_1:interleaved/q4_1',
      'q4_0:interleaved:hadamard/q4_0:hadamard', 'q4_0:interleaved/q4_0',
      'iq4_nl:interleaved:hadamard/iq4_nl:hadamard', 'iq4_nl:interleaved/iq4_nl',
      'q4_0:interleaved:hadamard/none', 'q4_0:interleaved/none',
      'none/q4_0:hadamard', 'none/q4_0',
    ])
  })

  it.each([[64, ':hadamard'], [128, ':hadamard128'], [192, ':hadamard'], [256, ':hadamard256'], [384, ':hadamard128'], [512, ':hadamard512']])('heads of %i: keys are rotated as far as 64 · 2^k divides them, values by 64', (headDim, option) => {
    const [first] = llamaCppMethods({ family: 'qwen2', headDim })
    expect(first).toBe(option === ':hadamard' ? 'q8_0:hadamard' : `q8_0${option}/q8_0:hadamard`)
  })

  it.each(['llama', 'mistral', 'mixtral', 'granite', 'smollm3', 'olmo'])('%s has interleaved keys', (family) => {
    expect(llamaCppMethods({ family, headDim: 64 }).filter((method) => method.includes('interleaved'))).toHaveLength(14)
    expect(llamaCppSpec({ family, headDim: 64 }).notes).toEqual([])
  })

  it.each(['gpt2', 'qwen2', 'qwen3', 'phi3', 'gemma3', 'olmo2', null])('%s has not, and that is said', (family) => {
    const { spec, notes } = llamaCppSpec({ family, headDim: 64 })
    expect(spec.methods?.join()).not.toContain('interleaved')
    expect(notes).toEqual([expect.stringContaining('Hugging Face')])
  })

  it.each([[64, 16], [80, 8], [96, 8], [128, 16], [256, 16]])('every method fits heads of %i channels that blocks of 32 divide, and is canonical', (headDim, count) => {
    const methods = llamaCppMethods({ family: 'mistral', headDim })
    expect(methods).toHaveLength(count)
    expect(methods.map((text) => writeMethod(readMethod(text)))).toEqual(methods)
    const shape = { layers: 2, kvHeads: 2, tokens: 512, headDim, dtype: 'F32' as const }
    const fits = (text: string): boolean => {
      try {
        checkMethod(readMethod(text), shape)
        return true
      } catch {
        return false
      }
    }
    expect(methods.every(fits)).toBe(headDim % 32 === 0)
    expect(llamaCppSpec({ family: 'mistral', headDim }).notes).toHaveLength(headDim % 64 === 0 ? 0 : 1)
  })

  it('has the protocol of llama-perplexity', () => {
    const spec = defaultSpec({ ...llamaCppSpec({ family: 'llama', headDim: 64 }).spec, model: 'some' })
    expect(spec).toMatchObject({ mode: 'in-pass', block: null, contextLength: 512, prefixLength: 256, advance: 512, join: 'file', bos: 'model' })
  })
})

describe('presetSpec', () => {
  it('gives every other preset without looking at the model', async () => {
    for (const { id, methods } of METHOD_PRESETS) if (id !== LLAMA_CPP) expect(await presetSpec(id, nothing)).toEqual({ spec: { methods }, notes: [] })
  })

  it('names the presets where there is none of that name', async () => {
    await expect(presetSpec('llama.cp', nothing)).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(/nearest is llama\.cpp;.*fp4/) as string })
  })
})
