import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { anyBits, bitsOf, both, bytesFrom, F32_MAX, floats, hostile, kinds, lengths, plain, runs, same, shifted, special, TILE } from '../../test/kernel-twins.ts'
import { BLOCK, blockBytes } from './blocks.ts'
import { kernels } from './index.ts'
import type { BlockFormat, FloatCodes, SmallFloat } from './kernels.ts'

it('this process runs WebAssembly SIMD', () => {
  expect(kernels.implementation).toBe('WebAssembly SIMD')
  expect(both.map(({ implementation }) => implementation)).toEqual(['WebAssembly SIMD', 'TypeScript'])
})

const cases = [2, 3, 4, 5, 6, 7, 8].flatMap((bits) => [false, true].map((asym) => ({ bits, asym })))
const clips = fc.constantFrom(1, 1, Math.fround(0.96), Math.fround(0.5), Math.fround(0.01))

describe('groups', () => {
  const sized = fc.integer({ min: 2, max: 32 }).chain((eights) => fc.tuple(fc.constant(8 * eights), runs(8 * eights)))

  it.each(cases)('$bits bits, asym $asym: the same codes, scales, zeros and errors', ({ bits, asym }) => {
    let encoded = 0
    const property = fc.property(sized, clips, ([groupSize, values], clip) => {
      const groups = values.length / groupSize
      const result = same((implementation) => {
        const codes = shifted(Uint8Array, (values.length * bits) / 8)
        const scales = shifted(Uint16Array, groups)
        const zeros = asym ? shifted(Uint16Array, groups) : null
        implementation.quantizeGroups(values, groupSize, bits, clip, codes, scales, zeros)
        const out = shifted(Float32Array, values.length)
        const finite = implementation.dequantizeGroups(codes, scales, zeros, groupSize, bits, out)
        return { codes, scales, zeros, finite, out: bitsOf(out) }
      })
      if ('codes' in result) encoded++
    })
    fc.assert(property, { numRuns: 120 })
    expect(encoded).toBeGreaterThan(15)
  })

  it.each(cases)('$bits bits, asym $asym: the same values from any codes and scales', ({ bits, asym }) => {
    const property = fc.property(fc.integer({ min: 2, max: 32 }), fc.integer({ min: 1, max: 1100 }), fc.integer(), fc.boolean(), (eights, groups, seed, tame) => {
      const random = bytesFrom(seed)
      const codes = shifted(Uint8Array, eights * bits * groups).map(random)
      const half = (): number => (random() | (random() << 8)) & (tame ? 0xbbff : 0xffff)
      const scales = shifted(Uint16Array, groups).map(half)
      const zeros = asym ? shifted(Uint16Array, groups).map(half) : null
      const result = same((implementation) => {
        const out = shifted(Float32Array, 8 * eights * groups)
        const finite = implementation.dequantizeGroups(codes, scales, zeros, 8 * eights, bits, out)
        return { finite, out: bitsOf(out) }
      })
      if (tame) expect(result).toMatchObject({ finite: true })
    })
    fc.assert(property, { numRuns: 25 })
  })
})

describe('blocks', () => {
  const formats: BlockFormat[] = [{ bits: 8, affine: false }, { bits: 4, affine: false }, { bits: 4, affine: true }, { bits: 5, affine: false }, { bits: 5, affine: true }]

  it.each(formats)('$bits bits, affine $affine: the same blocks, values and errors', (format) => {
    let encoded = 0
    const property = fc.property(runs(BLOCK), (values) => {
      const result = same((implementation) => {
        const blocks = shifted(Uint8Array, (values.length / BLOCK) * blockBytes(format))
        implementation.quantizeBlocks(values, format, blocks)
        const out = shifted(Float32Array, values.length)
        const finite = implementation.dequantizeBlocks(blocks, format, out)
        return { blocks, finite, out: bitsOf(out) }
      })
      if ('blocks' in result) encoded++
    })
    fc.assert(property, { numRuns: 250 })
    expect(encoded).toBeGreaterThan(10)
  })

  it.each(formats)('$bits bits, affine $affine: the same values from any bytes', (format) => {
    const property = fc.property(fc.integer({ min: 1, max: 1100 }), fc.integer(), (count, seed) => {
      const blocks = shifted(Uint8Array, count * blockBytes(format)).map(bytesFrom(seed))
      same((implementation) => {
        const out = shifted(Float32Array, count * BLOCK)
        const finite = implementation.dequantizeBlocks(blocks, format, out)
        return { finite, out: bitsOf(out) }
      })
    })
    fc.assert(property, { numRuns: 25 })
  })

  it('8 bits: every tie and its neighbours', () => {
    const near = Array.from({ length: 254 }, (_, k) => k - 126.5).flatMap((x) => {
      const bits = new Int32Array(Float32Array.of(x).buffer)[0]!
      return [...new Float32Array(Int32Array.of(bits - 1, bits, bits + 1).buffer)]
    })
    const values = floats(near.flatMap((x) => [127, x, ...Array.from({ length: BLOCK - 2 }, () => -x)]))
    same((implementation) => {
      const blocks = new Uint8Array((values.length / BLOCK) * 34)
      implementation.quantizeBlocks(values, { bits: 8, affine: false }, blocks)
      return blocks
    })
  })
})

describe('small floats', () => {
  const formats: SmallFloat[] = ['F16', 'BF16', 'F8_E4M3', 'F8_E5M2']
  const codesFor = (format: SmallFloat, length: number): FloatCodes => (format.startsWith('F8') ? shifted(Uint8Array, length) : shifted(Uint16Array, length))

  it.each(formats)('%s: the same codes of any values', (format) => {
    let clean = 0
    const property = fc.property(lengths, fc.oneof(...kinds.map((kind) => fc.array(kind, { minLength: 1, maxLength: 60 }))), (length, some) => {
      const values = shifted(Float32Array, length).map((_, i) => some[(i * 7) % some.length]!)
      const result = same((implementation) => {
        const codes = codesFor(format, length)
        return { finite: implementation.encodeFloats(format, values, codes), codes }
      })
      if ('finite' in result && result.finite) clean++
    })
    fc.assert(property, { numRuns: 150 })
    expect(clean).toBeGreaterThan(10)
  })

  it.each(formats)('%s: the same values of every code', (format) => {
    const every = codesFor(format, 65536).map((_, i) => i)
    for (const codes of [every, every.subarray(0, 0x7b), every.subarray(5, 0x7e), every.subarray(0, 0x7f00), every.subarray(0, 0x7c)]) {
      same((implementation) => {
        const out = shifted(Float32Array, codes.length)
        return { finite: implementation.decodeFloats(format, codes, out), out: bitsOf(out) }
      })
    }
  })
})

it('the first NaN or infinity is the same', () => {
  const property = fc.property(lengths, fc.array(fc.tuple(fc.nat(), fc.oneof(special, anyBits)), { maxLength: 3 }), (length, faults) => {
    const values = shifted(Float32Array, length).map((_, i) => (i % 5) - F32_MAX)
    for (const [at, value] of faults) if (length > 0) values[at % length] = value
    expect(same((implementation) => implementation.firstNonFinite(values))).toBe(values.findIndex((value) => !Number.isFinite(value)))
  })
  fc.assert(property, { numRuns: 200 })
})

it('rotations are the same', () => {
  const property = fc.property(runs(64), (values) => {
    same((implementation) => {
      const rotated = floats(values)
      implementation.hadamard(rotated)
      return bitsOf(rotated)
    })
  })
  fc.assert(property, { numRuns: 150 })
})

it('error sums are the same', () => {
  const property = fc.property(lengths, fc.oneof(...kinds.map((kind) => fc.array(fc.tuple(kind, kind), { minLength: 1, maxLength: 60 }))), (length, some) => {
    const original = shifted(Float32Array, length).map((_, i) => some[(i * 7) % some.length]![0])
    const restored = shifted(Float32Array, length).map((_, i) => some[(i * 7) % some.length]![1])
    same((implementation) => implementation.errorTotals(original, restored))
  })
  fc.assert(property, { numRuns: 150 })
})

it('sums over rows of logits are the same', () => {
  const logit = fc.oneof(fc.double({ min: -30, max: 30, noNaN: true }), fc.double({ min: -1500, max: 5, noNaN: true }), hostile)
  const rows = fc.tuple(fc.integer({ min: 1, max: 70 }), fc.constantFrom(0, TILE, 2 * TILE)).chain(([odd, tiles]) =>
    fc.tuple(fc.constant(odd + tiles), fc.oneof(fc.array(fc.tuple(fc.double({ min: -30, max: 30, noNaN: true }), plain), { minLength: 1, maxLength: 60 }), fc.array(fc.tuple(logit, logit), { minLength: 1, maxLength: 60 }))),
  )
  const property = fc.property(rows, ([length, some]) => {
    const [row, known] = [0, 1].map((which) => shifted(Float32Array, length).map((_, i) => some[(i * 7) % some.length]![which]! - (i % 9)))
    const [most, knownMost] = [row!, known!].map((logits) => {
      const found = same((implementation) => implementation.largestLogit(logits)) as number
      expect(found).toBe(logits.reduce((a, b) => Math.max(a, b)) + 0)
      return found
    })
    const sum = same((implementation) => implementation.sumExps(row!, most!)) as number
    const expected = row!.reduce((total, z) => total + Math.exp(z - most!), 0)
    expect(Math.abs(sum / expected - 1)).toBeLessThan(1e-11)
    expect(same((implementation) => implementation.compareRows(row!, most!, known!, knownMost!))).toMatchObject({ sum })
    expect(same((implementation) => implementation.compareRows(known!, knownMost!, known!, knownMost!))).toMatchObject({ cross: 0 })
  })
  fc.assert(property, { numRuns: 120 })
})

it('rows of logits with a NaN or an infinity have no largest', () => {
  const property = fc.property(lengths, fc.nat(), special, (length, at, bad) => {
    const row = shifted(Float32Array, length + 1).map((_, i) => (i % 13) - F32_MAX)
    row[at % row.length] = bad
    expect(same((implementation) => implementation.largestLogit(row))).toBeNaN()
  })
  fc.assert(property, { numRuns: 60 })
})
