import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { f16ToF32 } from '#core/bytes/float.ts'
import { LabError } from '#core/contract/errors.ts'
import { BLOCK, blockBytes } from './blocks.ts'
import { kernels } from './index.ts'
import type { BlockFormat, FloatCodes, Kernels, SmallFloat } from './kernels.ts'
import { typescriptKernels } from './typescript.ts'
import { webAssemblyKernels } from './webassembly.ts'

const both = [webAssemblyKernels() ?? expect.fail('no WebAssembly SIMD here'), typescriptKernels] as const
const TILE = 16384

/** An array that begins at an odd place of its buffer. */
function shifted<T extends Float32Array | Uint16Array | Uint8Array>(type: new (length: number) => T, length: number): T {
  return new type(length + 3).subarray(3) as T
}

function floats(values: ArrayLike<number>): Float32Array {
  const array = shifted(Float32Array, values.length)
  array.set(values)
  return array
}

/** Bits, where every NaN is one. */
function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.slice().buffer).map((bits) => ((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits))
}

/** What came of it: the error in full, or the results. */
function outcome<T>(work: () => T): T | { message: string; details: unknown } {
  try {
    return work()
  } catch (error) {
    if (error instanceof LabError) return { message: `${error.code} ${error.message}`, details: error.details }
    throw error
  }
}

/** Both implementations must do the same; what it was is returned. */
function same<T>(work: (implementation: Kernels) => T): ReturnType<typeof outcome<T>> {
  const [wasm, typescript] = both.map((implementation) => outcome(() => work(implementation)))
  if (!alike(wasm, typescript)) {
    expect(wasm).toEqual(typescript)
    expect.fail('they differ in a zero')
  }
  return typescript!
}

/** Deep equality to the bit; that of the test runner takes minutes for arrays of this size. */
function alike(a: unknown, b: unknown): boolean {
  if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) return Buffer.compare(bytesUnder(a), bytesUnder(b)) === 0
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b)
  const [left, right] = [new Map(Object.entries(a)), new Map(Object.entries(b))]
  return left.size === right.size && [...left].every(([name, value]) => right.has(name) && alike(value, right.get(name)))
}

function bytesUnder({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

const F32_MAX = 3.4028234663852886e38
const plain = fc.double({ min: -4, max: 4, noNaN: true })
const hostile = fc.constantFrom(0, -0, 2 ** -149, -(2 ** -149), 2 ** -126, 2 ** -24, -(2 ** -25), 2 ** -14, 65504, -65519, 65520, 448, 464, -1e6, 8e6, -8.4e6, 1e30, F32_MAX, -F32_MAX)
const special = fc.constantFrom(NaN, Infinity, -Infinity)
const anyBits = fc.integer().map((bits) => new Float32Array(Int32Array.of(bits).buffer)[0]!)
const tie = fc.integer({ min: -600, max: 600 }).map((k) => k / 2)
/** Runs of one kind: mixed, all would be as the wildest of them. */
const kinds: fc.Arbitrary<number>[] = [
  plain,
  tie,
  tie.map((value) => value * f16ToF32(0x1234)),
  fc.oneof(plain, fc.constantFrom(0, -0)),
  fc.oneof({ weight: 9, arbitrary: plain }, hostile),
  fc.double({ min: 999.9, max: 1000.1, noNaN: true }),
  fc.double({ min: 59_999.99, max: 60_000, noNaN: true }),
  fc.double({ min: -1e-6, max: 1e-6, noNaN: true }),
  fc.integer({ min: -300, max: 300 }).map((k) => k * 2 ** -149),
  fc.double({ min: 0, max: 8e6, noNaN: true }),
  fc.constantFrom(0, -0),
  fc.oneof({ weight: 40, arbitrary: plain }, special),
  anyBits,
]
/** Values of so many runs of `unit`: mostly a few, at times more than fit into a tile. */
function runs(unit: number): fc.Arbitrary<Float32Array> {
  const few = fc.integer({ min: 1, max: 5 }).chain((count) => fc.array(fc.oneof(...kinds.map((kind) => fc.array(kind, { minLength: unit, maxLength: unit }))), { minLength: count, maxLength: count }))
  // Large ones repeat a few runs, each time scaled otherwise.
  const many = fc.tuple(few, fc.integer({ min: Math.ceil(TILE / unit) - 2, max: Math.ceil((2 * TILE) / unit) + 3 })).map(([some, count]) => Array.from({ length: count }, (_, i) => (some[i % some.length] ?? []).map((x) => x * (1 + (i % 7) / 16))))
  return fc.oneof({ weight: 8, arbitrary: few }, { weight: 1, arbitrary: many }).map((all) => floats(all.flat()))
}

it('this process runs WebAssembly SIMD', () => {
  expect(kernels.implementation).toBe('WebAssembly SIMD')
  expect(both.map(({ implementation }) => implementation)).toEqual(['WebAssembly SIMD', 'TypeScript'])
})

describe('groups', () => {
  const cases = [2, 3, 4, 5, 6, 7, 8].flatMap((bits) => [false, true].map((asym) => ({ bits, asym })))
  const sized = fc.integer({ min: 2, max: 32 }).chain((eights) => fc.tuple(fc.constant(8 * eights), runs(8 * eights)))

  it.each(cases)('$bits bits, asym $asym: the same codes, scales, zeros and errors', ({ bits, asym }) => {
    let encoded = 0
    const property = fc.property(sized, ([groupSize, values]) => {
      const groups = values.length / groupSize
      const result = same((implementation) => {
        const codes = shifted(Uint8Array, (values.length * bits) / 8)
        const scales = shifted(Uint16Array, groups)
        const zeros = asym ? shifted(Uint16Array, groups) : null
        implementation.quantizeGroups(values, groupSize, bits, codes, scales, zeros)
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

/** Bytes from a seed (xorshift, Marsaglia 2003). */
function bytesFrom(seed: number): () => number {
  let state = seed | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 8) & 0xff
  }
}

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

/** Lengths around turns and tiles. */
const lengths = fc.oneof(fc.integer({ min: 0, max: 70 }), fc.integer({ min: TILE - 3, max: TILE + 3 }), fc.integer({ min: 2 * TILE, max: 2 * TILE + 40 }))

describe('small floats', () => {
  const formats: SmallFloat[] = ['F16', 'BF16', 'F8_E4M3']
  const codesFor = (format: SmallFloat, length: number): FloatCodes => (format === 'F8_E4M3' ? shifted(Uint8Array, length) : shifted(Uint16Array, length))

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
    for (const codes of [every, every.subarray(0, 0x7b), every.subarray(5, 0x7e), every.subarray(0, 0x7f00)]) {
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
