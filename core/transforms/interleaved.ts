import { defineTransform } from './transform.ts'

/**
 * Keys in llama.cpp's order of channels: 0, d/2, 1, d/2 + 1, … of a head of d, since its conversion puts the two channels of a rotation side by side.
 * Blocks along headDim then hold other channels than in the order of Hugging Face and ONNX. Values stay as they are.
 */
export const interleaved = defineTransform({
  id: 'interleaved',
  label: 'Key channels in the order of llama.cpp',
  source: 'convert_hf_to_gguf.py of llama.cpp: LlamaModel.permute',
  lossy: false,
  params: {},
  refuse: (_, { headDim }) => (headDim % 2 === 0 ? null : `it pairs the channels of a head, of which there are ${headDim}`),
  forward(values, { side, headDim }) {
    if (side === 'key') eachRow(values, headDim, (row, to, half, i) => {
      to[2 * i] = row[i]!
      to[2 * i + 1] = row[half + i]!
    })
  },
  inverse(values, { side, headDim }) {
    if (side === 'key') eachRow(values, headDim, (row, to, half, i) => {
      to[i] = row[2 * i]!
      to[half + i] = row[2 * i + 1]!
    })
    return true
  },
})

/** Moves the two channels of each pair i of a row from a copy of it to their places. */
function eachRow(values: Float32Array, headDim: number, move: (row: Float32Array, to: Float32Array, half: number, i: number) => void): void {
  const row = new Float32Array(headDim)
  for (let at = 0; at < values.length; at += headDim) {
    const to = values.subarray(at, at + headDim)
    row.set(to)
    for (let i = 0; i < headDim / 2; i++) move(row, to, headDim / 2, i)
  }
}
