import fc from 'fast-check'
import { expect } from 'vitest'
import { f16ToF32 } from '#core/bytes/float.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Kernels } from '#core/kernels/kernels.ts'
import { typescriptKernels } from '#core/kernels/typescript.ts'
import { webAssemblyKernels } from '#core/kernels/webassembly.ts'

/* What the tests of the kernels share: both implementations, hostile values for them, and the demand that they do the same to the bit. */

/** The two implementations. */
export const both = [webAssemblyKernels() ?? expect.fail('no WebAssembly SIMD here'), typescriptKernels] as const
/** Values of one tile of the WebAssembly memory. */
export const TILE = 16384

/** An array that begins at an odd place of its buffer. */
export function shifted<T extends Float32Array | Uint16Array | Uint8Array>(type: new (length: number) => T, length: number): T {
  return new type(length + 3).subarray(3) as T
}

/** An F32 array of these values, shifted. */
export function floats(values: ArrayLike<number>): Float32Array {
  const array = shifted(Float32Array, values.length)
  array.set(values)
  return array
}

/** Bits, where every NaN is one. */
export function bitsOf(values: Float32Array): Uint32Array {
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
export function same<T>(work: (implementation: Kernels) => T): ReturnType<typeof outcome<T>> {
  const wasm = outcome(() => work(both[0]))
  const typescript = outcome(() => work(both[1]))
  if (!alike(wasm, typescript)) {
    expect(wasm).toEqual(typescript)
    expect.fail('they differ in a zero')
  }
  return typescript
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

/** The largest F32. */
export const F32_MAX = 3.4028234663852886e38
/** Values as a cache has them. */
export const plain = fc.double({ min: -4, max: 4, noNaN: true })
/** Values at the edges of formats. */
export const hostile = fc.constantFrom(0, -0, 2 ** -149, -(2 ** -149), 2 ** -126, 2 ** -24, -(2 ** -25), 2 ** -14, 65504, -65519, 65520, 448, 464, -1e6, 8e6, -8.4e6, 1e30, F32_MAX, -F32_MAX)
/** Values that are no numbers to quantise. */
export const special = fc.constantFrom(NaN, Infinity, -Infinity)
/** Any F32 by its bits. */
export const anyBits = fc.integer().map((bits) => new Float32Array(Int32Array.of(bits).buffer)[0] ?? 0)
const tie = fc.integer({ min: -600, max: 600 }).map((k) => k / 2)
/** Runs of one kind: mixed, all would be as the wildest of them. */
export const kinds: fc.Arbitrary<number>[] = [
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
export function runs(unit: number): fc.Arbitrary<Float32Array> {
  const few = fc.integer({ min: 1, max: 5 }).chain((count) => fc.array(fc.oneof(...kinds.map((kind) => fc.array(kind, { minLength: unit, maxLength: unit }))), { minLength: count, maxLength: count }))
  // Large ones repeat a few runs, each time scaled otherwise.
  const many = fc.tuple(few, fc.integer({ min: Math.ceil(TILE / unit) - 2, max: Math.ceil((2 * TILE) / unit) + 3 })).map(([some, count]) => Array.from({ length: count }, (_, i) => (some[i % some.length] ?? []).map((x) => x * (1 + (i % 7) / 16))))
  return fc.oneof({ weight: 8, arbitrary: few }, { weight: 1, arbitrary: many }).map((all) => floats(all.flat()))
}

/** Bytes from a seed (xorshift, Marsaglia 2003). */
export function bytesFrom(seed: number): () => number {
  let state = seed | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 8) & 0xff
  }
}

/** Lengths around turns and tiles. */
export const lengths = fc.oneof(fc.integer({ min: 0, max: 70 }), fc.integer({ min: TILE - 3, max: TILE + 3 }), fc.integer({ min: 2 * TILE, max: 2 * TILE + 40 }))
