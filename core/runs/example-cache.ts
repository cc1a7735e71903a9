import type { Method } from '#core/contract/method.ts'
import { decodeF16, encodeF16 } from '#core/bytes/float.ts'
import { type KvCache, type KvShape, layerValues } from '#core/kv/cache.ts'
import { checkFit } from '#core/kv/methods.ts'
import { Xoshiro128 } from '#core/statistics/random.ts'

/** Head sizes of models come first; then all others, for groups that divide none of those. */
const HEAD_DIMS = [64, 128, 256, ...Array.from({ length: 128 }, (_, i) => 8 * (i + 1))]
const TOKENS = [512, 2048, 8192]
const LAYERS = [1, 2, 3, 4, 8, 16, 32]

/**
 * The smallest of some shapes that the method fits: one layer of two heads of 64 channels and 512 tokens as a rule. Throws LabError INVALID_METHOD for a method that fits none, with what
 * is wrong with that one.
 */
export function exampleShape(method: Method): KvShape {
  for (const layers of LAYERS) {
    for (const tokens of TOKENS) {
      const headDim = HEAD_DIMS.find((size) => fits(method, shapeOf(layers, tokens, size)))
      if (headDim !== undefined) return shapeOf(layers, tokens, headDim)
    }
  }
  const first = shapeOf(LAYERS.at(-1) ?? 1, TOKENS.at(-1) ?? 1, 64)
  checkFit(method, first)
  return first
}

function shapeOf(layers: number, tokens: number, headDim: number): KvShape {
  return { layers, kvHeads: 2, tokens, headDim, dtype: 'F16', rope: { theta: 10_000, rotaryDims: headDim, scaling: null } }
}

function fits(method: Method, shape: KvShape): boolean {
  try {
    checkFit(method, shape)
    return true
  } catch {
    return false
  }
}

/** A cache of independent N(0, 1) values, each rounded to F16, by Box and Muller's method; all layers hold the same. Equal for equal seeds. */
export function normalCache(shape: KvShape, seed: number): KvCache {
  const random = Xoshiro128.fromSeed(seed)
  const draw = (): Float32Array => {
    const bits = new Uint32Array(2 * layerValues(shape))
    random.fill(bits)
    const halves = new Uint16Array(layerValues(shape))
    const values = Float32Array.from(halves, (_, i) => {
      const [radius = 0, angle = 0] = [bits[2 * i], bits[2 * i + 1]]
      return Math.sqrt(-2 * Math.log((radius + 0.5) / 2 ** 32)) * Math.cos((2 * Math.PI * angle) / 2 ** 32)
    })
    encodeF16(values, halves)
    decodeF16(halves, values)
    return values
  }
  const [key, value] = [draw(), draw()]
  return { shape, key: Array.from({ length: shape.layers }, () => key), value: Array.from({ length: shape.layers }, () => value) }
}
