import { LabError } from '#core/contract/errors.ts'
import type { Defaults, MethodPreset, ModelEntry, PresetSpec, Settings } from '#core/contract/library.ts'
import { nearestOf } from '#core/contract/nearest.ts'
import { LLAMA_CPP, llamaCppMethods, llamaCppSpec } from './llama-cpp.ts'
import { DEFAULT_METHODS, defaultSpec, demoSpec } from './spec.ts'

/** Lists of methods that belong together, all canonical, each with a cache of head size 64 in mind. */
export const METHOD_PRESETS: readonly MethodPreset[] = [
  { id: 'first-look', label: 'First look', about: 'From harmless to harmful, one of each kind', methods: [...DEFAULT_METHODS] },
  { id: 'origin', label: 'The origin’s method', about: '4-bit integers in groups of 64, then LZ4: what this lab was first made to judge', methods: ['int4:g64+lz4'] },
  {
    id: LLAMA_CPP,
    label: 'llama.cpp’s table',
    about: 'Its cache types in its order of channels, with its rotation and without, by the protocol of llama-perplexity: in-pass, windows of 512',
    methods: llamaCppMethods({ family: 'llama', headDim: 64 }),
  },
  {
    id: 'ggml',
    label: 'ggml block types',
    about: 'The types of llama.cpp’s --cache-type-k and --cache-type-v, byte for byte, alone and with finer keys than values',
    methods: ['q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0', 'iq4_nl', 'q8_0/q5_1', 'q8_0/q5_0', 'q8_0/q4_1', 'q8_0/q4_0'],
  },
  {
    id: 'integers',
    label: 'Integers by bits',
    about: 'One scale per 64 values, from 8 bits to 2: where quality breaks',
    methods: [8, 7, 6, 5, 4, 3, 2].map((bits) => `int${bits}:g64`),
  },
  { id: 'fp8', label: 'FP8 and its rivals', about: 'The two FP8 types beside 8-bit integers: what the same byte is worth', methods: ['fp8-e4m3', 'fp8-e5m2', 'fp8-e4m3:hadamard', 'int8:g64', 'q8_0'] },
  { id: 'fp4', label: 'Four-bit codebooks', about: 'NF4, MXFP4 and NVFP4 beside 4-bit integers and ggml’s uneven levels', methods: ['nf4:g64', 'mxfp4', 'nvfp4', 'nvfp4:4over6', 'iq4_nl', 'int4:g32', 'int4:g32:asym'] },
  { id: 'channels', label: 'Scales by channel', about: 'Keys with a scale for each channel, and KIVI, which flushes whole groups of tokens', methods: ['int4:g16:asym', 'int4:g16:asym:axis-channel/int4:g16:asym', 'kivi4:g16:r16', 'int2:g16:asym', 'int2:g16:asym:axis-channel/int2:g16:asym', 'kivi2:g16:r16'] },
  { id: 'turbo', label: 'Rotation and codebook', about: 'TurboQuant as vLLM builds it, with and without norm correction, beside PolarQuant', methods: ['turbo4', 'turbo4:nc', 'polar', 'turbo3', 'turbo3:nc', 'turbo2', 'turbo2:nc'] },
  { id: 'codecs', label: 'Codecs', about: 'The same codes behind every lossless codec of this machine: what entropy coding adds', methods: ['int4:g64', 'int4:g64+lz4', 'int4:g64+deflate6', 'int4:g64+rans', 'int4:g64+rans-channel', 'int4:g64+auto'] },
  {
    id: 'quantized-cache',
    label: 'transformers’ QuantizedCache',
    about: 'Its quanto settings of 4 and 2 bits, groups of 64 by token (axis 0) and by channel (axis -1), each token quantised once: that it quantises all anew every 128 tokens is not reproduced, nor how HQQ moves zero points. Stream in blocks of 128, its residual',
    methods: ['int4:g64:asym', 'int2:g64:asym', 'int4:g64:asym:axis-channel', 'int2:g64:asym:axis-channel'],
  },
  {
    id: 'rotation',
    label: 'Rotation',
    about: 'Each method with and without a Hadamard rotation, which spreads outliers',
    methods: ['q4_0', 'int4:g64', 'int3:g32', 'int2:g32:asym'].flatMap((method) => [method, `${method}:hadamard`]),
  },
  {
    id: 'few-bits',
    label: 'Three bits and fewer',
    about: 'Small groups, zero points, kept first tokens and finer keys: what helps where bits are few',
    methods: ['int3:g32', 'int3:g16', 'int3:g32:asym', 'int3:g32:asym@sinks4', 'int4:g32/int2:g32:asym', 'int2:g32:asym', 'int2:g16:asym', 'int2:g32:asym@sinks4'],
  },
  {
    id: 'per-layer',
    label: 'Layers apart',
    about: 'Finer pairs of bits in the first and last layers, as KVTuner finds them, and the bins of CacheGen’s code by depth, beside the same for all layers',
    methods: [
      'int4:g64:asym/int2:g64:asym',
      'int4:g64:asym/int2:g64:asym@layers0,-1=int8:g64:asym/int4:g64:asym',
      'int4:g64:asym/int2:g64:asym@layers0,-1',
      'int8:g64:asym/int4:g64:asym',
      'cachegen:b16+rans-channel',
      'cachegen:b16@layers0=cachegen:b32@layers1=cachegen:b32/cachegen:b16+rans-channel',
      'cachegen:b32+rans-channel',
    ],
  },
  {
    id: 'sparsity',
    label: 'Sparsity',
    about: 'The smallest values of each token set to zero; LZ4 turns the zeros into fewer bytes',
    methods: ['none:sparse25+lz4', 'none:sparse50+lz4', 'none:sparse75+lz4', 'int8:g64:sparse50+lz4', 'int4:g64:sparse50+lz4'],
  },
]

/** A preset for a model, which is looked at only where the preset depends on it. Throws LabError INVALID_INPUT naming the nearest, MODEL_UNSUPPORTED, and what `model` throws. */
export async function presetSpec(id: string, model: () => Promise<ModelEntry>): Promise<PresetSpec> {
  const preset = METHOD_PRESETS.find((candidate) => candidate.id === id)
  if (!preset) {
    const ids = METHOD_PRESETS.map((candidate) => candidate.id)
    const nearest = nearestOf(id, ids)
    throw new LabError('INVALID_INPUT', `no preset is called ${JSON.stringify(id)}: ${nearest === undefined ? '' : `the nearest is ${nearest}; `}there are ${ids.join(', ')}`)
  }
  if (id !== LLAMA_CPP) return { spec: { methods: [...preset.methods] }, notes: [] }
  const { name, family, cache, unusable } = await model()
  if (cache === null) throw new LabError('MODEL_UNSUPPORTED', `${name}: ${unusable ?? 'nothing is known of its cache'}`)
  return llamaCppSpec({ family, headDim: cache.headDim })
}

/** What a new sweep begins with. */
export function specDefaults({ threads, memoryBudget }: Settings): Defaults {
  return { spec: defaultSpec({ threads, memoryBudget }), demo: demoSpec(), presets: METHOD_PRESETS.map((preset) => ({ ...preset, methods: [...preset.methods] })) }
}
