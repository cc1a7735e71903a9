import { defineTransform } from './transform.ts'

/** Keys in llama.cpp's order of channels, since its conversion puts the two channels of a rotation side by side. Values stay as they are. */
export const interleaved = defineTransform({
  id: 'interleaved',
  label: 'Key channels in the order of llama.cpp',
  source: 'convert_hf_to_gguf.py of llama.cpp: LlamaModel.permute',
  formula: ['channels of keys in the order 0, d/2, 1, d/2 + 1, … of a head of d; values as they are'],
  caveats: [
    'Blocks along headDim hold other channels than in the order of Hugging Face and ONNX, so that equal methods lose unequally: say it to compare with llama.cpp, for models that it permutes.',
  ],
  lossy: false,
  params: {},
  refuse: (_, { headDim }) => (headDim % 2 === 0 ? null : `it pairs the channels of a head, of which there are ${headDim}`),
  forward(values, { side, headDim }) {
    if (side !== 'key') return
    const half = headDim / 2
    const row = new Float32Array(headDim)
    for (let at = 0; at < values.length; at += headDim) {
      row.set(values.subarray(at, at + headDim))
      for (let i = 0; i < half; i++) {
        values[at + 2 * i] = row[i]!
        values[at + 2 * i + 1] = row[half + i]!
      }
    }
  },
  inverse(values, { side, headDim }) {
    if (side !== 'key') return true
    const half = headDim / 2
    const row = new Float32Array(headDim)
    for (let at = 0; at < values.length; at += headDim) {
      row.set(values.subarray(at, at + headDim))
      for (let i = 0; i < half; i++) {
        values[at + i] = row[2 * i]!
        values[at + half + i] = row[2 * i + 1]!
      }
    }
    return true
  },
})
