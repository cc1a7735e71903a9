import { describe, expect, it } from 'vitest'
import { defaultsOf } from '#core/contract/method-reader.ts'
import { normals } from '../../test/random-numbers.ts'
import { quantizerById } from './index.ts'

/**
 * SNR in dB on independent N(0, 1) values, computed for this project from the reference arithmetic (design document "methods", 1.1).
 * Four million values give these to about 0.01 dB. TurboQuant's are those of Lloyd-Max levels where the head size is large; for 128, where
 * rows lie on a sphere, for 4over6, nuq, CacheGen, GEAR and integers of 5 to 7 bits they come from the same arithmetic in numpy, for SKVQ in torch, all channels in
 * one cluster. PolarQuant's is 2 - 2 Π E cos(ψ - ψ'), the mean over each level's angles, as an integral; QJL's is its (π/2 - 1) / signs of the signal, where the head size is large. A head size of its own stands last.
 */
const ORACLE: readonly [id: string, params: Readonly<Record<string, number | boolean>>, db: number, headDim?: number][] = [
  ['q8_0', {}, 45.43],
  ['q5_1', {}, 28.44],
  ['q5_0', {}, 27.39],
  ['q4_1', {}, 22.13],
  ['q4_0', {}, 21.32],
  ['int8', { groupSize: 64, asym: false }, 44.53],
  ['int5', { groupSize: 64, asym: false }, 25.99],
  ['int5', { groupSize: 64, asym: true }, 27.27],
  ['int6', { groupSize: 64, asym: false }, 32.3],
  ['int6', { groupSize: 64, asym: true }, 33.42],
  ['int7', { groupSize: 64, asym: false }, 38.44],
  ['int7', { groupSize: 64, asym: true }, 39.5],
  ['int4', { groupSize: 32, asym: false }, 20.26],
  ['int4', { groupSize: 64, asym: false }, 19.36],
  ['int4', { groupSize: 32, asym: true }, 22.13],
  ['int4', { groupSize: 64, asym: true }, 20.95],
  ['int3', { groupSize: 32, asym: true }, 15.51],
  ['int2', { groupSize: 32, asym: true }, 8.12],
  ['int2', { groupSize: 64, asym: true }, 6.93],
  ['int2', { groupSize: 128, asym: true }, 6.01],
  ['int4', { groupSize: 32, asym: false, axisChannel: true }, 20.26],
  ['int4', { groupSize: 32, asym: true, axisChannel: true }, 22.13],
  ['int3', { groupSize: 32, asym: true, axisChannel: true }, 15.51],
  ['kivi2', { group: 64 }, 6.93],
  ['kivi4', { group: 32 }, 22.13],
  ['iq4_nl', {}, 22.08],
  ['fp8-e4m3', {}, 31.52],
  ['fp8-e5m2', {}, 25.54],
  ['nf4', { groupSize: 32 }, 21.18],
  ['nf4', { groupSize: 64 }, 20.73],
  ['mxfp4', {}, 18.79],
  ['nvfp4', {}, 20.44],
  ['nvfp4', { fourOverSix: true }, 21.21],
  ['nvfp4', { twoLevel: true }, 20.44],
  ['turbo2', { normCorrection: false }, 9.3, 1024],
  ['turbo3', { normCorrection: false }, 14.62, 1024],
  ['turbo4', { normCorrection: false }, 20.22, 1024],
  ['turbo2', { normCorrection: false }, 9.36, 128],
  ['turbo3', { normCorrection: false }, 14.69, 128],
  ['turbo4', { normCorrection: false }, 20.31, 128],
  ['turbo2', { normCorrection: true }, 9.26, 128],
  ['turbo3', { normCorrection: true }, 14.72, 128],
  ['turbo4', { normCorrection: true }, 20.38, 128],
  ['polar', {}, 14.94],
  ['qjl', { signs: 1 }, 2.44, 1024],
  ['qjl', { signs: 2 }, 5.45, 1024],
  ['gear2', {}, 8.57],
  ['gear4', {}, 22.59],
  ['nuq2', {}, 8.97],
  ['nuq3', {}, 14.42],
  ['nuq4', {}, 19.96],
  ['cachegen', { bins: 32 }, 25.23],
  ['cachegen', { bins: 16 }, 18.61],
  ['skvq2', { groupSize: 128 }, 6.22],
  ['skvq3', { groupSize: 128 }, 12.86],
  ['skvq4', { groupSize: 128 }, 17.08],
]
const TOLERANCE_DB = 0.05

const HEAD_DIM = 128
const VALUES = 2 ** 22

describe('SNR on four million normal values', () => {
  const values = normals(VALUES, 20240229)
  const decoded = new Float32Array(values.length)

  it.each(ORACLE)('%s %j: %d dB', (id, named, expected, headDim = HEAD_DIM) => {
    const shape = { side: 'key', kvHeads: 1, tokens: VALUES / headDim, headDim, dtype: 'F32' } as const
    const quantizer = quantizerById(id)
    const params = { ...defaultsOf(quantizer), ...named }
    const layout = Object.entries(quantizer.layout(shape, params))
    const streams = Object.fromEntries(
      layout.map(([name, { dtype, shape: sizes }]) => {
        const length = sizes.reduce((product, size) => product * size, 1)
        return [name, dtype === 'U8' ? new Uint8Array(length) : dtype === 'F32' ? new Float32Array(length) : new Uint16Array(length)]
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
