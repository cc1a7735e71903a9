import { describe, expect, it } from 'vitest'
import { quantizerById } from './index.ts'

/**
 * SNR in dB on independent N(0, 1) values, computed for this project from the reference arithmetic (design document "methods", 1.1).
 * Four million values give these to about 0.01 dB.
 */
const ORACLE: readonly [string, { groupSize?: number; asym?: boolean }, number][] = [
  ['q8_0', {}, 45.43],
  ['q5_1', {}, 28.44],
  ['q5_0', {}, 27.39],
  ['q4_1', {}, 22.13],
  ['q4_0', {}, 21.32],
  ['int8', { groupSize: 64, asym: false }, 44.53],
  ['int4', { groupSize: 32, asym: false }, 20.26],
  ['int4', { groupSize: 64, asym: false }, 19.36],
  ['int4', { groupSize: 32, asym: true }, 22.13],
  ['int4', { groupSize: 64, asym: true }, 20.95],
  ['int3', { groupSize: 32, asym: true }, 15.51],
  ['int2', { groupSize: 32, asym: true }, 8.12],
  ['int2', { groupSize: 64, asym: true }, 6.93],
  ['int2', { groupSize: 128, asym: true }, 6.01],
  ['fp8-e4m3', {}, 31.52],
]
const TOLERANCE_DB = 0.05

const HEAD_DIM = 128
const TOKENS = 32_768

/** Standard normal numbers by Box and Muller's method from a 32-bit generator (xorshift, Marsaglia 2003). */
function normals(count: number, seed: number): Float32Array {
  let state = seed
  const uniform = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return ((state >>> 0) + 0.5) / 2 ** 32
  }
  const values = new Float32Array(count)
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(uniform()))
    const angle = 2 * Math.PI * uniform()
    values[i] = radius * Math.cos(angle)
    values[i + 1] = radius * Math.sin(angle)
  }
  return values
}

describe('SNR on four million normal values', () => {
  const values = normals(TOKENS * HEAD_DIM, 20240229)
  const shape = { kvHeads: 1, tokens: TOKENS, headDim: HEAD_DIM, dtype: 'F32' } as const
  const decoded = new Float32Array(values.length)

  it.each(ORACLE)('%s %j: %d dB', (id, params, expected) => {
    const quantizer = quantizerById(id)
    const layout = Object.entries(quantizer.layout(shape, params))
    const streams = Object.fromEntries(
      layout.map(([name, { dtype, shape: sizes }]) => {
        const length = sizes.reduce((product, size) => product * size, 1)
        return [name, dtype === 'U8' ? new Uint8Array(length) : new Uint16Array(length)]
      }),
    )
    quantizer.encode(values, shape, params, streams)
    quantizer.decode(streams, shape, params, decoded)
    let signal = 0
    let noise = 0
    for (let i = 0; i < values.length; i++) {
      signal += values[i]! ** 2
      noise += (values[i]! - decoded[i]!) ** 2
    }
    const snr = 10 * Math.log10(signal / noise)
    expect(Math.abs(snr - expected), `${snr} dB`).toBeLessThan(TOLERANCE_DB)
  })
})
