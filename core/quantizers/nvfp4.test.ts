import { describe, expect, it } from 'vitest'
import { f8e4m3ToF32 } from '#core/bytes/float.ts'
import { normals } from '../../test/random-numbers.ts'
import { nvfp4 } from './nvfp4.ts'
import type { BlockShape } from './quantizer.ts'

const LEVELS = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
const round = Math.fround
const SHAPE: BlockShape = { side: 'value', kvHeads: 2, tokens: 5, headDim: 64, dtype: 'F32' }

/** All finite E4M3 numbers from 0 up, by their codes. */
const SCALES = Array.from({ length: 127 }, (_, code) => f8e4m3ToF32(code))

/** The E4M3 number nearest to x, of two as near the larger one: by looking at all. */
const scaleOf = (x: number): number => SCALES.reduce((best, scale) => (Math.abs(scale - x) <= Math.abs(best - x) ? scale : best))

/** What NVIDIA's form makes of an array, slowly: one F32 scale of all, an E4M3 scale of each 16, the nearest level, of two as near the smaller. */
function slowly(values: Float32Array): { scale: number; decoded: number[] } {
  const scale = round(Math.max(...values.map(Math.abs)) / (6 * 448))
  const scaled = Array.from(values, (x) => round(x / scale))
  const decoded = scaled.map((x, i) => {
    const block = scaled.slice(i - (i % 16), i - (i % 16) + 16)
    const d = scaleOf(round(Math.max(...block.map(Math.abs)) / 6))
    const level = LEVELS.reduce((best, other) => (Math.abs(Math.abs(x) - other * d) < Math.abs(Math.abs(x) - best * d) ? other : best))
    return round(round(Math.sign(x) * level * d) * scale)
  })
  return { scale, decoded }
}

function roundTrip(values: Float32Array, params: { fourOverSix: boolean; twoLevel: boolean }): { blocks: Uint8Array; scale: Float32Array; decoded: Float32Array; finite: boolean } {
  const streams = { blocks: new Uint8Array((values.length / 64) * 36), scale: new Float32Array(1) }
  nvfp4.encode(values, SHAPE, params, streams)
  const decoded = new Float32Array(values.length)
  return { ...streams, decoded, finite: nvfp4.decode(streams, SHAPE, params, decoded) }
}

const TWO_LEVEL = { fourOverSix: false, twoLevel: true }
const VALUES = 2 * 5 * 64

describe('nvfp4:two-level', () => {
  it.each([1, 1e-6, 1e9, 1e-30])('is the slow one bit for bit, of values about %d', (size) => {
    const values = normals(VALUES, 17).map((x, i) => x * size * (1 + (i % 5)))
    const { scale, decoded } = slowly(values)
    const own = roundTrip(values, TWO_LEVEL)
    expect(own.finite).toBe(true)
    expect(own.scale[0]).toBe(scale)
    expect([...own.decoded].map((x) => x + 0)).toEqual(decoded.map((x) => x + 0))
  })

  it('holds what one level cannot, and loses less of what is small', () => {
    const large = normals(VALUES, 3).map((x) => x * 1e6)
    expect(() => roundTrip(large, { fourOverSix: false, twoLevel: false })).toThrow(expect.objectContaining({ code: 'OUT_OF_RANGE' }) as Error)
    const error = (values: Float32Array, twoLevel: boolean): number => {
      const { decoded } = roundTrip(values, { fourOverSix: false, twoLevel })
      return values.reduce((sum, x, i) => sum + (x - decoded[i]!) ** 2, 0)
    }
    const small = normals(VALUES, 3).map((x) => x * 1e-3)
    expect(error(small, true)).toBeLessThan(error(small, false) / 2)
  })

  it.each([0, -1, NaN, Infinity, 1e38])('knows a scale of %d for damaged', (scale) => {
    const { blocks } = roundTrip(normals(VALUES, 5), TWO_LEVEL)
    expect(nvfp4.decode({ blocks, scale: Float32Array.of(scale) }, SHAPE, TWO_LEVEL, new Float32Array(VALUES))).toBe(false)
  })

  it('joins with 4over6, which never loses more', () => {
    const values = normals(VALUES, 8)
    const error = (fourOverSix: boolean): number => roundTrip(values, { fourOverSix, twoLevel: true }).decoded.reduce((sum, x, i) => sum + (x - values[i]!) ** 2, 0)
    expect(error(true)).toBeLessThan(error(false))
  })
})
