import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bitsOf, bytesFrom, floats, runs, same, shifted } from '../../test/kernel-twins.ts'
import { middles } from './codebook.ts'
import type { LevelBlock, LevelFormat, TurboBits } from './kernels.ts'
import { LEVEL_BLOCKS } from './levels.ts'
import { NF4_BOUNDS, NF4_LEVELS } from './normal-float.ts'
import { TURBO_BOUNDS } from './turbo.ts'

/** The F32 below, at and above each of some numbers. */
function neighbours(numbers: Iterable<number>): number[] {
  return [...numbers].flatMap((x) => {
    const bits = new Int32Array(Float32Array.of(x).buffer)[0]!
    return [...new Float32Array(Int32Array.of(bits - 1, bits, bits + 1).buffer)]
  })
}

describe('blocks of levels', () => {
  const formats: LevelFormat[] = ['iq4_nl', 'mxfp4', 'nvfp4', 'nvfp4:4over6']
  const blockOf = (format: LevelFormat): LevelBlock => (format === 'nvfp4:4over6' ? 'nvfp4' : format)

  function roundTrip(values: Float32Array, format: LevelFormat): unknown {
    const { values: size, bytes } = LEVEL_BLOCKS[blockOf(format)]
    return same((implementation) => {
      const blocks = shifted(Uint8Array, (values.length / size) * bytes)
      implementation.quantizeLevels(values, format, blocks)
      const out = shifted(Float32Array, values.length)
      const finite = implementation.dequantizeLevels(blocks, blockOf(format), out)
      return { blocks, finite, out: bitsOf(out) }
    })
  }

  it.each(formats)('%s: the same blocks, values and errors', (format) => {
    let encoded = 0
    const property = fc.property(runs(LEVEL_BLOCKS[blockOf(format)].values), (values) => {
      const result = roundTrip(values, format) as object
      if ('blocks' in result) {
        encoded++
        expect(result).toMatchObject({ finite: true })
      }
    })
    fc.assert(property, { numRuns: 250 })
    expect(encoded).toBeGreaterThan(10)
  })

  it.each(formats)('%s: the same of every middle between levels and its neighbours, under scales of all sizes', (format) => {
    const size = LEVEL_BLOCKS[blockOf(format)].values
    const middles = { iq4_nl: [-115.5, -93.5, -74, -57, -42, -28.5, -16, -4.5, 7, 19, 31.5, 45.5, 61, 79, 101], mxfp4: [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5], nvfp4: [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5] }[blockOf(format)]
    const top = format === 'iq4_nl' ? -127 : 6
    for (const scale of [1, 2 ** -9, 0.0625, 256, 448, 2 ** -40, 2 ** -126]) {
      const values = floats(neighbours(middles).flatMap((x) => [top * scale, x * scale, ...Array.from({ length: size - 2 }, () => -x * scale)]))
      roundTrip(values, format)
    }
  })

  it('nvfp4: the same of every scale and those around it', () => {
    const scales = Array.from({ length: 0x80 }, (_, code) => (code < 8 ? code * 2 ** -9 : (1 + (code % 8) / 8) * 2 ** (Math.floor(code / 8) - 7)))
    const around = neighbours(scales.slice(1).flatMap((scale, i) => [scale, (scale + scales[i]!) / 2])).filter((scale) => scale <= 448)
    for (const top of [6, 4]) {
      const values = floats(around.flatMap((scale) => Array.from({ length: 64 }, (_, i) => (scale * top * (i % 16)) / 15)))
      for (const format of ['nvfp4', 'nvfp4:4over6'] as const) roundTrip(values.map((x) => Math.min(x, 2688)), format)
    }
  })

  it.each([false, true])('nvfp4 under a scale of its layer, 4over6 %s: the same blocks and errors', (fourOverSix) => {
    const property = fc.property(runs(64), (values) => {
      const most = values.reduce((max, x) => Math.max(max, Math.abs(x)), 0)
      const scale = Math.max(2 ** -126, Math.fround((most / (6 * (fourOverSix ? 256 : 448))) * (1 + 2 ** -22)))
      const blocks = same((implementation) => {
        const out = shifted(Uint8Array, (values.length / 64) * 36)
        implementation.quantizeScaledNvfp4(values, scale, fourOverSix, out)
        return out
      })
      expect(blocks instanceof Uint8Array).toBe(values.every(Number.isFinite))
    })
    fc.assert(property, { numRuns: 100 })
  })

  it.each(['iq4_nl', 'mxfp4', 'nvfp4'] as const)('%s: the same values from any bytes', (format) => {
    const { values: size, bytes } = LEVEL_BLOCKS[format]
    const property = fc.property(fc.integer({ min: 1, max: 600 }), fc.integer(), (count, seed) => {
      const blocks = shifted(Uint8Array, count * bytes).map(bytesFrom(seed))
      same((implementation) => {
        const out = shifted(Float32Array, count * size)
        const finite = implementation.dequantizeLevels(blocks, format, out)
        return { finite, out: bitsOf(out) }
      })
    })
    fc.assert(property, { numRuns: 40 })
  })

  it('of a scale that no encoder writes there are no values', () => {
    same((implementation) => {
      const out = new Float32Array(64)
      const ok = (format: LevelBlock, scale: number): boolean => implementation.dequantizeLevels(new Uint8Array(36).fill(scale, 0, format === 'nvfp4' ? 4 : 2).subarray(0, LEVEL_BLOCKS[format].bytes), format, out.subarray(0, LEVEL_BLOCKS[format].values))
      const verdicts = { mx: [252, 253, 255].map((scale) => ok('mxfp4', scale)), nv: [0x7e, 0x7f, 0x80, 0xff].map((scale) => ok('nvfp4', scale)), nl: [0x7b, 0x7c].map((scale) => ok('iq4_nl', scale)) }
      expect(verdicts).toEqual({ mx: [true, false, false], nv: [true, false, false, false], nl: [true, false] })
      return verdicts
    })
  })
})

describe('NF4', () => {
  const sized = fc.integer({ min: 2, max: 32 }).chain((eights) => fc.tuple(fc.constant(8 * eights), runs(8 * eights)))

  function roundTrip(values: Float32Array, groupSize: number): unknown {
    return same((implementation) => {
      const codes = shifted(Uint8Array, values.length / 2)
      const scales = shifted(Uint16Array, values.length / groupSize)
      implementation.quantizeNormalFloat(values, groupSize, codes, scales)
      const out = shifted(Float32Array, values.length)
      const finite = implementation.dequantizeNormalFloat(codes, scales, groupSize, out)
      return { codes, scales, finite, out: bitsOf(out) }
    })
  }

  it('the same codes, scales, values and errors', () => {
    let encoded = 0
    const property = fc.property(sized, ([groupSize, values]) => {
      if ('codes' in (roundTrip(values, groupSize) as object)) encoded++
    })
    fc.assert(property, { numRuns: 250 })
    expect(encoded).toBeGreaterThan(15)
  })

  it('the same of every bound and its neighbours, and the nearer level', () => {
    const near = neighbours(NF4_BOUNDS)
    const values = floats(near.flatMap((x) => [1, x, ...Array.from({ length: 14 }, () => x)]))
    const { out } = roundTrip(values, 16) as { out: Uint32Array<ArrayBuffer> }
    const decoded = new Float32Array(out.buffer)
    near.forEach((x, i) => {
      const distances = Array.from(NF4_LEVELS, (level) => Math.abs(level - x))
      expect(decoded[16 * i + 1]).toBe(NF4_LEVELS[distances.indexOf(Math.min(...distances))])
    })
  })

  it('the same values from any codes and scales', () => {
    const property = fc.property(fc.integer({ min: 2, max: 32 }), fc.integer({ min: 1, max: 1100 }), fc.integer(), (eights, groups, seed) => {
      const random = bytesFrom(seed)
      const codes = shifted(Uint8Array, 4 * eights * groups).map(random)
      const scales = shifted(Uint16Array, groups).map(() => random() | (random() << 8))
      same((implementation) => {
        const out = shifted(Float32Array, 8 * eights * groups)
        const finite = implementation.dequantizeNormalFloat(codes, scales, 8 * eights, out)
        return { finite, out: bitsOf(out) }
      })
    })
    fc.assert(property, { numRuns: 40 })
  })
})

describe.each([2, 3, 4] as const)('TurboQuant, %i bits', (bits: TurboBits) => {
  const headDims = [16, 32, 64, 128, 256, 512, 1024]
  const rows = fc.constantFrom(...headDims).chain((headDim) => fc.tuple(fc.constant(headDim), runs(headDim)))

  it('the same codes, norms, values and errors', () => {
    let encoded = 0
    const property = fc.property(rows, fc.boolean(), ([headDim, values], corrected) => {
      const result = same((implementation) => {
        const codes = shifted(Uint8Array, (values.length * bits) / 8)
        const norms = shifted(Uint16Array, values.length / headDim)
        implementation.quantizeTurbo(values, headDim, bits, codes, norms)
        const out = shifted(Float32Array, values.length)
        const finite = implementation.dequantizeTurbo(codes, norms, headDim, bits, corrected, out)
        return { codes, norms, finite, out: bitsOf(out) }
      })
      if ('codes' in result) encoded++
    })
    fc.assert(property, { numRuns: 120 })
    expect(encoded).toBeGreaterThan(10)
  })

  it('the same values from any codes and norms', () => {
    const property = fc.property(fc.constantFrom(...headDims), fc.integer({ min: 1, max: 70 }), fc.integer(), fc.boolean(), (headDim, count, seed, corrected) => {
      const random = bytesFrom(seed)
      const codes = shifted(Uint8Array, (headDim * count * bits) / 8).map(random)
      const norms = shifted(Uint16Array, count).map(() => random() | (random() << 8))
      same((implementation) => {
        const out = shifted(Float32Array, headDim * count)
        const finite = implementation.dequantizeTurbo(codes, norms, headDim, bits, corrected, out)
        return { finite, out: bitsOf(out) }
      })
    })
    fc.assert(property, { numRuns: 30 })
  })

  it('a bound belongs to the upper level', () => {
    const bounds = TURBO_BOUNDS[bits]
    expect(bounds.length).toBe(2 ** bits - 1)
    expect(bounds[2 ** (bits - 1) - 1]).toBe(0)
    const codes = new Uint8Array(2 * bits)
    same((implementation) => {
      implementation.quantizeTurbo(new Float32Array(16), 16, bits, codes, new Uint16Array(1))
      return codes.slice()
    })
    // Zeros lie on the middle bound: every code is 2^(bits - 1), the lowest bit first.
    expect(codes[0]! & (2 ** bits - 1)).toBe(2 ** (bits - 1))
  })
})

describe.each([2, 3, 4] as const)('any codebook of %i bits', (bits) => {
  it('has the same codes and values', () => {
    const numbers = fc.array(fc.oneof(fc.double({ min: -1, max: 1, noNaN: true }), fc.constantFrom(0, -0, 0.5)), { minLength: 2 ** bits, maxLength: 2 ** bits })
    const property = fc.property(numbers, runs(8), (some, values) => {
      fc.pre(!values.some(Number.isNaN))
      const levels = Float32Array.from(some).sort()
      const bounds = middles(levels)
      const result = same((implementation) => {
        const codes = shifted(Uint8Array, (values.length * bits) / 8)
        implementation.quantizeCodebook(values, bounds, bits, codes)
        const out = shifted(Float32Array, values.length)
        implementation.dequantizeCodebook(codes, levels, bits, out)
        return { codes, out }
      }) as { out: Float32Array }
      expect(result.out[0]).toBe(levels[bounds.filter((bound) => bound <= values[0]!).length])
    })
    fc.assert(property, { numRuns: 120 })
  })
})
