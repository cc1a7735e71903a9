import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LabError } from '#core/contract/errors.ts'
import type { BlockShape } from '#core/quantizers/quantizer.ts'
import { preRope } from './pre-rope.ts'
import { ropeFacts } from './rope-config.ts'
import { frequencies, readRope, type RopeFacts, ropeText } from './rope.ts'

const PLAIN: RopeFacts = { theta: 10_000, rotaryDims: 16, scaling: null }
const LLAMA3: RopeFacts = { theta: 500_000, rotaryDims: 64, scaling: { type: 'llama3', factor: 32, lowFactor: 1, highFactor: 4, originalTokens: 8192 } }
const YARN: RopeFacts = { theta: 1_000_000, rotaryDims: 64, scaling: { type: 'yarn', factor: 4, betaFast: 32, betaSlow: 1, originalTokens: 32_768 } }

const shapeOf = (side: BlockShape['side'], kvHeads: number, tokens: number, headDim: number): BlockShape => ({ side, kvHeads, tokens, headDim, dtype: 'F32' })
const numbers = (count: number, seed: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(seed + i * i * 0.7) * (i % 5 === 2 ? 9 : 1))

/** apply_rotary_pos_emb of transformers, one value at a time: k cos + rotate_half(k) sin on the first rotaryDims channels. */
function rotated(keys: Float32Array, { tokens, headDim }: BlockShape, from: number, { theta, rotaryDims: dims }: RopeFacts): Float32Array {
  return keys.map((x, at) => {
    const channel = at % headDim
    if (channel >= dims) return x
    const token = Math.floor(at / headDim) % tokens
    const angle = (from + token) / theta ** ((2 * (channel % (dims / 2))) / dims)
    const other = channel < dims / 2 ? -keys[at + dims / 2]! : keys[at - dims / 2]!
    return x * Math.cos(angle) + other * Math.sin(angle)
  })
}

function farthest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)
}

describe('pre-rope', () => {
  it('gives keys as they were before the model rotated them, whatever their position', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 9 }), fc.nat(500), fc.constantFrom(16, 24, 64), fc.nat(), (heads, tokens, from, headDim, seed) => {
        const shape = shapeOf('key', heads, tokens, headDim)
        const before = numbers(heads * tokens * headDim, seed)
        const keys = rotated(before, shape, from, PLAIN)
        const out = keys.slice()
        preRope.forward(out, shape, {}, { from, rope: PLAIN }, {})
        expect(farthest(out, before)).toBeLessThan(1e-3)
        expect(preRope.inverse(out, shape, {}, { from, rope: PLAIN }, {})).toBe(true)
        expect(farthest(out, keys)).toBeLessThan(4e-6)
      }),
      { numRuns: 60 },
    )
  })

  it.each([LLAMA3, YARN, { ...PLAIN, scaling: { type: 'linear', factor: 4 } } as const])('comes back up to rounding and keeps lengths: %j', (rope) => {
    const shape = shapeOf('key', 2, 7, 80)
    const keys = numbers(2 * 7 * 80, 3)
    const out = keys.slice()
    preRope.forward(out, shape, {}, { from: 90_000, rope }, {})
    expect(farthest(out, keys)).toBeGreaterThan(0.1)
    expect(Math.hypot(...out)).toBeCloseTo(Math.hypot(...keys), 4)
    preRope.inverse(out, shape, {}, { from: 90_000, rope }, {})
    expect(farthest(out, keys)).toBeLessThan(4e-6)
  })

  it('leaves values and channels that are not rotated alone', () => {
    const values = numbers(3 * 24, 1)
    const out = values.slice()
    preRope.forward(out, shapeOf('value', 1, 3, 24), {}, { from: 5, rope: PLAIN }, {})
    expect(out).toEqual(values)
    preRope.forward(out, shapeOf('key', 1, 3, 24), {}, { from: 5, rope: PLAIN }, {})
    for (const [i, x] of out.entries()) if (i % 24 >= 16) expect(x).toBe(values[i])
  })

  it('is refused where the rotation is not known or does not fit', () => {
    const shape = { side: 'key', kvHeads: 1, headDim: 8 } as const
    expect(preRope.refuse({}, shape, null)).toContain('not known')
    expect(preRope.refuse({}, shape, PLAIN)).toContain('16')
    expect(preRope.refuse({}, { ...shape, headDim: 16 }, PLAIN)).toBeNull()
  })
})

describe('frequencies', () => {
  // Computed for this project in numpy F32 by the formulas of transformers' modeling_rope_utils.py.
  const AT = [0, 1, 8, 12, 14, 15, 16, 17, 18, 20, 24, 31]
  it.each([
    [LLAMA3, [1.0, 0.6636013, 0.03760603, 0.007292665, 0.003211446, 0.001290548, 0.0004295567, 9.708286e-5, 1.946164e-5, 8.570256e-6, 1.661967e-6, 9.418306e-8]],
    [YARN, [1.0, 0.6493816, 0.03162278, 0.005154795, 0.00177853, 0.001026618, 0.0005833334, 0.0003246908, 0.0001757069, 4.445699e-5, 7.905694e-6, 3.849816e-7]],
  ])('%j', (rope, due) => {
    const found = frequencies(rope)
    expect(found.length).toBe(32)
    AT.forEach((i, k) => expect(Math.abs(found[i]! / due[k]! - 1)).toBeLessThan(2e-6))
  })

  it('of no scaling and of linear scaling are the base’s powers', () => {
    expect([...frequencies({ theta: 100, rotaryDims: 4, scaling: null })]).toEqual([1, Math.fround(0.1)])
    expect([...frequencies({ theta: 100, rotaryDims: 4, scaling: { type: 'linear', factor: 2 } })]).toEqual([0.5, Math.fround(0.05)])
  })
})

describe('the text of a rotation', () => {
  it('is read back, whatever the order of its facts', () => {
    for (const facts of [PLAIN, LLAMA3, YARN]) expect(readRope(ropeText(facts))).toEqual(facts)
    expect(ropeText({ scaling: { originalTokens: 8192, highFactor: 4, lowFactor: 1, factor: 32, type: 'llama3' }, rotaryDims: 64, theta: 500_000 })).toBe(ropeText(LLAMA3))
    expect(ropeText(LLAMA3)).toBe('{"theta":500000,"rotaryDims":64,"scaling":{"type":"llama3","factor":32,"lowFactor":1,"highFactor":4,"originalTokens":8192}}')
  })

  it.each([
    '',
    '{',
    'null',
    '[]',
    '{"theta":10000,"rotaryDims":16}',
    '{"theta":10000,"rotaryDims":16,"scaling":null} ',
    '{"rotaryDims":16,"theta":10000,"scaling":null}',
    '{"theta":1,"rotaryDims":16,"scaling":null}',
    '{"theta":-5,"rotaryDims":16,"scaling":null}',
    '{"theta":1e300,"rotaryDims":16,"scaling":null}',
    '{"theta":"10000","rotaryDims":16,"scaling":null}',
    '{"theta":10000,"rotaryDims":15,"scaling":null}',
    '{"theta":10000,"rotaryDims":0,"scaling":null}',
    '{"theta":10000,"rotaryDims":1e15,"scaling":null}',
    '{"theta":10000,"rotaryDims":16,"scaling":{"type":"linear","factor":0}}',
    '{"theta":10000,"rotaryDims":16,"scaling":{"type":"longrope","factor":2}}',
    '{"theta":10000,"rotaryDims":16,"scaling":{"type":"constructor","factor":2}}',
    '{"theta":10000,"rotaryDims":16,"scaling":{"type":"llama3","factor":8,"lowFactor":4,"highFactor":4,"originalTokens":8192}}',
    `{"theta":10000,"rotaryDims":16,"scaling":null,"more":"${'x'.repeat(500)}"}`,
  ])('%s is refused', (text) => {
    expect(() => readRope(text)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }) as LabError)
  })
})

describe('what a config.json says', () => {
  it.each([
    [{ model_type: 'llama', rope_theta: 100_000 }, { theta: 100_000, rotaryDims: 64, scaling: null }],
    [{ model_type: 'llama' }, { theta: 10_000, rotaryDims: 64, scaling: null }],
    [{ model_type: 'phi', partial_rotary_factor: 0.5, rope_theta: 10_000 }, { theta: 10_000, rotaryDims: 32, scaling: null }],
    [{ model_type: 'qwen2', rope_parameters: { rope_type: 'default', rope_theta: 1_000_000 } }, { theta: 1_000_000, rotaryDims: 64, scaling: null }],
    [{ model_type: 'llama', rope_theta: 500_000, rope_scaling: { rope_type: 'llama3', factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 } }, LLAMA3],
    [{ model_type: 'qwen2', rope_theta: 1_000_000, max_position_embeddings: 131_072, rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 32_768 } }, YARN],
    [{ model_type: 'llama', rope_scaling: { type: 'linear', factor: 2 } }, { theta: 10_000, rotaryDims: 64, scaling: { type: 'linear', factor: 2 } }],
  ])('%j', (config, due) => expect(ropeFacts(config, 64)).toEqual(due))

  it.each([
    {},
    { model_type: 'gpt2' },
    { model_type: 'gemma3_text', rope_theta: 1_000_000, rope_local_base_freq: 10_000 },
    { model_type: 'llama', rope_scaling: { type: 'dynamic', factor: 2 } },
    { model_type: 'phi3', rope_scaling: { type: 'longrope', long_factor: [1], short_factor: [1] } },
    { model_type: 'llama', rope_scaling: { rope_type: 'llama3', factor: 8 } },
    { model_type: 'llama', rope_theta: 'large' },
    { model_type: 'phi', partial_rotary_factor: 0.05 },
    { model_type: 'qwen3', rope_parameters: { full_attention: { rope_theta: 5 }, sliding_attention: { rope_theta: 6 } } },
  ])('%j: not known', (config) => expect(ropeFacts(config, 64)).toBeNull())
})
