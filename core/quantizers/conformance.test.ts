import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from '#core/bytes/float.ts'
import type { LabError } from '#core/contract/errors.ts'
import { quantizerById, quantizers } from './index.ts'
import type { BlockShape, Quantizer, Side, StreamArray, StreamLayout, Streams } from './quantizer.ts'

type Params = Readonly<Record<string, number | boolean>>
type Dtype = BlockShape['dtype']

const HEAD_DIMS = [32, 64, 80, 128, 256]

/** Whole numbers of which each is combined with each; of more of them each is changed by itself. */
const MOST_COMBINED = 2

/** Every combination of defaults, extremes and flags; a parameter that mostly is not written, by itself. */
function choices({ params }: Quantizer): Params[] {
  const all = Object.entries(params)
  const numbers = all.filter(([, def]) => def.kind === 'int' && !def.unwritten)
  if (numbers.length > MOST_COMBINED) {
    const plain = Object.fromEntries(all.map(([name, def]) => [name, def.kind === 'int' ? def.default : false]))
    return [plain, ...all.flatMap(([name, def]) => (def.kind === 'int' ? [def.min, def.max] : [true]).map((value) => ({ ...plain, [name]: value })))]
  }
  const start: Params[] = [Object.fromEntries(all.flatMap(([name, def]) => (def.kind === 'int' && def.unwritten ? [[name, def.default]] : [])))]
  const combined = all.reduce((sofar, [name, def]) => {
    if (name in start[0]!) return sofar
    const values = def.kind === 'flag' ? [false, true] : [...new Set([def.default, def.min, 32, def.max])]
    return sofar.flatMap((choice) => values.map((value) => ({ ...choice, [name]: value })))
  }, start)
  const rare = all.flatMap(([name, def]) => (def.kind === 'int' && def.unwritten ? combined.filter((choice) => choice['groupSize'] === 64).map((choice) => ({ ...choice, [name]: def.min })) : []))
  return [...combined, ...rare]
}

const cases = quantizers.flatMap((quantizer) =>
  choices(quantizer).flatMap((params) => {
    const layout = (side: Side): string => JSON.stringify(quantizer.layout({ side, kvHeads: 1, tokens: 1, headDim: 256, dtype: 'F32' }, params))
    const sides: Side[] = layout('key') === layout('value') ? ['key'] : ['key', 'value']
    return sides.flatMap((side) => {
      const axis = quantizer.axis?.(params, side) ?? 'token'
      const allowed = HEAD_DIMS.filter((headDim) => quantizer.refuse(params, headDim) === null && (axis !== 'channel' || headDim === 32 || headDim === 80))
      return allowed.map((headDim) => ({ id: quantizer.id, params, side, axis, headDim }))
    })
  }),
)

/** Quantizers with F16 in their streams, which magnitudes of F32 can overflow, and NVFP4 with E4M3, but for its two-level form. */
const OVERFLOWS = /^(kivi\d|int\d|i?q\d_.*|nf4|nvfp4|turbo\d|polar|qjl|nuq\d|cachegen|gear\d|skvq\d)$/

/** Largest magnitude that such a quantizer surely holds: NVFP4 to 6 * 448, SKVQ's zero points to 448, what keeps a norm of a row, or GEAR's share of one in its correction, while that fits F16. */
function reach(id: string, headDim: number): number {
  if (/^(turbo\d|polar|qjl|gear\d)$/.test(id)) return 65504 / Math.sqrt(headDim)
  if (/^skvq/.test(id)) return 448
  return id === 'nvfp4' ? 2688 : Infinity
}

const ARRAYS = { U8: Uint8Array, I8: Int8Array, U16: Uint16Array, F16: Uint16Array, BF16: Uint16Array, F32: Float32Array }
const GUARD = 64
const GUARD_BYTE = 0xa5
const isGuard = (byte: number): boolean => byte === GUARD_BYTE

function elements({ shape }: StreamLayout): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** Streams of a layout, each between two guards. */
function allocate(layout: Readonly<Record<string, StreamLayout>>): { streams: Streams; guardsIntact: () => boolean } {
  const memory: Uint8Array[] = []
  const streams = Object.fromEntries(
    Object.entries(layout).map(([name, stream]): [string, StreamArray] => {
      const type = ARRAYS[stream.dtype]
      const buffer = new Uint8Array(2 * GUARD + elements(stream) * type.BYTES_PER_ELEMENT).fill(GUARD_BYTE)
      memory.push(buffer)
      return [name, new type(buffer.buffer, GUARD, elements(stream))]
    }),
  )
  const intact = (bytes: Uint8Array): boolean => bytes.subarray(0, GUARD).every(isGuard) && bytes.subarray(bytes.length - GUARD).every(isGuard)
  return { streams, guardsIntact: () => memory.every(intact) }
}

function sameBytes(a: Streams, b: Streams): boolean {
  return Object.entries(a).every(([name, array]) => Buffer.compare(asBytes(array), asBytes(b[name]!)) === 0)
}

function asBytes(array: StreamArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** What a quantizer that learns from other caches learned, here on the cache itself. */
function tablesFrom(quantizer: Quantizer, values: Float32Array, shape: BlockShape, params: Params): Streams | undefined {
  return quantizer.learner?.asked(params) === true ? quantizer.learner.learn(values, shape, params) : undefined
}

/** Encode and decode; checks that nothing but the streams was written and that every value was. */
function roundTrip(quantizer: Quantizer, values: Float32Array, shape: BlockShape, params: Params): { streams: Streams; decoded: Float32Array } {
  const { streams, guardsIntact } = allocate(quantizer.layout(shape, params))
  const before = values.slice()
  quantizer.encode(values, shape, params, streams, tablesFrom(quantizer, values, shape, params))
  expect(guardsIntact()).toBe(true)
  expect(Buffer.compare(asBytes(values), asBytes(before))).toBe(0)
  const padded = new Float32Array(values.length + 2).fill(NaN)
  expect(quantizer.decode(streams, shape, params, padded.subarray(1, 1 + values.length))).toBe(true)
  expect(padded[0]).toBeNaN()
  expect(padded[values.length + 1]).toBeNaN()
  const decoded = padded.slice(1, -1)
  expect(decoded.every(Number.isFinite)).toBe(true)
  return { streams, decoded }
}

/** What a cache of that dtype can hold. */
function asDtype(values: Float32Array, dtype: Dtype): Float32Array {
  if (dtype === 'F32') return values
  const halves = new Uint16Array(values.length)
  const out = new Float32Array(values.length)
  if (dtype === 'F16') {
    encodeF16(values, halves)
    decodeF16(halves, out)
  } else {
    encodeBf16(values, halves)
    decodeBf16(halves, out)
  }
  return out
}

/** Places of the values that share a bound: a row of a token, or by `axis` a channel of a head, or all. */
function runsOf({ side, kvHeads, tokens, headDim }: BlockShape, quantizer: Quantizer, params: Params): number[][] {
  const row = (head: number, token: number): number => (head * tokens + token) * headDim
  const numbers = (count: number): number[] => [...Array(count).keys()]
  const axis = quantizer.axis?.(params, side)
  if (axis === 'layer') return [numbers(kvHeads * tokens * headDim)]
  const each = axis === 'channel'
    ? (head: number) => numbers(headDim).map((channel) => numbers(tokens).map((token) => row(head, token) + channel))
    : (head: number) => numbers(tokens).map((token) => numbers(headDim).map((channel) => row(head, token) + channel))
  return numbers(kvHeads).flatMap(each)
}

function expectWithinBound(quantizer: Quantizer, values: Float32Array, decoded: Float32Array, shape: BlockShape, params: Params): void {
  for (const places of runsOf(shape, quantizer, params)) {
    const bound = new Float32Array(places.length)
    quantizer.errorBound(Float32Array.from(places, (at) => values[at]!), params, bound, shape, tablesFrom(quantizer, values, shape, params))
    for (const [i, at] of places.entries()) {
      const error = Math.abs(values[at]! - decoded[at]!)
      if (!(error <= bound[i]!)) expect.fail(`value ${values[at]} came back as ${decoded[at]}: off by ${error}, allowed ${bound[i]}`)
    }
  }
}

/** Rows of a kind, each with its own way to go wrong: plain, tiny, subnormal, large, far from zero, ties, of one sign, spiky, zeros of both signs, constant. */
const rowKinds: ((headDim: number) => fc.Arbitrary<number[]>)[] = [
  ofEach(reals(-4, 4)),
  ofEach(reals(-1e-6, 1e-6)),
  ofEach(fc.integer({ min: -300, max: 300 }).map((k) => k * 2 ** -149)),
  ofEach(reals(-60000, 60000)),
  ofEach(reals(999.9, 1000.1)),
  ofEach(fc.integer({ min: -31, max: 31 }).map((k) => k / 2)),
  ofEach(reals(-3, -1)),
  ofEach(fc.oneof({ weight: 9, arbitrary: reals(-0.1, 0.1) }, reals(-500, 500))),
  ofEach(fc.constantFrom(0, -0)),
  (headDim) => reals(-1000, 1000).map((value) => Array.from({ length: headDim }, () => value)),
]

function reals(min: number, max: number): fc.Arbitrary<number> {
  return fc.double({ min, max, noNaN: true })
}

function ofEach(value: fc.Arbitrary<number>): (headDim: number) => fc.Arbitrary<number[]> {
  return (headDim) => fc.array(value, { minLength: headDim, maxLength: headDim })
}

/** Some runs of values that share scales: rows of a token or, by channel, the channels of a head in turn. */
const input = (dtype: Dtype, { side, axis, headDim, id }: (typeof cases)[number]): fc.Arbitrary<{ values: Float32Array; shape: BlockShape }> =>
  fc
    .record({ kvHeads: fc.integer({ min: 1, max: 2 }), tokens: fc.integer({ min: 1, max: axis === 'channel' ? 40 : 3 }) })
    .chain(({ kvHeads, tokens }) => {
      const most = reach(id, headDim)
      const count = axis === 'channel' ? 5 : kvHeads * tokens
      const length = axis === 'channel' ? tokens : headDim
      const place = axis === 'channel' ? (i: number) => [i % headDim % count, Math.floor(i / headDim) % tokens] : (i: number) => [Math.floor(i / headDim), i % headDim]
      return fc.array(fc.oneof(...rowKinds.map((kind) => kind(length))), { minLength: count, maxLength: count }).map((runs) => {
        const value = (i: number): number => {
          const [run = 0, at = 0] = place(i)
          return Math.max(-most, Math.min(most, runs[run]![at]!))
        }
        return { values: asDtype(Float32Array.from({ length: kvHeads * tokens * headDim }, (_, i) => value(i)), dtype), shape: { side, kvHeads, tokens, headDim, dtype } }
      })
    })

describe.each(cases)('$id $params, $side, head size $headDim', (each) => {
  const { id, params, side, axis, headDim } = each
  const quantizer = quantizerById(id)
  const dtypes: Dtype[] = quantizer.lossy ? ['F32'] : ['F32', 'F16', 'BF16']

  it.each(dtypes)('%s: bits are the bytes of the layout', (dtype) => {
    const shape = { side, kvHeads: 3, tokens: 7, headDim, dtype }
    const layout = Object.values(quantizer.layout(shape, params))
    const bytes = layout.reduce((sum, stream) => sum + elements(stream) * ARRAYS[stream.dtype].BYTES_PER_ELEMENT, 0)
    expect((8 * bytes) / (3 * 7 * headDim)).toBeCloseTo(quantizer.bits(params, shape), 12)
  })

  it.each(dtypes)('%s: error within the bound, nothing else written, deterministic, close to itself the second time', (dtype) => {
    fc.assert(
      fc.property(input(dtype, each), ({ values, shape }) => {
        const once = roundTrip(quantizer, values, shape, params)
        expectWithinBound(quantizer, values, once.decoded, shape, params)
        expect(sameBytes(roundTrip(quantizer, values, shape, params).streams, once.streams)).toBe(true)
        const twice = roundTrip(quantizer, once.decoded, shape, params)
        expectWithinBound(quantizer, once.decoded, twice.decoded, shape, params)
      }),
      { numRuns: 12 },
    )
  })

  it.skipIf(axis === 'layer')(axis === 'token' ? 'a row depends on no other row, head or token' : 'a head depends on no other head', () => {
    fc.assert(
      fc.property(input('F32', each), ({ values, shape }) => {
        const whole = roundTrip(quantizer, values, shape, params).decoded
        const tokens = axis === 'token' ? 1 : shape.tokens
        for (let at = 0; at < values.length; at += tokens * headDim) {
          const own = roundTrip(quantizer, values.slice(at, at + tokens * headDim), { ...shape, kvHeads: 1, tokens }, params).decoded
          expect(Buffer.compare(asBytes(own), asBytes(whole.slice(at, at + tokens * headDim)))).toBe(0)
        }
      }),
      { numRuns: 4 },
    )
  })

  it('zeros of either sign stay zero', () => {
    const zeros = Float32Array.from({ length: headDim }, (_, i) => (i % 3 === 0 ? -0 : 0))
    const { decoded } = roundTrip(quantizer, zeros, { side, kvHeads: 1, tokens: 1, headDim, dtype: 'F32' }, params)
    expect(decoded.every((value) => value === 0)).toBe(true)
  })

  it.each(dtypes)('%s: refuses a NaN or an infinity and says where', (dtype) => {
    const shape: BlockShape = { side, kvHeads: 2, tokens: 3, headDim, dtype }
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const at of [0, headDim - 1, 3 * headDim + 5, 6 * headDim - 1]) {
        const values = Float32Array.from({ length: 6 * headDim }, (_, i) => (i % 11) - 5)
        values[at] = bad
        values[6 * headDim - 1] = bad
        const { streams } = allocate(quantizer.layout(shape, params))
        const tables = tablesFrom(quantizer, values.map((value) => (Number.isFinite(value) ? value : 0)), shape, params)
        expect(() => quantizer.encode(values, shape, params, streams, tables)).toThrow(expect.objectContaining({ code: 'NOT_FINITE', details: { at, value: String(bad) } }) as LabError)
      }
    }
  })

  it('the largest F32 is held, saturates, or is refused as OUT_OF_RANGE', () => {
    const huge = Float32Array.from({ length: headDim }, (_, i) => (i % 2 === 0 ? 3.4e38 : -3.4e38))
    const shape: BlockShape = { side, kvHeads: 1, tokens: 1, headDim, dtype: 'F32' }
    const encode = (): Float32Array => roundTrip(quantizer, huge, shape, params).decoded
    if (OVERFLOWS.test(id) && !params['twoLevel']) expect(encode).toThrow(expect.objectContaining({ name: 'LabError', code: 'OUT_OF_RANGE' }) as LabError)
    else expectWithinBound(quantizer, huge, encode(), shape, params)
  })
})

describe('the registry', () => {
  it('has unique ids that the grammar can hold', () => {
    const ids = quantizers.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.filter((id) => !/^[a-z][a-z0-9_-]*$/.test(id))).toEqual([])
  })

  it.each(quantizers.map(({ id }) => id))('%s says where it comes from, and tests reach it', (id) => {
    const { label, source } = quantizerById(id)
    expect(label.length).toBeGreaterThan(8)
    expect(source.length).toBeGreaterThan(8)
    expect(cases.filter((each) => each.id === id).length).toBeGreaterThan(2)
  })

  it('refuses an unknown id by code', () => {
    expect(() => quantizerById('int9')).toThrow(expect.objectContaining({ code: 'UNKNOWN_METHOD' }) as LabError)
  })

  it('every refusal that names a choice names a valid one', () => {
    for (const quantizer of quantizers) {
      for (const params of choices(quantizer)) {
        for (let headDim = 1; headDim <= 320; headDim++) {
          const refused = quantizer.refuse(params, headDim)
          if (refused && Object.keys(refused.nearest).length > 0) expect(quantizer.refuse({ ...params, ...(refused.nearest as Params) }, headDim)).toBeNull()
        }
      }
    }
  })
})
